//! Decides which URIs get the token: those that certainly lead to this host.

use crate::secret::Secret;

/// The token, and the host that may get it.
pub(super) struct Target {
    pub(super) token: Secret,
    /// The host as in the header `Host`, in lower case.
    pub(super) host: String,
    /// Whether the viewer uses HTTPS.
    pub(super) is_secure: bool,
}

/// Where a URI leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The URI has no host: it leads to the host of the playlist, or of its base.
    Relative,
    /// The URI names this host.
    Here,
    /// The URI names another host, or its destination is unknown.
    Elsewhere,
}

impl Target {
    pub(super) fn place(&self, uri: &[u8]) -> Place {
        let is_plain_http = uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http:"));
        match place(uri, &self.host) {
            Place::Here if self.is_secure && is_plain_http => Place::Elsewhere,
            place => place,
        }
    }

    /// Appends the URI with the token in its query. Removes any other `token=`, which would belong to another viewer.
    pub(super) fn put(&self, uri: &[u8], ampersand: &[u8], out: &mut Vec<u8>) {
        let (uri, fragment) = split_at_byte(uri, b'#');
        let (path, query) = split_at_byte(uri, b'?');
        out.extend_from_slice(path);
        out.push(b'?');
        let mut rest = query.get(1..).unwrap_or_default();
        while !rest.is_empty() {
            let end = find(rest, ampersand).unwrap_or(rest.len());
            let argument = &rest[..end];
            if !argument.is_empty() && argument != b"token" && !argument.starts_with(b"token=") {
                out.extend_from_slice(argument);
                out.extend_from_slice(ampersand);
            }
            rest = rest.get(end + ampersand.len()..).unwrap_or_default();
        }
        out.extend_from_slice(b"token=");
        out.extend_from_slice(self.token.expose().as_bytes());
        out.extend_from_slice(fragment);
    }
}

fn split_at_byte(text: &[u8], byte: u8) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|other| *other == byte).unwrap_or(text.len()))
}

pub(super) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// Decides where a URI leads, as browsers (WHATWG URL) and other players (RFC 3986) read it. If they differ, the result
/// is `Elsewhere`: browsers read `\` as `/` and skip control characters, and players trim Unicode spaces.
pub(super) fn place(uri: &[u8], host: &str) -> Place {
    let is_odd = |byte: &u8| *byte <= b' ' || matches!(byte, 0x7f.. | b'\\');
    // `{$` begins a variable of HLS, which may have any value.
    if uri.is_empty() || uri.iter().any(is_odd) || uri.windows(2).any(|pair| matches!(pair, [b'{', b'$'])) {
        return Place::Elsewhere;
    }
    if let Some(rest) = uri.strip_prefix(b"//") {
        return if is_host(rest, host, None) { Place::Here } else { Place::Elsewhere };
    }
    let Some(colon) = scheme(uri) else { return Place::Relative };
    let port = match () {
        () if uri[..colon].eq_ignore_ascii_case(b"http") => "80",
        () if uri[..colon].eq_ignore_ascii_case(b"https") => "443",
        () => return Place::Elsewhere,
    };
    match uri[colon + 1..].strip_prefix(b"//") {
        Some(rest) if is_host(rest, host, Some(port)) => Place::Here,
        _ => Place::Elsewhere,
    }
}

/// Returns the position of the colon after a scheme (RFC 3986, section 3.1).
fn scheme(uri: &[u8]) -> Option<usize> {
    let end = uri.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"+.-".contains(byte)))?;
    (end > 0 && uri[end] == b':' && uri[0].is_ascii_alphabetic()).then_some(end)
}

/// Returns whether the authority at the beginning of `rest` is this host. The default port of a scheme is optional.
fn is_host(rest: &[u8], host: &str, usual_port: Option<&str>) -> bool {
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let Ok(authority) = std::str::from_utf8(&rest[..end]) else { return false };
    let plain = |text: &str| -> String {
        let text = text.to_ascii_lowercase();
        let usual = usual_port.and_then(|port| text.strip_suffix(port)?.strip_suffix(':').map(str::to_owned));
        usual.unwrap_or(text)
    };
    !authority.is_empty() && plain(authority) == plain(host)
}
