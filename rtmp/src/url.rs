//! `rtmp://[user:password@]host[:port]/app[/more]/name[?args]`.

use std::fmt;
use std::str::FromStr;

/// The port of `rtmp://` URLs without a port.
pub const DEFAULT_PORT: u16 = 1935;
/// The port of `rtmps://` URLs without a port.
pub const DEFAULT_TLS_PORT: u16 = 443;

/// The address of a stream to publish or play. Its name may be a key, so that neither `Debug` nor `Display` show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether the scheme is `rtmps`. The caller must provide TLS.
    pub tls: bool,
    /// User and password, as written.
    pub credentials: Option<(String, String)>,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// The port: as written, or else 1935, or 443 with TLS.
    pub port: u16,
    /// The application, including `/` if it has several parts.
    pub app: String,
    /// The stream's name with its arguments, as in `publish` and `play`.
    pub name: String,
}

/// Why a text is not such a URL. The message does not repeat the text, because it may contain a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The URL begins with neither `rtmp://` nor `rtmps://`.
    #[error("url must begin with rtmp:// or rtmps://")]
    Scheme,
    /// The host is empty.
    #[error("url has no host")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("url has an invalid port")]
    Port,
    /// The path has fewer than two parts.
    #[error("url must end in /app/name")]
    Path,
    /// The URL contains white space or a control character.
    #[error("url contains a space or a control character")]
    Character,
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Error::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(Error::Scheme)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "rtmp" => false,
            "rtmps" => true,
            _ => return Err(Error::Scheme),
        };
        let (authority, path) = rest.split_once('/').ok_or(Error::Path)?;
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((who, place)) => {
                let (user, password) = who.split_once(':').unwrap_or((who, ""));
                (Some((user.to_owned(), password.to_owned())), place)
            }
            None => (None, authority),
        };
        let (host, port) = split_port(place)?;
        let port = match port {
            None => default_port(tls),
            Some(digits) => digits.parse().ok().filter(|port| *port > 0).ok_or(Error::Port)?,
        };
        let (app, name) = split_path(path).ok_or(Error::Path)?;
        Ok(Self { tls, credentials, host: host.to_owned(), port, app: app.to_owned(), name: name.to_owned() })
    }
}

/// Returns the port of a URL without a port.
pub fn default_port(tls: bool) -> u16 {
    if tls { DEFAULT_TLS_PORT } else { DEFAULT_PORT }
}

fn split_port(place: &str) -> Result<(&str, Option<&str>), Error> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(Error::Host)?;
            match port {
                "" => (host, None),
                _ => (host, Some(port.strip_prefix(':').ok_or(Error::Port)?)),
            }
        }
        None => match place.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() { Err(Error::Host) } else { Ok((host, port)) }
}

/// Splits a path into application and name at the last slash that is not within arguments. Some services require
/// arguments on the application (`live2?backup=1/name`), so a `?` in the first part belongs to the application.
fn split_path(path: &str) -> Option<(&str, &str)> {
    let first_slash = path.find('/')?;
    let cut = match path.find('?') {
        Some(question) if question > first_slash => path[..question].rfind('/')?,
        Some(_) => first_slash,
        None => path.rfind('/')?,
    };
    let (app, name) = (&path[..cut], &path[cut + 1..]);
    (!app.is_empty() && !name.is_empty()).then_some((app, name))
}

impl Url {
    /// Returns the URL without name and credentials, as in `connect`.
    pub fn tc_url(&self) -> String {
        format!("{}/{}", self.origin(""), self.app)
    }

    fn origin(&self, credentials: &str) -> String {
        let scheme = if self.tls { "rtmps" } else { "rtmp" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        let port =
            if self.port == default_port(self.tls) { String::new() } else { format!(":{}", self.port) };
        format!("{scheme}://{credentials}{open}{}{close}{port}", self.host)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials =
            self.credentials.as_ref().map(|(user, _)| format!("{user}:***@")).unwrap_or_default();
        // Arguments of the application may be as secret as the name.
        let app = self.app.split('?').next().unwrap_or_default();
        write!(f, "{}/{app}/***", self.origin(&credentials))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}
