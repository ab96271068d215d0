//! `weir.toml`, understood and checked. Two stages: [`raw`] is what was written, [`Config`] is what holds.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_model::{AppName, StreamName};

use crate::cli::values::Host;
use crate::nginx::ApiUrl;

mod check;
pub mod hooks;
pub mod needs;
pub mod notify;
mod raw;
pub mod record;
mod rungs;
pub mod slate;
#[cfg(test)]
mod tests;

pub use rungs::{Encoder, Ladder, Rung, RungKind};

/// Where the daemon looks when `--config` does not say.
pub const DEFAULT_PATH: &str = "/etc/weir/weir.toml";

/// Everything the daemon is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[nginx]`
    pub nginx: Nginx,
    /// `[daemon]`
    pub daemon: Daemon,
    /// `[jobs]`
    pub jobs: Jobs,
    /// A worker of nginx that hangs for so long is killed; none: it is not.
    pub restart_stuck_worker: Option<Duration>,
    /// `[[stream]]`, in their order: the first that fits a stream counts.
    pub rules: Vec<Rule>,
    /// `[hooks]`
    pub hooks: hooks::Hooks,
    /// `[notify]`
    pub notify: Option<notify::Notify>,
    /// `[[record]]`, in their order: the first that fits a stream counts.
    pub records: Vec<record::Record>,
    /// `[[thumbnail]]`, likewise.
    pub thumbnails: Vec<record::Thumbnail>,
    /// `[slate]`
    pub slate: Option<slate::Slate>,
}

/// Where nginx is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nginx {
    /// The module's API.
    pub api: ApiUrl,
    /// Holds the API's bearer token.
    pub api_token_file: Option<PathBuf>,
    /// Where streams are played from and renditions published to.
    pub rtmp: RtmpServer,
}

/// `rtmp://HOST:PORT`, without an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtmpServer {
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

/// The daemon's own places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// For `/metrics`, `/healthz` and `/v1/events`; none when it is `"off"`.
    pub listen: Option<SocketAddr>,
    /// For `weir job`; ffmpeg's output goes over sockets in the folder `out` beside it.
    pub socket: PathBuf,
    /// How the log is written.
    pub log: LogFormat,
    /// The least important line that is logged.
    pub log_level: tracing::Level,
    /// What encoders call this server: for `weir key add`.
    pub public_name: Option<Host>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// To journald where it reads standard error, otherwise as text.
    Auto,
    /// To journald, with fields.
    Journald,
    /// Lines for people, on standard error.
    Text,
    /// A JSON object a line, on standard error.
    Json,
}

/// What holds for all ffmpeg jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jobs {
    /// A path, or a name that is looked for in `PATH`.
    pub ffmpeg: PathBuf,
    /// More jobs than this wait.
    pub max_processes: usize,
    /// 0 to 19.
    pub nice: u8,
    /// Without progress for so long, ffmpeg is replaced.
    pub stall: Duration,
    /// From SIGINT to SIGKILL.
    pub grace: Duration,
    /// The longest wait before ffmpeg is started again.
    pub backoff_max: Duration,
    /// After so long a run, the next wait is the shortest again.
    pub healthy: Duration,
}

/// What is made of which streams.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// nginx-rtmp application.
    pub app: AppName,
    /// Which streams of it.
    pub stream: StreamPattern,
    /// The renditions.
    pub ladder: Ladder,
    /// Where they go.
    pub delivery: Delivery,
}

/// A name, or the beginning of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamPattern {
    /// This stream.
    Exactly(StreamName),
    /// Streams whose names begin so; `*` is all.
    Prefix(String),
}

impl StreamPattern {
    /// Whether a stream's name fits.
    pub fn fits(&self, name: &str) -> bool {
        match self {
            Self::Exactly(exactly) => exactly.as_str() == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }
}

/// How renditions reach viewers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// `deliver = "files"`
    Files(Files),
    /// `deliver = "rtmp"`
    Rtmp(ToRtmp),
}

/// HLS and DASH as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// A stream's files are in `FOLDER/APP/NAME/`.
    pub folder: PathBuf,
    /// The least length of a segment; it ends with the next key frame.
    pub segment: Duration,
    /// How much a playlist holds.
    pub window: Duration,
    /// A publisher that comes back within this finds its viewers still watching.
    pub linger: Duration,
    /// How long the files of an ended stream are kept.
    pub keep: Duration,
}

/// Renditions published as `NAME_RUNG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToRtmp {
    /// The other application.
    pub app: AppName,
    /// nginx's `weir_secret`: publish tokens are minted with it.
    pub secret_file: PathBuf,
}

/// Why a configuration does not hold: the place, the key, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// As given.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// Something in it is wrong.
    #[error("{}:{line}: {what}", path.display())]
    Wrong {
        /// As given.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key, what is wrong with it, and what would be right.
        what: String,
    },
}

/// Reads and checks a file.
pub fn load(path: &Path) -> Result<Config, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::Unreadable { path: path.into(), why: error.to_string() })?;
    parse(path, &text)
}

/// Checks a text; `path` is only for messages.
pub fn parse(path: &Path, text: &str) -> Result<Config, Error> {
    let wrong = |at: usize, what: String| Error::Wrong { path: path.into(), line: line_of(text, at), what };
    let file: raw::File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        wrong(at, with_key(text, at, error.message()))
    })?;
    check::config(file).map_err(|problem| wrong(problem.at, problem.what))
}

/// The number of the line with the byte `at`.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// serde's words for what TOML has, and those that people have.
const WORDS: [(&str, &str); 4] = [
    ("expected a string", "expected a text in quotes"),
    ("expected i64", "expected a whole number"),
    ("expected a sequence", "expected a list in [ ]"),
    ("invalid type: map", "invalid type: table"),
];

/// serde's message, with the key of that line (or the line of a table) in front unless the message names it.
fn with_key(text: &str, at: usize, message: &str) -> String {
    let mut message = message.replace('\n', "; ");
    for (serdes, peoples) in WORDS {
        message = message.replace(serdes, peoples);
    }
    let line = text.lines().nth(line_of(text, at) - 1).unwrap_or_default().trim();
    if let Some((found, _)) = message.split_once("expected struct ") {
        message = format!("{found}expected a table");
    }
    let key = match line.split_once('=') {
        _ if line.starts_with('[') => line,
        Some((key, _)) => key.trim(),
        None => return message,
    };
    if message.contains(&format!("`{}`", key.trim_matches(['[', ']']))) {
        return message;
    }
    // A list of tables is written otherwise than a table.
    match key.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(name) if name.starts_with('[') => format!("{key}: there is one of these; write {name}"),
        Some(name) if message.contains("expected a list") => format!("{key}: {message}; write [[{name}]]"),
        _ => format!("{key}: {message}"),
    }
}
