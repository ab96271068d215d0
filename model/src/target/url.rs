//! The URL of a target: `rtmp://user:password@host:port/app/inst?args/key?args`. Without a key, streams keep their names; a
//! key may consist of arguments alone, as in `rtmp://host/app/?streamname=x&key=y`.
//!
//! Nothing in it is replaced or mended: the application and the key go to the target as they are
//! written. Only user and password are percent-decoded.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::arguments;
use crate::escape;
use crate::secret::Secret;

/// What stands in place of the key and the password wherever a URL is shown.
pub const MASK: &str = "***";

/// What has fewer bytes can be guessed.
const LEAST_SECRET: usize = 6;

/// The longest URL, in bytes.
pub const MAX_URL_LEN: usize = 2048;

/// The longest user and password, in bytes. Application and key may fill the URL: services hand out keys of more than 300
/// bytes, with a signature in them.
pub const MAX_PART_LEN: usize = 255;

/// The longest name of a host, in bytes (RFC 1035, section 2.3.4, written with dots).
const MAX_HOST_LEN: usize = 253;

/// Where a target is: checked, and taken apart. It prints with key and password masked.
#[derive(Clone)]
pub struct TargetUrl {
    text: Secret,
    tls: bool,
    host: Host,
    port: u16,
    /// As it is written, to be left out where it is the default.
    shown_port: Option<u16>,
    app: String,
    key: Option<Secret>,
    credentials: Option<Credentials>,
}

/// What a target may ask for before it takes a stream. Percent-decoded.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Who.
    pub user: String,
    /// May be empty.
    pub password: Secret,
}

/// The host of a URL. Displays as in a URL, an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name to be resolved, as it was written.
    Name(String),
    /// An address.
    Addr(IpAddr),
}

/// Why a text is no URL of a target. No message repeats anything of the text, as it holds secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetUrlError {
    /// More than [`MAX_URL_LEN`] bytes.
    #[error("url of {len} bytes, at most {MAX_URL_LEN} are allowed")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A space, a control character, or one outside ASCII.
    #[error(
        "space, control character or character outside ascii at byte {at}, expected printable ascii, others as %XX"
    )]
    BadCharacter {
        /// Where it stands, from 0.
        at: usize,
    },
    /// It starts with neither `rtmp://` nor `rtmps://`.
    #[error("unknown scheme, expected rtmp:// or rtmps://")]
    BadScheme,
    /// It holds the mask that answers show in place of secrets.
    #[error("{MASK} replaces the key or the password, expected the whole url with its secrets")]
    Masked,
    /// A user that is empty, or whose `%` is not followed by two hex digits, and likewise a password.
    #[error(
        "bad user or password, expected user:password@ with %XX for \"/\", \"@\", \":\" and \"%\" in them"
    )]
    BadCredentials,
    /// Nothing where the host should be.
    #[error("no host, expected rtmp://host/app/key")]
    NoHost,
    /// Neither a name nor an address.
    #[error("bad host, expected a name, an IPv4 address or an IPv6 address in brackets")]
    BadHost,
    /// No port number.
    #[error("bad port, expected 1 to 65535")]
    BadPort,
    /// Nothing after the host.
    #[error("no application, expected rtmp://host/app/key")]
    NoApp,
    /// Nothing after the application, where a key is needed.
    #[error("no stream key, expected rtmp://host/app/key")]
    NoKey,
    /// `//` in the path.
    #[error("empty part in the path, expected no \"//\" after the host")]
    EmptyPart,
    /// `@` in the application: what was meant as password ended up there.
    #[error("\"@\" in the application, expected %2F for \"/\" in the password")]
    AtInApp,
    /// A user or a password of more than [`MAX_PART_LEN`] bytes.
    #[error("{part} of {len} bytes, at most {MAX_PART_LEN} are allowed")]
    PartTooLong {
        /// What it is.
        part: &'static str,
        /// Its length in bytes.
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
            port: shown_port.unwrap_or(if tls { 443 } else { 1935 }),
            shown_port,
            app: app.to_owned(),
            key: key.map(Secret::new),
            credentials,
        })
    }

    /// The whole text with its secrets. Each caller answers for where it goes.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Whether both lead to the same place: the case of a host's name, a default port, and a slash at the end make no difference.
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

    /// Whether it is `rtmps://`.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whom to connect to.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// 1935, or 443 for `rtmps://`, unless it is written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What stands between the host and the last `/`, without a slash at either end; with its arguments.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Under what a stream is published there: the stream key, which is what stands after the last `/`, with its
    /// arguments; the stream's own name where there is none.
    pub fn key_for(&self, stream: &str) -> Secret {
        self.key.clone().unwrap_or_else(|| Secret::new(stream))
    }

    /// An error unless there is a key.
    pub fn require_key(&self) -> Result<(), TargetUrlError> {
        self.key.as_ref().map(|_| ()).ok_or(TargetUrlError::NoKey)
    }

    /// User and password, if it has any.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// What the command `connect` names as `tcUrl`: without credentials and without the key.
    pub fn tc_url(&self) -> String {
        format!("{}{}/{}", self.scheme(), self.place(), self.app)
    }

    /// The URL with [`MASK`] in place of the key and of the password. Without a key, the application is shown when it is a single
    /// word that no service would give as a key: so targets on one host stay apart. Where arguments of the application hold the
    /// last `/`, they may as well be the key's, so they are not shown, nor what they follow unless it comes first.
    pub fn masked(&self) -> String {
        // The user as it was written, not decoded.
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

    /// What another server says, with [`MASK`] in place of the key and the password that it may repeat. What is
    /// shorter than six bytes is no secret, and may be a word.
    pub fn masked_in(&self, text: &str) -> String {
        let key = self.key.as_ref().map_or("", Secret::expose);
        let (name, arguments) = arguments::split(key);
        let arguments = arguments.unwrap_or_default();
        let password = self.credentials.as_ref().map_or("", |credentials| credentials.password.expose());
        let hide = |text: String, secret: &str| match secret {
            secret if secret.len() < LEAST_SECRET => text,
            secret => text.replace(secret, MASK),
        };
        // A service may repeat one of the arguments alone.
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

/// A name that people give to an application, rather than a key: short, and no digits in the midst of letters.
fn is_word(app: &str) -> bool {
    const LONGEST: usize = 24;
    let inner = app.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_name = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_' | b'.');
    app.len() <= LONGEST && !inner.is_empty() && inner.bytes().all(is_name) && !app.starts_with("wk_")
}

/// `user:password` or `user`, without the `@`.
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

/// `None` for what is not well-formed, not UTF-8, or holds a control character.
fn percent_decoded(text: &str) -> Option<String> {
    let bytes = escape::decoded(text)?;
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

/// `host`, `host:port`, `[address]` or `[address]:port`.
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
    // `parse` alone would take "+80".
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(number @ 1..) if digits => Ok(number),
        _ => Err(TargetUrlError::BadPort),
    }
}

/// A name of labels (RFC 1123, section 2.1, and `_`, which resolvers take), or an IPv4 address. What
/// looks like a number to a C library, such as `127.1`, is neither.
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

/// Application and key, from what stands after the host and its slash. There is no key where only an application is, or
/// nothing behind its slash.
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
        // Arguments of the application may as well be meant for the key.
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
