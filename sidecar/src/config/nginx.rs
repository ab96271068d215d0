//! `[nginx]`: addresses and credentials of nginx.

use std::fmt;
use std::path::PathBuf;

use toml::Spanned;

use weir_model::link::{Pattern, Patterns};
use weir_rtmp::url::DEFAULT_PORT;

use super::check::{Checked, Text, Unfit, absolute, parsed, problem, text_or};
use crate::nginx::ApiUrl;

pub(in crate::config) mod raw {
    use serde::Deserialize;

    use crate::config::check::Text;

    /// `[nginx]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Nginx {
        pub api: Text,
        pub api_token_file: Text,
        pub rtmp: Text,
        pub secret_file: Text,
        pub watch_url: Text,
        pub hls_url: Text,
        pub dash_url: Text,
        pub rtmp_url: Text,
    }
}

/// The same default as for the command line.
/// URL of the API without a setting, also for commands.
pub(crate) const DEFAULT_API: &str = "http://127.0.0.1:8080/api";

/// Addresses and credentials of nginx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NginxSettings {
    /// The module's API.
    pub api: ApiUrl,
    /// weir.toml names the API.
    pub names_api: bool,
    /// File with the API's bearer token.
    pub api_token_file: Option<PathBuf>,
    /// Server from which streams are played and to which renditions are published.
    pub rtmp: RtmpServer,
    /// Copy of nginx's `weir_secret`: the default of every other `secret_file`.
    pub secret_file: Option<PathBuf>,
    /// URL patterns of streams, for links.
    pub addresses: Patterns,
}

/// `rtmp://HOST:PORT`, without an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RtmpServer {
    /// Name or address; an IPv6 address with its brackets.
    pub host: String,
    /// 1935 unless given.
    pub port: u16,
}

impl fmt::Display for RtmpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rtmp://{}:{}", self.host, self.port)
    }
}

fn pattern(key: &str, text: &Text) -> Checked<Option<Pattern>> {
    text_or(key, text, || None, |text| parsed(text).map(Some))
}

pub(super) fn nginx(raw: raw::Nginx) -> Checked<NginxSettings> {
    let names_api = raw.api.is_some();
    let api = raw.api.unwrap_or_else(|| Spanned::new(0..0, DEFAULT_API.to_owned()));
    Ok(NginxSettings {
        addresses: Patterns {
            watch: pattern("watch_url", &raw.watch_url)?,
            hls: pattern("hls_url", &raw.hls_url)?,
            dash: pattern("dash_url", &raw.dash_url)?,
            rtmp: pattern("rtmp_url", &raw.rtmp_url)?,
        },
        api: parsed(api.get_ref())
            .or_else(|why| problem(&api, format!("api = {:?}: {why}", api.get_ref())))?,
        names_api,
        api_token_file: text_or(
            "api_token_file",
            &raw.api_token_file,
            || None,
            |text| absolute(text).map(Some),
        )?,
        rtmp: text_or(
            "rtmp",
            &raw.rtmp,
            || RtmpServer { host: "127.0.0.1".into(), port: DEFAULT_PORT },
            rtmp_server,
        )?,
        secret_file: text_or("secret_file", &raw.secret_file, || None, |text| absolute(text).map(Some))?,
    })
}

pub(super) fn rtmp_server(text: &str) -> Result<RtmpServer, Unfit> {
    const HOW: &str = "write it as rtmp://127.0.0.1:1935, without an application";
    let place = text.strip_prefix("rtmp://").ok_or(HOW)?.trim_end_matches('/');
    // An IPv6 address contains colons.
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().map_err(|_| HOW)?),
        _ => (place, DEFAULT_PORT),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if host.is_empty() || port == 0 || !host.bytes().all(fits) {
        return Err(Unfit::Remedy(HOW));
    }
    Ok(RtmpServer { host: host.into(), port })
}
