//! `[daemon]`: addresses and files of the daemon, and its log.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::check::{Checked, Unfit, absolute, parsed, text_or};
use crate::values::Host;

/// Path of the daemon's socket when the configuration names none.
pub(crate) const DEFAULT_SOCKET: &str = "/run/weir/weir.sock";

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
        socket: text_or("socket", &raw.socket, || DEFAULT_SOCKET.into(), socket)?,
        log: text_or("log", &raw.log, || LogFormat::Auto, log)?,
        log_level: text_or("log_level", &raw.log_level, || tracing::Level::INFO, level)?,
        ca_file: text_or("ca_file", &raw.ca_file, || None, |text| absolute(text).map(Some))?,
        public_name: text_or("public_name", &raw.public_name, || None, |text| parsed(text).map(Some))?,
    })
}

/// Returns the daemon's socket as a file names it, also if the file has an error elsewhere. If it names none, returns the default.
pub(crate) fn socket_of(file: &Path) -> PathBuf {
    let named = || {
        let table: toml::Table = std::fs::read_to_string(file).ok()?.parse().ok()?;
        Some(PathBuf::from(table.get("daemon")?.get("socket")?.as_str()?))
    };
    named().unwrap_or_else(|| DEFAULT_SOCKET.into())
}

/// Checks the path of the socket. ffmpeg's sockets are in a folder beside it, and the system allows 107 bytes for a socket's path.
fn socket(text: &str) -> Result<PathBuf, Unfit> {
    if text.len() > 80 {
        return Err(Unfit::Remedy("must be a path of at most 80 bytes"));
    }
    absolute(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_known_from_a_file_with_an_error_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.toml");
        assert_eq!(socket_of(&file), Path::new(DEFAULT_SOCKET));
        for (text, socket) in [
            ("[daemon]\nsocket = \"/run/x/weir.sock\"\n[jobs]\nnice = 99\n", "/run/x/weir.sock"),
            ("[daemon]\nlog = \"text\"\n", DEFAULT_SOCKET),
            ("[daemon]\nsocket = 1\n", DEFAULT_SOCKET),
            ("[daemon\n", DEFAULT_SOCKET),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(socket_of(&file), Path::new(socket), "{text}");
        }
    }
}
