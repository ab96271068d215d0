//! `weir check ...` and `weir notify`.
#![allow(rustdoc::broken_intra_doc_links)]

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueHint};
use weir_rtmp::url::Url as RtmpUrl;

use super::JsonArg;
use super::daemon::SocketOrConfigArg;
use crate::health::WebUrl;
use crate::values::vrrp::{Selection, VrrpKind};
use crate::values::{Size, Span, ValueError};

/// Time limit of a check, 1 ms to 1 minute: `800ms`, `3s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub Duration);

impl FromStr for Limit {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        let is_bare = !s.is_empty() && s.bytes().all(|byte| byte.is_ascii_digit());
        let limit = match s.strip_suffix("ms") {
            Some(digits) => digits.parse().ok().map(Duration::from_millis),
            None if is_bare => return Err(ValueError::new(format!("{s} of what? write {s}ms or {s}s"))),
            None => s.parse::<Span>().ok().map(|span| span.0),
        };
        let possible = Duration::from_millis(1)..=Duration::from_secs(60);
        limit
            .filter(|limit| possible.contains(limit))
            .map(Self)
            .ok_or_else(|| ValueError::new("must be a time from 1ms to 60s, such as 800ms or 3s"))
    }
}

/// `rtmp://HOST[:PORT]/APP`, or `rtmps://`. The URL has no stream: the whole path is the application.
#[derive(Clone, Debug)]
pub(crate) struct RtmpApp(pub RtmpUrl);

impl FromStr for RtmpApp {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        // `RtmpUrl` requires a stream, so the check adds a name.
        let url = format!("{}/x", s.trim_end_matches('/')).parse::<RtmpUrl>();
        match url.map_err(|e| e.to_string()) {
            Ok(url) => Ok(Self(url)),
            Err(why) => Err(ValueError::new(format!("{why}; write it as rtmp://HOST[:PORT]/APP"))),
        }
    }
}

/// `weir check rtmp`
#[derive(Debug, Args)]
pub(crate) struct CheckRtmpArgs {
    /// Server and application: rtmp://HOST[:PORT]/APP or rtmps://HOST[:PORT]/APP
    #[arg(value_hint = ValueHint::Url)]
    pub url: RtmpApp,
    /// Also play this stream and wait for audio or video
    #[arg(long, value_name = "NAME")]
    pub stream: Option<String>,
    /// Time limit of the check [default: 800ms; 3s with --stream]
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Limit>,
    /// Line or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir check http`
#[derive(Debug, Args)]
pub(crate) struct CheckHttpArgs {
    /// URL to request
    #[arg(value_hint = ValueHint::Url)]
    pub url: WebUrl,
    /// Require this status [default: any from 200 to 299]
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(100..=599))]
    pub status: Option<u16>,
    /// Time limit of the check
    #[arg(long, value_name = "TIME", default_value = "800ms")]
    pub timeout: Limit,
    /// Line or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir check hls`
#[derive(Debug, Args)]
pub(crate) struct CheckHlsArgs {
    /// URL of a playlist or a master playlist
    #[arg(value_hint = ValueHint::Url)]
    pub url: WebUrl,
    /// Longest time since the last change of a playlist [default: three of its target durations]
    #[arg(long, value_name = "TIME")]
    pub max_age: Option<Span>,
    /// File with a token to watch, sent as "Authorization: Bearer": for a location with weir_play
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// Time limit of the check
    #[arg(long, value_name = "TIME", default_value = "800ms")]
    pub timeout: Limit,
    /// Line or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir check node`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("place").multiple(true))]
pub(crate) struct CheckNodeArgs {
    /// Prove the whole node, a line per part: nginx, RTMP, ports, daemon, pages, media, cluster, clock, disks
    #[arg(long, group = "place")]
    pub all: bool,
    /// With --all: configuration of the daemon; [nginx] in it says where the API is
    #[arg(long, value_name = "FILE", default_value = crate::config::DEFAULT_PATH, value_hint = ValueHint::FilePath, requires = "all")]
    pub config: PathBuf,
    /// With --all: nginx's main configuration file, for the ports that must answer
    #[arg(long, value_name = "FILE", default_value = "/etc/nginx/nginx.conf", value_hint = ValueHint::FilePath, requires = "all")]
    pub conf: PathBuf,
    /// Which daemon, with --all
    #[command(flatten)]
    pub daemon: SocketOrConfigArg,
    /// Folder on a disk that needs free space; may be given several times
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, group = "place")]
    pub disk: Vec<PathBuf>,
    /// Free space that each disk needs
    #[arg(long, value_name = "SIZE", default_value = "1g", requires = "place")]
    pub min_free: Size,
    /// Time limit of the check without --all
    #[arg(long, value_name = "TIME", default_value = "800ms")]
    pub timeout: Limit,
    /// Line or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir notify`
#[derive(Debug, Args)]
#[command(after_help = "keepalived appends the arguments to the command in its configuration: \
notify \"/usr/bin/weir notify --targets all\".")]
pub(crate) struct NotifyArgs {
    /// Whether an INSTANCE or a GROUP changed
    #[arg(value_name = "INSTANCE|GROUP")]
    pub kind: VrrpKind,
    /// Its name in keepalived.conf
    pub name: String,
    /// Its new state: MASTER enables the targets; BACKUP, FAULT, STOP and DELETED disable them
    pub state: String,
    /// Its new priority
    #[arg(value_name = "PRIO")]
    pub priority: Option<u16>,
    /// Push targets to enable or disable: all, note:TEXT, or IDs separated by commas
    #[arg(long, value_name = "WHICH", default_value = "all")]
    pub targets: Selection,
    /// How long to retry if the API does not answer
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub timeout: Limit,
    /// Directory for the state shared between calls
    #[arg(long, value_name = "DIR", default_value = "/var/lib/weir/notify", value_hint = ValueHint::DirPath)]
    pub state_dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_places() {
        assert_eq!("800ms".parse(), Ok(Limit(Duration::from_millis(800))));
        assert_eq!("1m".parse(), Ok(Limit(Duration::from_secs(60))));
        for bad in ["0ms", "0", "61s", "1.5s", "ms", ""] {
            assert!(bad.parse::<Limit>().is_err(), "{bad}");
        }
        let app = |s: &str| s.parse::<RtmpApp>().map(|app| app.0.app).map_err(|e| e.to_string());
        assert_eq!(app("rtmp://127.0.0.1/live"), Ok("live".into()));
        assert_eq!(app("rtmp://[::1]:1936/live/"), Ok("live".into()));
        assert_eq!(app("rtmps://h/live"), Ok("live".into()));
        for (bad, why) in [("rtmp://h", "rtmp://HOST[:PORT]/APP"), ("http://h/live", "rtmp://")] {
            assert!(app(bad).unwrap_err().contains(why), "{bad}");
        }
    }
}
