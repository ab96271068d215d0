//! The URL of a target: `rtmp://user:password@host:port/app/inst?args/key?args`. Without a key, streams keep their
//! names. A key may consist of arguments only, as in `rtmp://host/app/?streamname=x&key=y`.
//!
//! Weir sends the application and the key to the target exactly as written. It percent-decodes only user and password.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use weir_rtmp::url;

use crate::arguments;
use crate::escape;
use crate::secret::Secret;

/// The text that replaces the key and the password wherever a URL is shown.
pub const MASK: &str = "***";

/// A text with fewer bytes does not count as a secret, because it can be guessed.
const LEAST_SECRET: usize = 6;

/// The longest URL, in bytes.
pub const MAX_URL_LEN: usize = 2048;

/// Maximum length of user and password, in bytes. Application and key may fill the URL: some services issue keys of
/// more than 300 bytes that include a signature.
pub const MAX_PART_LEN: usize = 255;

/// The longest name of a host, in bytes (RFC 1035, section 2.3.4, written with dots).
const MAX_HOST_LEN: usize = 253;

/// The checked and parsed URL of a target. It prints with key and password masked.
#[derive(Clone)]
pub struct TargetUrl {
    text: Secret,
    tls: bool,
    host: Host,
    port: u16,
    /// The port as written, omitted if it is the default.
    shown_port: Option<u16>,
    app: String,
    key: Option<Secret>,
    credentials: Option<Credentials>,
}

/// User and password for a target that requires them. Percent-decoded.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The text before the `:`, decoded.
    pub user: String,
    /// The password, which may be empty.
    pub password: Secret,
}

/// The host of a URL. Displays as in a URL, an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name to resolve, as written.
    Name(String),
    /// An address.
    Addr(IpAddr),
}

/// Why a text is not the URL of a target. No message repeats any part of the text, because it contains secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetUrlError {
    /// The URL has more than [`MAX_URL_LEN`] bytes.
    #[error("url of {len} bytes, at most {MAX_URL_LEN} are allowed")]
    TooLong {
        /// The length in bytes.
        len: usize,
    },
    /// The URL contains a space, a control character, or a character outside ASCII.
    #[error(
        "space, control character or character outside ascii at byte {at}, expected printable ascii, others as %XX"
    )]
    BadCharacter {
        /// The position, counted from 0.
        at: usize,
    },
    /// The URL starts with neither `rtmp://` nor `rtmps://`.
    #[error("unknown scheme, expected rtmp:// or rtmps://")]
    BadScheme,
    /// The URL contains the mask that answers show in place of secrets.
    #[error("{MASK} replaces the key or the password, expected the whole url with its secrets")]
    Masked,
    /// The user is empty, or user or password contain a `%` without two hex digits.
    #[error(
        "bad user or password, expected user:password@ with %XX for \"/\", \"@\", \":\" and \"%\" in them"
    )]
    BadCredentials,
    /// The host is empty.
    #[error("no host, expected rtmp://host/app/key")]
    NoHost,
    /// The host is neither a name nor an address.
    #[error("bad host, expected a name, an IPv4 address or an IPv6 address in brackets")]
    BadHost,
    /// The port is not a number from 1 to 65535.
    #[error("bad port, expected 1 to 65535")]
    BadPort,
    /// The URL has no application.
    #[error("no application, expected rtmp://host/app/key")]
    NoApp,
    /// The URL has no key, but needs one.
    #[error("no stream key, expected rtmp://host/app/key")]
    NoKey,
    /// The path contains `//`.
    #[error("empty part in the path, expected no \"//\" after the host")]
    EmptyPart,
    /// The application contains `@`, probably because the password contains a `/`.
    #[error("\"@\" in the application, expected %2F for \"/\" in the password")]
    AtInApp,
    /// The user or the password has more than [`MAX_PART_LEN`] bytes.
    #[error("{part} of {len} bytes, at most {MAX_PART_LEN} are allowed")]
    PartTooLong {
        /// The name of the part.
        part: &'static str,
        /// The length in bytes.
        len: usize,
    },
}

impl TargetUrl {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<TargetUrl, TargetUrlError> {
        if text.len() > MAX_URL_LEN {
            return Err(TargetUrlError::TooLong { len: text.len() });
        }
        if let Some(at) = text.bytes().position(|byte| !byte.is_ascii_graphic()) {
            return Err(TargetUrlError::BadCharacter { at });
        }
        let (scheme, rest) = text.split_once("://").ok_or(TargetUrlError::BadScheme)?;
        let tls = match scheme {
            _ if scheme.eq_ignore_ascii_case("rtmp") => false,
            _ if scheme.eq_ignore_ascii_case("rtmps") => true,
            _ => return Err(TargetUrlError::BadScheme),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((userinfo, place)) => (Some(parse_credentials(userinfo)?), place),
            None => (None, authority),
        };
        let (host, shown_port) = parse_place(place)?;
        let (app, key) = parse_path(path.unwrap_or_default())?;
        Ok(TargetUrl {
            text: Secret::new(text),
            tls,
            host,
            port: shown_port.unwrap_or_else(|| url::default_port(tls)),
            shown_port,
            app: app.to_owned(),
            key: key.map(Secret::new),
            credentials,
        })
    }

    /// Returns the whole text with its secrets. The caller is responsible for its secrecy.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Returns whether both URLs lead to the same place. The case of a host name, a default port, and a trailing slash
    /// make no difference.
    #[must_use]
    pub fn is_same_place(&self, other: &TargetUrl) -> bool {
        let host = |url: &TargetUrl| match &url.host {
            Host::Name(name) => name.trim_end_matches('.').to_ascii_lowercase(),
            addr @ Host::Addr(_) => addr.to_string(),
        };
        let account = |url: &TargetUrl| {
            url.credentials
                .as_ref()
                .map(|account| (account.user.clone(), account.password.expose().to_owned()))
        };
        let key = |url: &TargetUrl| url.key.as_ref().map(|key| key.expose().to_owned());
        (self.tls, self.port, &self.app) == (other.tls, other.port, &other.app)
            && host(self) == host(other)
            && account(self) == account(other)
            && key(self) == key(other)
    }

    /// Returns whether the scheme is `rtmps://`.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Returns the host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the port: as written, or else 1935, or 443 for `rtmps://`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the application: the text between the host and the last `/`, without a slash at either end; with its
    /// arguments.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Returns the name under which a stream is published there: the stream key, which is the text after the last `/`
    /// with its arguments, or the stream's own name if there is no key.
    pub fn key_for(&self, stream: &str) -> Secret {
        self.key.clone().unwrap_or_else(|| Secret::new(stream))
    }

    /// Returns an error if there is no key.
    pub fn require_key(&self) -> Result<(), TargetUrlError> {
        self.key.as_ref().map(|_| ()).ok_or(TargetUrlError::NoKey)
    }

    /// Returns user and password, if the URL has any.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Returns the `tcUrl` for the command `connect`: without credentials and without the key.
    pub fn tc_url(&self) -> String {
        format!("{}{}/{}", self.scheme(), self.place(), self.app)
    }

    /// Returns the URL with [`MASK`] in place of the key and the password. Without a key, the result shows the
    /// application if it is a single word that no service would issue as a key, so that targets on one host can be
    /// distinguished. If the last `/` is within arguments of the application, the arguments may belong to the key. Then
    /// the result hides them, and also the path before them except for its first part.
    pub fn masked(&self) -> String {
        // The user as written, not decoded.
        let user = match (&self.credentials, self.expose().split_once("://")) {
            (Some(_), Some((_, rest))) => rest.split([':', '@', '/']).next().unwrap_or_default(),
            _ => "",
        };
        let password = if user.is_empty() { "" } else { ":***@" };
        let app = match arguments::split(&self.app) {
            (folders, Some(_)) => folders.rsplit_once('/').map_or(folders, |(before, _)| before),
            _ if self.key.is_none() => match self.app.rsplit_once('/') {
                Some((before, _)) => before,
                None if is_word(&self.app) => &self.app,
                None => "",
            },
            _ => &self.app,
        };
        let slash = if app.is_empty() { "" } else { "/" };
        format!("{}{user}{password}{}/{app}{slash}{MASK}", self.scheme(), self.place())
    }

    /// Returns a message of another server with [`MASK`] in place of the key and the password. A text of less than six
    /// bytes does not count as a secret, because it may be an ordinary word.
    pub fn masked_in(&self, text: &str) -> String {
        let key = self.key.as_ref().map_or("", Secret::expose);
        let (name, arguments) = arguments::split(key);
        let arguments = arguments.unwrap_or_default();
        let password = self.credentials.as_ref().map_or("", |credentials| credentials.password.expose());
        let hide = |text: String, secret: &str| match secret {
            secret if secret.len() < LEAST_SECRET => text,
            secret => text.replace(secret, MASK),
        };
        // A service may repeat only one of the arguments.
        let values = arguments
            .split('&')
            .map(|argument| argument.split_once('=').map_or(argument, |(_, value)| value));
        let secrets = [key, name, arguments, password].into_iter().chain(values);
        secrets.fold(text.to_owned(), hide)
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "rtmps://" } else { "rtmp://" }
    }

    fn place(&self) -> String {
        match self.shown_port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }
}

/// Returns whether the text looks like a name for an application rather than a key: short, and without digits between
/// letters.
fn is_word(app: &str) -> bool {
    const LONGEST: usize = 24;
    let inner = app.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_name = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_' | b'.');
    app.len() <= LONGEST && !inner.is_empty() && inner.bytes().all(is_name) && !app.starts_with("wk_")
}

/// Parses `user:password` or `user`, without the `@`.
fn parse_credentials(userinfo: &str) -> Result<Credentials, TargetUrlError> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    if password == MASK {
        return Err(TargetUrlError::Masked);
    }
    for (part, len) in [("user", user.len()), ("password", password.len())] {
        if len > MAX_PART_LEN {
            return Err(TargetUrlError::PartTooLong { part, len });
        }
    }
    let user = percent_decoded(user).filter(|user| !user.is_empty());
    match (user, percent_decoded(password)) {
        (Some(user), Some(password)) => Ok(Credentials { user, password: Secret::new(password) }),
        _ => Err(TargetUrlError::BadCredentials),
    }
}

/// Returns `None` for text that is not well-formed, not UTF-8, or contains a control character.
fn percent_decoded(text: &str) -> Option<String> {
    let bytes = escape::decoded(text)?;
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

/// Parses `host`, `host:port`, `[address]` or `[address]:port`.
fn parse_place(place: &str) -> Result<(Host, Option<u16>), TargetUrlError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (addr, port) = rest.split_once(']').ok_or(TargetUrlError::BadHost)?;
            let addr: Ipv6Addr = addr.parse().map_err(|_| TargetUrlError::BadHost)?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or(TargetUrlError::BadHost)?),
            };
            (Host::Addr(IpAddr::V6(addr)), port)
        }
        None => {
            let (host, port) = match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            };
            (parse_host(host)?, port)
        }
    };
    Ok((host, port.map(parse_port).transpose()?))
}

fn parse_port(port: &str) -> Result<u16, TargetUrlError> {
    // `parse` alone would accept "+80".
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(number @ 1..) if digits => Ok(number),
        _ => Err(TargetUrlError::BadPort),
    }
}

/// Parses a name of labels (RFC 1123, section 2.1, and `_`, which resolvers accept), or an IPv4 address. A text that a
/// C library reads as a number, such as `127.1`, is neither.
fn parse_host(host: &str) -> Result<Host, TargetUrlError> {
    if host.is_empty() {
        return Err(TargetUrlError::NoHost);
    }
    if let Ok(addr) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Addr(IpAddr::V4(addr)));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let is_number = |label: &str| {
        let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
        hex.map_or(label.bytes().all(|byte| byte.is_ascii_digit()), |hex| {
            hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    if name.len() <= MAX_HOST_LEN && name.split('.').all(is_label) && !is_number(last) {
        Ok(Host::Name(host.to_owned()))
    } else {
        Err(TargetUrlError::BadHost)
    }
}

/// Splits the text after the host and its slash into application and key. There is no key if the path has only an
/// application, or nothing after its slash.
fn parse_path(path: &str) -> Result<(&str, Option<&str>), TargetUrlError> {
    let (app, key) = match path.rsplit_once('/') {
        _ if path.is_empty() => return Err(TargetUrlError::NoApp),
        Some((app, "")) => (app, None),
        Some((app, key)) => (app, Some(key)),
        None => (path, None),
    };
    let folders = arguments::name(app);
    match () {
        () if folders.split('/').any(str::is_empty) => Err(TargetUrlError::EmptyPart),
        // Arguments of the application could also be meant for the key.
        () if key.map_or(app.contains('?'), |key| key == "?") => Err(TargetUrlError::NoKey),
        () if key == Some(MASK) || app.split('/').any(|part| part == MASK) => Err(TargetUrlError::Masked),
        () if folders.contains('@') => Err(TargetUrlError::AtInApp),
        () => Ok((app, key)),
    }
}

impl FromStr for TargetUrl {
    type Err = TargetUrlError;

    fn from_str(text: &str) -> Result<TargetUrl, TargetUrlError> {
        TargetUrl::parse(text)
    }
}

impl PartialEq for TargetUrl {
    fn eq(&self, other: &TargetUrl) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for TargetUrl {}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Addr(IpAddr::V4(addr)) => addr.fmt(f),
            Host::Addr(IpAddr::V6(addr)) => write!(f, "[{addr}]"),
        }
    }
}

#[cfg(test)]
mod tests;
