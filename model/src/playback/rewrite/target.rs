//! What gets the token: a URI that surely leads to this host.

use crate::secret::Secret;

/// What is put where.
pub(super) struct Target {
    pub(super) token: Secret,
    /// As in the header `Host`, in lower case.
    pub(super) host: String,
    /// The viewer came by HTTPS.
    pub(super) is_secure: bool,
}

/// How a URI stands to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has no host: it leads to where the playlist came from, or its base says.
    Relative,
    /// It names this host.
    Here,
    /// It names another one, or means something that cannot be told.
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

    /// Appends the URI with the token in its query. Another `token=` goes: it would be somebody else's.
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

/// Where a URI leads, as browsers (WHATWG URL) and other players (RFC 3986) read it. Where they differ, it leads elsewhere:
/// browsers take `\` for `/` and skip controls, and players trim what Unicode calls a space.
pub(super) fn place(uri: &[u8], host: &str) -> Place {
    let is_odd = |byte: &u8| *byte <= b' ' || matches!(byte, 0x7f.. | b'\\');
    // `{$` begins a variable of HLS, which may hold anything.
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

/// Where the colon behind a scheme stands (RFC 3986, section 3.1).
fn scheme(uri: &[u8]) -> Option<usize> {
    let end = uri.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"+.-".contains(byte)))?;
    (end > 0 && uri[end] == b':' && uri[0].is_ascii_alphabetic()).then_some(end)
}

/// Whether the authority at the beginning of `rest` is this host; the usual port of a scheme need not be said.
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
