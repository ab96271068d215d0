//! `[web]`: the daemon's pages for viewers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::Spanned;
use weir_model::Network;

use super::check::{Checked, Unfit, absolute, number, parsed, problem, text_or};

pub(in crate::config) mod raw {
    use serde::Deserialize;
    use toml::Spanned;

    use crate::config::check::{Number, Text};

    /// `[web]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Web {
        pub listen: Text,
        pub base: Text,
        pub trusted_proxies: Vec<Spanned<String>>,
        pub url: Text,
        pub play: Text,
        pub max_connections: Number,
        pub max_connections_per_address: Number,
        pub admins_file: Text,
        pub remote_user: Option<Spanned<bool>>,
        pub embed_origins: Option<Vec<Spanned<String>>>,
        pub brand: Brand,
    }

    /// `[web.brand]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Brand {
        pub name: Text,
        pub logo: Text,
        pub color: Text,
        pub color_dark: Text,
        pub imprint: Text,
        pub privacy: Text,
    }
}

/// Default file of the dashboard's accounts.
pub(crate) const DEFAULT_ADMINS: &str = "/var/lib/weir/admins";

/// Settings of the daemon's pages for viewers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Web {
    /// Address; `None` if it is `"off"`.
    pub listen: Option<SocketAddr>,
    /// Whether the file sets the address. If a configured address is in use, that is an error; if the default is in use, no pages
    /// are served.
    pub is_explicit: bool,
    /// Path of the pages; starts and ends with `/`.
    pub base: String,
    /// Proxies whose `X-Forwarded-` headers are trusted.
    pub trusted_proxies: Vec<Network>,
    /// URL of this server in links, including [`base`](Self::base) or the proxy's path; has no `/` at its end.
    pub url: Option<String>,
    /// Viewers who may watch.
    pub play: Play,
    /// Maximum number of open connections.
    pub max_connections: usize,
    /// Maximum number of open connections per client, except for this machine and trusted proxies.
    pub max_connections_per_address: usize,
    /// File of the dashboard's accounts.
    pub admins_file: PathBuf,
    /// Whether a trusted proxy names the logged-in user in `Remote-User`.
    pub remote_user: bool,
    /// Sites whose pages may embed the player; `None` allows all sites.
    pub embed_origins: Option<Vec<String>>,
    /// Design of the pages.
    pub brand: Brand,
}

impl Web {
    /// Returns the URL of these pages: `url` if it is set, otherwise one for browsers on this machine. It has no `/` at its end.
    pub(crate) fn own_url(&self) -> String {
        let listen = self.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8090)));
        let host = if listen.ip().is_unspecified() {
            SocketAddr::from(([127, 0, 0, 1], listen.port()))
        } else {
            listen
        };
        self.url.clone().unwrap_or_else(|| format!("http://{host}{}", self.base.trim_end_matches('/')))
    }
}

/// Design of the pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Brand {
    /// Name of the site.
    pub name: Option<String>,
    /// Image file of the logo.
    pub logo: Option<PathBuf>,
    /// Colour of links and buttons on a light background: `#` and six hexadecimal digits.
    pub color: Option<String>,
    /// Colour of links and buttons on a dark background.
    pub color_dark: Option<String>,
    /// URL of the imprint.
    pub imprint: Option<String>,
    /// URL of the privacy policy.
    pub privacy: Option<String>,
}

/// Viewers who may watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Play {
    /// As in nginx: an application with `weir_play token` requires a token, and any other application is open.
    AsNginx,
    /// Everybody.
    Open,
    /// Bearers of a play token.
    Token,
}

/// Checks `[web]`. `secret` is the `secret_file` of `[nginx]`.
pub(super) fn web(raw: raw::Web, secret: Option<&Path>) -> Checked<Web> {
    let default = || Some(SocketAddr::from(([127, 0, 0, 1], 8090)));
    let play = text_or("play", &raw.play, || Play::AsNginx, play)?;
    if let (Play::Token, None, Some(text)) = (play, secret, &raw.play) {
        return problem(
            text,
            "play = \"token\": secret_file of [nginx] is missing, such as secret_file = \"/etc/weir/secret\"",
        );
    }
    let remote_user = raw.remote_user.as_ref().is_some_and(|written| *written.get_ref());
    if let (true, true, Some(written)) = (remote_user, raw.trusted_proxies.is_empty(), &raw.remote_user) {
        return problem(
            written,
            "remote_user = true: trusted_proxies is missing: name the proxy that logs users in, such as [\"127.0.0.1\"]",
        );
    }
    let max_connections = number("max_connections", &raw.max_connections, 10_000, 10, 1_000_000)?;
    let share = (max_connections / 10).max(10);
    let per_address = &raw.max_connections_per_address;
    let per_address = number("max_connections_per_address", per_address, share, 1, 1_000_000)?;
    Ok(Web {
        admins_file: text_or("admins_file", &raw.admins_file, || DEFAULT_ADMINS.into(), absolute)?,
        remote_user,
        is_explicit: raw.listen.is_some(),
        listen: text_or("listen", &raw.listen, default, listen)?,
        base: text_or("base", &raw.base, || "/".into(), base)?,
        trusted_proxies: raw.trusted_proxies.iter().map(network).collect::<Checked<_>>()?,
        url: text_or("url", &raw.url, || None, |text| url(text).map(Some))?,
        play,
        max_connections: max_connections as usize,
        max_connections_per_address: per_address as usize,
        embed_origins: embed_origins(raw.embed_origins)?,
        brand: brand(&raw.brand)?,
    })
}

/// Checks the sites that may embed the player; `["*"]` allows every site.
fn embed_origins(written: Option<Vec<Spanned<String>>>) -> Checked<Option<Vec<String>>> {
    let Some(written) = written else { return Ok(None) };
    if written.iter().any(|one| one.get_ref() == "*") {
        return Ok(None);
    }
    let origin = |one: Spanned<String>| match origin(one.get_ref()) {
        Ok(origin) => Ok(origin),
        Err(why) => problem(&one, format!("embed_origins: {:?}: {why}", one.get_ref())),
    };
    written.into_iter().map(origin).collect::<Checked<_>>().map(Some)
}

/// Checks a site. It becomes part of a header.
fn origin(text: &str) -> Result<String, Unfit> {
    const HOW: Unfit = Unfit::Remedy("write it as https://www.example.org, or \"*\" for all sites");
    let parsed = reqwest::Url::parse(text).map_err(|_| HOW)?;
    let origin = parsed.origin().ascii_serialization();
    let is_plain = matches!(parsed.scheme(), "http" | "https") && text.trim_end_matches('/') == origin;
    if is_plain { Ok(origin) } else { Err(HOW) }
}

fn brand(raw: &raw::Brand) -> Checked<Brand> {
    let short = |text: &str| match text.chars().count() {
        1..=60 => Ok(Some(text.to_owned())),
        _ => Err(Unfit::Remedy("must have 1 to 60 characters")),
    };
    let page = |text: &str| {
        let parsed = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let is_path = text.starts_with('/') && !text.starts_with("//");
        match (parsed, is_path) {
            (Some(url), _) => Ok(Some(url.to_string())),
            (None, true) => Ok(Some(text.to_owned())),
            (None, false) => Err(Unfit::Remedy("write it as https://www.example.org/imprint or /imprint")),
        }
    };
    Ok(Brand {
        name: text_or("name", &raw.name, || None, short)?,
        logo: text_or("logo", &raw.logo, || None, |text| absolute(text).map(Some))?,
        color: text_or("color", &raw.color, || None, color)?,
        color_dark: text_or("color_dark", &raw.color_dark, || None, color)?,
        imprint: text_or("imprint", &raw.imprint, || None, page)?,
        privacy: text_or("privacy", &raw.privacy, || None, page)?,
    })
}

/// Checks a colour. It becomes part of a style sheet.
fn color(text: &str) -> Result<Option<String>, Unfit> {
    match text.strip_prefix('#') {
        Some(digits) if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Ok(Some(text.to_owned()))
        }
        _ => Err(Unfit::Remedy("write it as \"#0a58ca\"")),
    }
}

fn listen(text: &str) -> Result<Option<SocketAddr>, Unfit> {
    match text {
        "off" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| Unfit::Remedy("write it as 127.0.0.1:8090, or \"off\"")),
    }
}

fn play(text: &str) -> Result<Play, Unfit> {
    match text {
        // nginx's weir_play says "off".
        "open" | "off" => Ok(Play::Open),
        "token" => Ok(Play::Token),
        _ => Err(Unfit::Remedy("must be \"open\" or \"token\"")),
    }
}

/// Checks the path of the pages. It is inserted into pages and links without escaping.
fn base(text: &str) -> Result<String, Unfit> {
    const HOW: Unfit = Unfit::Remedy("write it as /tv/, with letters, digits and . _ - in its parts");
    let Some(inner) = text.strip_prefix('/') else { return Err(HOW) };
    let inner = inner.strip_suffix('/').filter(|inner| !inner.is_empty()).unwrap_or(inner);
    match inner.is_empty() || inner.split('/').all(is_plain) {
        true if inner.is_empty() => Ok("/".into()),
        true => Ok(format!("/{inner}/")),
        false => Err(HOW),
    }
}

/// Returns whether a part of a path needs no escaping and is not `.` or `..`.
fn is_plain(part: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !part.is_empty() && !part.bytes().all(|byte| byte == b'.') && part.bytes().all(fits)
}

fn url(text: &str) -> Result<String, Unfit> {
    const HOW: Unfit = Unfit::Remedy("write it as https://live.example.org or https://example.org/tv");
    let parsed = reqwest::Url::parse(text).map_err(|_| HOW)?;
    let is_plain = matches!(parsed.scheme(), "http" | "https")
        && parsed.has_host()
        && parsed.username().is_empty()
        && parsed.password().is_none()
        && parsed.query().is_none()
        && parsed.fragment().is_none();
    if is_plain { Ok(parsed.as_str().trim_end_matches('/').to_owned()) } else { Err(HOW) }
}

fn network(text: &Spanned<String>) -> Checked<Network> {
    parsed(text.get_ref())
        .or_else(|why: Unfit| problem(text, format!("trusted_proxies: {:?}: {why}", text.get_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Error, parse};

    fn read(text: &str) -> Result<Web, Error> {
        parse(Path::new("weir.toml"), text).map(|config| config.web)
    }

    #[test]
    fn defaults_and_values() {
        let web = read("").unwrap();
        assert_eq!(web.listen, Some("127.0.0.1:8090".parse().unwrap()));
        assert_eq!((web.base.as_str(), web.is_explicit, web.play), ("/", false, Play::AsNginx));
        assert_eq!((web.max_connections, web.max_connections_per_address), (10_000, 1000));
        let web = read(
            "[nginx]\nsecret_file = \"/s\"\n[web]\nlisten = \"off\"\nbase = \"/tv/eu\"\nplay = \"token\"\n\
             trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\nurl = \"https://example.org/tv/\"\n",
        )
        .unwrap();
        assert_eq!((web.listen, web.base.as_str(), web.play), (None, "/tv/eu/", Play::Token));
        assert_eq!(web.url.as_deref(), Some("https://example.org/tv"));
        assert_eq!(web.trusted_proxies.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, expected) in [
            ("listen = \"8090\"", "weir.toml:2: listen = \"8090\": write it as 127.0.0.1:8090, or \"off\""),
            ("base = \"tv\"", "weir.toml:2: base = \"tv\": write it as /tv/"),
            ("base = \"/tv//x\"", "write it as /tv/"),
            ("base = \"//\"", "write it as /tv/"),
            ("base = \"/../\"", "write it as /tv/"),
            ("base = \"/a b/\"", "write it as /tv/"),
            ("url = \"live.example.org\"", "weir.toml:2: url = \"live.example.org\": write it as https://"),
            ("url = \"https://u:p@example.org\"", "write it as https://"),
            ("url = \"https://example.org/?x\"", "write it as https://"),
            ("trusted_proxies = [\"here\"]", "weir.toml:2: trusted_proxies: \"here\": not a network"),
            ("trusted_proxies = \"127.0.0.1\"", "weir.toml:2: trusted_proxies: invalid type"),
            ("play = \"key\"", "weir.toml:2: play = \"key\": must be \"open\" or \"token\""),
            ("\nplay = \"token\"", "weir.toml:3: play = \"token\": secret_file of [nginx] is missing"),
            ("max_connections = 1", "weir.toml:2: max_connections = 1: must be from 10 to 1000000"),
            (
                "admins_file = \"admins\"",
                "weir.toml:2: admins_file = \"admins\": write a path that begins with /",
            ),
            ("remote_user = true", "weir.toml:2: remote_user = true: trusted_proxies is missing"),
            ("embed_origins = [\"https://a.example/x\"]", "write it as https://www.example.org"),
            ("brand = { color = \"red\" }", "color = \"red\": write it as \"#0a58ca\""),
            ("brand = { imprint = \"javascript:x\" }", "write it as https://www.example.org/imprint"),
            ("port = 1", "weir.toml:2: unknown field `port`"),
        ] {
            let error = read(&format!("[web]\n{text}\n")).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
