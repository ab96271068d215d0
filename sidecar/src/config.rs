//! `weir.toml`, parsed and checked. There are two stages: [`raw`] holds the file as written, [`Config`] holds the checked settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) mod chat;
mod check;
pub(crate) mod cluster;
mod daemon;
pub(crate) mod event;
pub(crate) mod fleet;
mod health;
pub(crate) mod history;
pub(crate) mod hooks;
pub(crate) mod input;
mod jobs;
pub(crate) mod needs;
mod nginx;
pub(crate) mod notify;
pub(crate) mod origin;
pub(crate) mod pattern;
mod raw;
pub(crate) mod record;
mod rungs;
pub(crate) mod slate;
mod streams;
#[cfg(test)]
mod tests;
pub(crate) mod web;
pub(crate) mod webrtc;

use check::Checked;
pub(crate) use daemon::{DEFAULT_SOCKET, Daemon, LogFormat, socket_of};
pub(crate) use jobs::Jobs;
pub(crate) use nginx::{DEFAULT_API, NginxSettings, RtmpServer};
pub(crate) use rungs::{Encoder, Ladder, RungKind};
use serde::de::DeserializeOwned;
pub(crate) use streams::{Delivery, Files, Rule, rendition_of};

/// Path of the configuration when `--config` is not given.
pub(crate) const DEFAULT_PATH: &str = "/etc/weir/weir.toml";

/// All settings of the daemon.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// `[nginx]`
    pub nginx: NginxSettings,
    /// `[daemon]`
    pub daemon: Daemon,
    /// `[jobs]`
    pub jobs: Jobs,
    /// Time after which Weir kills an nginx worker that hangs; with `None`, Weir kills no worker.
    pub restart_stuck_worker: Option<Duration>,
    /// `[[stream]]`, in file order: the first rule that matches a stream applies.
    pub rules: Vec<Rule>,
    /// `[hooks]`
    pub hooks: hooks::Hooks,
    /// `[notify]`
    pub notify: Option<notify::Notify>,
    /// `[[record]]`, in file order: the first rule that matches a stream applies.
    pub records: Vec<record::Record>,
    /// `[[thumbnail]]`, in file order: the first rule that matches a stream applies.
    pub thumbnails: Vec<record::Thumbnail>,
    /// `[[input]]`; each input has another stream.
    pub inputs: Vec<input::Input>,
    /// `[slate]`
    pub slate: Option<slate::Slate>,
    /// `[chat]`
    pub chat: chat::Chat,
    /// `[[event]]`, sorted by start time.
    pub events: Vec<event::PlannedEvent>,
    /// `[history]`
    pub history: history::History,
    /// `[web]`
    pub web: web::Web,
    /// `[webrtc]`; `None` if WebRTC is off.
    pub webrtc: Option<webrtc::WebRtc>,
    /// `[cluster]` and `[[region]]`
    pub cluster: cluster::Cluster,
    /// `[edge]`
    pub edge: Option<cluster::Edge>,
    /// `[loadbalancer]`
    pub loadbalancer: Option<cluster::LoadBalancer>,
}

impl Config {
    /// Returns whether the daemon follows the streams of nginx. The nginx of a load balancer has no module, unless weir.toml names the
    /// API.
    pub(crate) fn follows_nginx(&self) -> bool {
        self.loadbalancer.is_none() || self.nginx.names_api
    }

    /// Returns a sentence about the tables that need the streams of nginx, if the daemon does not follow them.
    pub(crate) fn without_streams(&self) -> Option<String> {
        let tables = [
            ("[[stream]]", !self.rules.is_empty()),
            ("[[record]]", !self.records.is_empty()),
            ("[[thumbnail]]", !self.thumbnails.is_empty()),
            ("[[input]]", !self.inputs.is_empty()),
            ("[slate]", self.slate.is_some()),
        ];
        let named: Vec<&str> = tables.iter().filter(|table| table.1).map(|table| table.0).collect();
        if self.follows_nginx() || named.is_empty() {
            return None;
        }
        let named = named.join(", ");
        Some(format!("{named}: set api in [nginx]: without it, a [loadbalancer] follows no streams"))
    }
}

/// Error in a configuration: the place, the key, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read.
    #[error("{}: {why}; --config FILE names another configuration", path.display())]
    Unreadable {
        /// Path, as given.
        path: PathBuf,
        /// Message of the operating system.
        why: String,
    },
    /// A file that an argument names cannot be read.
    #[error("{}: {why}", path.display())]
    Unread {
        /// Path, as given.
        path: PathBuf,
        /// Message of the operating system.
        why: String,
    },
    /// A setting is wrong.
    #[error("{}:{line}: {what}", path.display())]
    Wrong {
        /// Path, as given.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// Message with the key, the problem and the correct form.
        what: String,
    },
}

/// Reads and checks a file.
pub(crate) fn load(path: &Path) -> Result<Config, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::Unreadable { path: path.into(), why: error.to_string() })?;
    parse(path, &text)
}

/// Checks a text; `path` is only for messages.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Config, Error> {
    understand(path, text, config)
}

/// Parses a text and checks the result.
fn understand<R: DeserializeOwned, T>(
    path: &Path,
    text: &str,
    check: impl FnOnce(R) -> Checked<T>,
) -> Result<T, Error> {
    let wrong = |at: usize, what: String| Error::Wrong { path: path.into(), line: line_of(text, at), what };
    let file: R = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.lines().nth(line_of(text, at) - 1).unwrap_or_default();
        wrong(at, unquoted(line).unwrap_or_else(|| with_key(text, at, error.message())))
    })?;
    check(file).map_err(|problem| wrong(problem.at, problem.what))
}

/// Checks the parsed file.
fn config(file: raw::File) -> Checked<Config> {
    let rungs = rungs::all_rungs(file.rung)?;
    let ladders = rungs::all_ladders(file.ladder, &rungs)?;
    let nginx = nginx::nginx(file.nginx)?;
    let secret = nginx.secret_file.as_deref();
    let rules: Vec<Rule> = file
        .stream
        .into_iter()
        .map(|written| streams::rule(written, &ladders, secret))
        .collect::<Checked<_>>()?;
    let uploads = record::uploads(file.upload)?;
    // `[cluster]` alone, such as that of a pair, makes no origin.
    let is_member = file.edge.is_some() || file.loadbalancer.is_some() || file.cluster.has_store();
    let cluster = cluster::cluster(file.cluster, file.region, secret.filter(|_| is_member))?;
    Ok(Config {
        daemon: daemon::daemon(file.daemon)?,
        jobs: jobs::jobs(file.jobs)?,
        restart_stuck_worker: health::stuck(&file.health.restart_stuck_worker)?,
        rules,
        hooks: hooks::hooks(file.hooks)?,
        notify: notify::notify(file.notify)?,
        records: record::records(file.record, &uploads)?,
        thumbnails: record::thumbnails(file.thumbnail)?,
        inputs: input::inputs(file.input, secret)?,
        slate: slate::slate(file.slate, secret)?,
        chat: chat::chat(file.chat)?,
        events: event::events(file.event)?,
        history: history::history(file.history)?,
        web: web::web(file.web, secret)?,
        webrtc: webrtc::webrtc(file.webrtc)?,
        edge: cluster::edge(file.edge, cluster.secret_file.as_deref())?,
        loadbalancer: cluster::loadbalancer(file.loadbalancer)?,
        cluster,
        nginx,
    })
}

/// Returns the number of the line that contains the byte `at`.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Returns an error message for a line whose value would be right in quotes. TOML's own message would mention numbers and dates.
fn unquoted(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    let value = value.split(" #").next().unwrap_or_default();
    let (key, value) = (key.trim(), value.trim());
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_good = |value: &str| toml::from_str::<toml::Table>(&format!("x = {value}")).is_ok();
    if value.is_empty() || value.contains(['"', '\'', '{']) || !key.chars().all(is_bare) || is_good(value) {
        return None;
    }
    let quoted = match value.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
        Some(list) => {
            let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
            format!("[{}]", items.map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", "))
        }
        None if value.starts_with('[') => return None,
        None => format!("{value:?}"),
    };
    is_good(&quoted).then(|| format!("{key} = {value}: put the value in quotes: {key} = {quoted}"))
}

/// serde's terms and the terms that Weir shows instead.
const WORDS: [(&str, &str); 5] = [
    ("expected a string", "expected a text in quotes"),
    ("expected i64", "expected a whole number"),
    ("expected a boolean", "expected true or false"),
    ("expected a sequence", "expected a list in [ ]"),
    ("invalid type: map", "invalid type: table"),
];

/// Returns serde's message. Unless the message names the key, the key of that line (or the line of a table header) precedes it.
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
    // A list of tables has another syntax than a table.
    match key.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(name) if name.starts_with('[') => format!("{key}: there is one of these; write {name}"),
        Some(name) if message.contains("expected a list") => format!("{key}: {message}; write [[{name}]]"),
        _ => format!("{key}: {message}"),
    }
}
