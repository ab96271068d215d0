//! Links for viewers: the addresses of a stream, each with a token.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use weir_rtmp::url::DEFAULT_PORT;

use crate::api::ApiError;
use crate::escape;
use crate::fields::Fields;
use crate::network::Network;
use crate::stream_name::{AppName, StreamName};
use crate::time::Timestamp;
use crate::token::{Action, Claims, MAX_TTL_S, Subject};

/// Default lifetime of a link, in seconds: 3 hours.
pub const DEFAULT_TTL_S: u64 = 10_800;

/// Maximum length of an address and of a pattern, in bytes.
const MAX_LEN: usize = 512;

/// The address of a server as viewers see it: `https://live.example.org`, with a path if the server is below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base(String);

/// The text is not the address of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write it as https://live.example.org, https://live.example.org:8443 or https://example.org/tv")]
pub struct BaseError;

/// An address that contains `{url}`, `{host}`, `{app}` and `{stream}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// The text is not a pattern of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write it as {{url}}/hls/{{stream}}.m3u8 or rtmp://{{host}}/{{app}}/{{stream}}: a host and a path without spaces, only {{url}}, {{host}}, \
     {{app}} and {{stream}} in braces, and {{url}} only at the beginning"
)]
pub struct PatternError;

/// Patterns of a stream's addresses that replace the default ones. The defaults match `nginx-conf/single-node`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns {
    /// Pattern of the page.
    pub watch: Option<Pattern>,
    /// Pattern of the HLS playlist.
    pub hls: Option<Pattern>,
    /// Pattern of the DASH manifest.
    pub dash: Option<Pattern>,
    /// Pattern of the RTMP address.
    pub rtmp: Option<Pattern>,
}

/// The body of `POST /v1/links`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRequest {
    /// The application.
    pub app: AppName,
    /// The public name of the stream, which the token in the links permits.
    pub stream: StreamName,
    /// Lifetime of the links, in seconds.
    pub ttl_s: u64,
    /// The network to which the token is limited.
    pub ip: Option<Network>,
    /// The address of the server as viewers see it.
    pub url: Option<Base>,
    /// Patterns that replace the default addresses.
    pub patterns: Patterns,
}

/// Facts about a stream's application from nginx's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Whether the application writes DASH.
    pub dash: bool,
    /// The RTMP port, if known.
    pub rtmp_port: Option<u16>,
}

/// The addresses of a stream, each with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// The address of the page.
    pub watch: String,
    /// The address of the HLS playlist.
    pub hls: String,
    /// The address of the DASH manifest, if the application writes one or the request has a pattern for it.
    pub dash: Option<String>,
    /// The RTMP address.
    pub rtmp: String,
}

impl LinkRequest {
    /// Reads a body. An error 400 names the field.
    pub fn from_json(body: &[u8]) -> Result<LinkRequest, ApiError> {
        let mut fields = Fields::parse(body)?;
        let (app, stream) = (fields.parsed("app")?, fields.parsed("stream")?);
        let ttl_s = fields.optional_u64("ttl_s")?.unwrap_or(DEFAULT_TTL_S);
        let (ip, url) = (fields.optional_parsed("ip")?, fields.optional_parsed("url")?);
        let patterns = Patterns {
            watch: fields.optional_parsed("watch_url")?,
            hls: fields.optional_parsed("hls_url")?,
            dash: fields.optional_parsed("dash_url")?,
            rtmp: fields.optional_parsed("rtmp_url")?,
        };
        fields.finish()?;
        patterns.check()?;
        if !(1..=MAX_TTL_S).contains(&ttl_s) {
            return Err(ApiError::bad_field("ttl_s", format_args!("expected 1 to {MAX_TTL_S}")));
        }
        Ok(LinkRequest { app, stream, ttl_s, ip, url, patterns })
    }

    /// Returns the claims of the token in the links. `exp` is a whole second.
    #[must_use]
    pub fn claims(&self, now: Timestamp) -> Claims {
        Claims {
            sub: Subject { app: self.app.clone(), stream: Some(self.stream.clone()) },
            act: Action::Play,
            exp: Timestamp::default().plus_seconds(now.as_seconds()).plus_seconds(self.ttl_s),
            nbf: None,
            iat: None,
            jti: None,
            ip: self.ip,
            yields: false,
        }
    }

    /// Returns the links. They use the server address of the request, or else `asked_at`.
    #[must_use]
    pub fn links(&self, asked_at: &Base, offer: Offer, token: &str) -> Links {
        let base = self.url.as_ref().unwrap_or(asked_at);
        let rtmp = match offer.rtmp_port {
            None | Some(DEFAULT_PORT) => "rtmp://{host}/{app}/{stream}".to_owned(),
            Some(port) => format!("rtmp://{{host}}:{port}/{{app}}/{{stream}}"),
        };
        let with = |pattern: Option<&Pattern>, usual: &str| {
            let pattern = pattern.map_or(usual, |pattern| &pattern.0);
            let address = pattern
                .replace("{url}", &base.0)
                .replace("{host}", base.host())
                .replace("{app}", self.app.as_str())
                .replace("{stream}", self.stream.as_str());
            let sign = if address.contains('?') { '&' } else { '?' };
            format!("{address}{sign}token={token}")
        };
        let Patterns { watch, hls, dash, rtmp: own_rtmp } = &self.patterns;
        let has_dash = offer.dash || dash.is_some();
        Links {
            watch: with(watch.as_ref(), "{url}/?stream={stream}"),
            hls: with(hls.as_ref(), "{url}/hls/{stream}.m3u8"),
            dash: has_dash.then(|| with(dash.as_ref(), "{url}/dash/{stream}.mpd")),
            rtmp: with(own_rtmp.as_ref(), &rtmp),
        }
    }
}

impl Patterns {
    /// Checks the schemes: pages and playlists need HTTP, and RTMP addresses need an RTMP scheme.
    fn check(&self) -> Result<(), ApiError> {
        let web = [("watch_url", &self.watch), ("hls_url", &self.hls), ("dash_url", &self.dash)];
        let wrong = web.into_iter().find(|(_, pattern)| pattern.as_ref().is_some_and(Pattern::is_rtmp));
        if let Some((field, _)) = wrong {
            return Err(ApiError::bad_field(field, "expected {url}/..., http:// or https://"));
        }
        match &self.rtmp {
            Some(pattern) if !pattern.is_rtmp() => {
                Err(ApiError::bad_field("rtmp_url", "expected rtmp:// or rtmps://"))
            }
            _ => Ok(()),
        }
    }
}

impl Pattern {
    /// Returns whether the pattern is an RTMP address.
    #[must_use]
    pub fn is_rtmp(&self) -> bool {
        self.0.starts_with("rtmp")
    }
}

impl Base {
    /// Returns the address of the server under the host name that the client used, or `None` if that text is not a
    /// host.
    #[must_use]
    pub fn of_host(host: &str) -> Option<Base> {
        format!("http://{host}").parse().ok().filter(|base: &Base| base.0.matches('/').count() == 2)
    }

    /// Returns the host without the port.
    fn host(&self) -> &str {
        let authority = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split('/').next().unwrap_or_default();
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        }
    }

    /// Returns the address as text, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Base {
    type Err = BaseError;

    fn from_str(text: &str) -> Result<Base, BaseError> {
        let text = text.trim_end_matches('/');
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(BaseError)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~/%".contains(&byte);
        let good = text.len() <= MAX_LEN && is_authority(host) && path.bytes().all(is_path) && is_plain(path);
        if good { Ok(Base(text.to_owned())) } else { Err(BaseError) }
    }
}

/// Returns whether a text is `host` or `host:port`: a name, an IPv4 address or an IPv6 address in brackets.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((addr, port)) if addr.parse::<Ipv6Addr>().is_ok() => ("", port),
            _ => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let is_host = text.starts_with('[') || host.strip_suffix('.').unwrap_or(host).split('.').all(is_label);
    let is_port = match port.strip_prefix(':') {
        Some(port) => {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
        }
        None => port.is_empty(),
    };
    is_host && is_port
}

/// Returns whether all clients read a path in the same manner: no empty parts, no `.` and `..`, and `%` only before two
/// hex digits.
fn is_plain(path: &str) -> bool {
    let file = path.split('?').next().unwrap_or_default();
    let file = file.strip_suffix('/').unwrap_or(file);
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    (file.is_empty() || file.split('/').all(is_part)) && escape::decoded(path).is_some()
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Pattern, PatternError> {
        let begins = ["{url}", "http://", "https://", "rtmp://", "rtmps://"];
        let mut plain = text.to_owned();
        for word in ["{url}", "{host}", "{app}", "{stream}"] {
            plain = plain.replace(word, "");
        }
        let good = text.len() <= MAX_LEN
            && begins.iter().any(|begin| text.starts_with(begin))
            && !text[1..].contains("{url}")
            && plain.bytes().all(|byte| byte.is_ascii_graphic() && !b"{}#\"'<>\\".contains(&byte))
            && is_address(text);
        if good { Ok(Pattern(text.to_owned())) } else { Err(PatternError) }
    }
}

/// Returns whether a pattern becomes an address after its placeholders are replaced.
fn is_address(pattern: &str) -> bool {
    let address = pattern
        .replace("{url}", "http://h")
        .replace("{host}", "h")
        .replace("{app}", "app")
        .replace("{stream}", "stream");
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    is_authority(authority) && is_plain(path.strip_prefix('/').unwrap_or(path))
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(body: &str, host: &str, offer: Offer) -> Links {
        let request = LinkRequest::from_json(body.as_bytes()).unwrap();
        request.links(&Base::of_host(host).unwrap(), offer, "T")
    }

    const PLAIN: Offer = Offer { dash: false, rtmp_port: None };

    #[test]
    fn the_usual_addresses_fit_the_sample() {
        let plain = links(r#"{"app":"live","stream":"show"}"#, "127.0.0.1:8080", PLAIN);
        assert_eq!(
            plain,
            Links {
                watch: "http://127.0.0.1:8080/?stream=show&token=T".into(),
                hls: "http://127.0.0.1:8080/hls/show.m3u8?token=T".into(),
                dash: None,
                rtmp: "rtmp://127.0.0.1/live/show?token=T".into(),
            }
        );
        let offer = Offer { dash: true, rtmp_port: Some(1936) };
        let public =
            links(r#"{"app":"a/b","stream":"s","url":"https://[2001:db8::1]:8443/tv/"}"#, "x", offer);
        assert_eq!(public.hls, "https://[2001:db8::1]:8443/tv/hls/s.m3u8?token=T");
        assert_eq!(public.dash.unwrap(), "https://[2001:db8::1]:8443/tv/dash/s.mpd?token=T");
        assert_eq!(public.rtmp, "rtmp://[2001:db8::1]:1936/a/b/s?token=T");
    }

    #[test]
    fn patterns_give_other_addresses() {
        let body = r#"{"app":"live","stream":"show","url":"https://live.example.org","watch_url":"{url}/watch/{app}/{stream}",
            "hls_url":"https://cdn.example.org/ladder/{app}/{stream}/master.m3u8?v=1","dash_url":"{url}/x.mpd","rtmp_url":"rtmps://{host}/{app}/{stream}"}"#;
        let found = links(body, "x", PLAIN);
        assert_eq!(found.watch, "https://live.example.org/watch/live/show?token=T");
        assert_eq!(found.hls, "https://cdn.example.org/ladder/live/show/master.m3u8?v=1&token=T");
        assert_eq!(found.dash.unwrap(), "https://live.example.org/x.mpd?token=T");
        assert_eq!(found.rtmp, "rtmps://live.example.org/live/show?token=T");
    }

    #[test]
    fn a_body_that_is_wrong_names_its_field() {
        for (body, field) in [
            (r#"{"app":"live"}"#, "stream"),
            (r#"{"app":"live","stream":"*"}"#, "stream"),
            (r#"{"app":"live","stream":"a","ttl_s":0}"#, "ttl_s"),
            (r#"{"app":"live","stream":"a","url":"live.example.org"}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://a b"}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://a/?x"}"#, "url"),
            (r#"{"app":"live","stream":"a","hls_url":"/hls/{stream}.m3u8"}"#, "hls_url"),
            (r#"{"app":"live","stream":"a","hls_url":"{url}/{name}"}"#, "hls_url"),
            (r#"{"app":"live","stream":"a","rtmp_url":"javascript:x"}"#, "rtmp_url"),
            (r#"{"app":"live","stream":"a","rtmp_url":"{url}/{stream}"}"#, "rtmp_url"),
            (r#"{"app":"live","stream":"a","rtmp_url":"https://{host}/{stream}"}"#, "rtmp_url"),
            (r#"{"app":"live","stream":"a","hls_url":"rtmp://{host}/{stream}"}"#, "hls_url"),
            (r#"{"app":"live","stream":"a","watch_url":"rtmps://{host}/{stream}"}"#, "watch_url"),
            (r#"{"app":"live","stream":"a","watch_url":""}"#, "watch_url"),
            (r#"{"app":"live","stream":"a","watch_url":"https://"}"#, "watch_url"),
            (r#"{"app":"live","stream":"a","watch_url":"https:///x"}"#, "watch_url"),
            (r#"{"app":"live","stream":"a","watch_url":"https://a/{url}"}"#, "watch_url"),
            (r#"{"app":"live","stream":"a","watch_url":"{url}{url}"}"#, "watch_url"),
            (r#"{"app":"live","stream":"a","dash_url":"https://user:word@h/x"}"#, "dash_url"),
            (r#"{"app":"live","stream":"a","dash_url":"{url}:99999/x"}"#, "dash_url"),
            (r#"{"app":"live","stream":"a","dash_url":"{url}/../x"}"#, "dash_url"),
            (r#"{"app":"live","stream":"a","dash_url":"{url}/%zz"}"#, "dash_url"),
            (r#"{"app":"live","stream":"a","url":["https://a"]}"#, "url"),
            (r#"{"app":"live","stream":"a","url":""}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://"}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://a:b:c"}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://a:0"}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://a:70000"}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://:80"}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://[::1"}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://[x]"}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://a..b"}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://-a"}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://a/../b"}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://a/b//c"}"#, "url"),
            (r#"{"app":"live","stream":"a","url":"https://a/%"}"#, "url"),
        ] {
            let message = LinkRequest::from_json(body.as_bytes()).unwrap_err().message;
            assert!(message.starts_with(&format!("field \"{field}\": ")), "{body}: {message}");
        }
        for url in ["https://a", "http://a.b.:80/", "https://[::1]:1/x", "http://192.0.2.1/a/b%20c"] {
            assert!(url.parse::<Base>().is_ok(), "{url}");
        }
        for pattern in
            ["{url}", "{url}/", "{url}/?stream={stream}", "https://{host}:8443/{app}/", "rtmp://{host}"]
        {
            assert!(pattern.parse::<Pattern>().is_ok(), "{pattern}");
        }
        assert_eq!(Base::of_host("evil/x"), None);
        assert_eq!(LinkRequest::from_json(br#"{"app":"live","stream":"a"}"#).unwrap().ttl_s, DEFAULT_TTL_S);
    }
}
