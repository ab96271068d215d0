//! `[daemon]`: addresses and files of the daemon, and its log.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::check::{Checked, Unfit, absolute, parsed, text_or};
use crate::values::Host;

pub(in crate::config) mod raw {
    use serde::Deserialize;

    use crate::config::check::Text;

    /// `[daemon]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Daemon {
        pub listen: Text,
        pub socket: Text,
        pub log: Text,
        pub ca_file: Text,
        pub log_level: Text,
        pub public_name: Text,
    }
}

/// Addresses and files of the daemon, and its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Daemon {
    /// Address of `/metrics`, `/healthz` and `/v1/events`; `None` if it is `"off"`.
    pub listen: Option<SocketAddr>,
    /// Socket for `weir job`; the sockets for ffmpeg's output are in the folder `out` beside it.
    pub socket: PathBuf,
    /// Format of the log.
    pub log: LogFormat,
    /// Lowest level that is logged.
    pub log_level: tracing::Level,
    /// Certificates of authorities that outgoing TLS trusts in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Host name of this server for encoders; `weir key add` shows it.
    pub public_name: Option<Host>,
}

/// Format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// journald if it reads standard error, otherwise text.
    Auto,
    /// journald, with fields.
    Journald,
    /// Plain lines on standard error.
    Text,
    /// One JSON object per line on standard error.
    Json,
}

pub(super) fn daemon(raw: raw::Daemon) -> Checked<Daemon> {
    let listen = |text: &str| match text {
        "off" => Ok(None),
        _ => text
            .parse::<SocketAddr>()
            .map(Some)
            .map_err(|_| Unfit::Remedy("write it as 127.0.0.1:8091, or \"off\"")),
    };
    let log = |text: &str| match text {
        "auto" => Ok(LogFormat::Auto),
        "journald" => Ok(LogFormat::Journald),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Unfit::Remedy("must be \"auto\", \"journald\", \"text\" or \"json\"")),
    };
    let level = |text: &str| match text {
        "error" => Ok(tracing::Level::ERROR),
        "warn" => Ok(tracing::Level::WARN),
        "info" => Ok(tracing::Level::INFO),
        "debug" => Ok(tracing::Level::DEBUG),
        _ => Err(Unfit::Remedy("must be \"error\", \"warn\", \"info\" or \"debug\"")),
    };
    Ok(Daemon {
        listen: text_or("listen", &raw.listen, || Some(SocketAddr::from(([127, 0, 0, 1], 8091))), listen)?,
        socket: text_or("socket", &raw.socket, || "/run/weir/weir.sock".into(), socket)?,
        log: text_or("log", &raw.log, || LogFormat::Auto, log)?,
        log_level: text_or("log_level", &raw.log_level, || tracing::Level::INFO, level)?,
        ca_file: text_or("ca_file", &raw.ca_file, || None, |text| absolute(text).map(Some))?,
        public_name: text_or("public_name", &raw.public_name, || None, |text| parsed(text).map(Some))?,
    })
}

/// Checks the path of the socket. ffmpeg's sockets are in a folder beside it, and the system allows 107 bytes for a socket's path.
fn socket(text: &str) -> Result<PathBuf, Unfit> {
    if text.len() > 80 {
        return Err(Unfit::Remedy("must be a path of at most 80 bytes"));
    }
    absolute(text)
}
