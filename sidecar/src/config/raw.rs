//! `weir.toml` as it is written: shapes alone. A key that is not listed here is an error.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    pub nginx: Nginx,
    pub daemon: Daemon,
    pub jobs: Jobs,
    pub health: Health,
    pub rung: BTreeMap<Spanned<String>, Rung>,
    pub ladder: BTreeMap<Spanned<String>, Ladder>,
    pub stream: Vec<Spanned<Stream>>,
    pub hooks: super::hooks::raw::Hooks,
    pub notify: super::notify::raw::Notify,
    pub slate: super::slate::raw::Slate,
    pub record: Vec<Spanned<super::record::raw::Record>>,
    pub thumbnail: Vec<Spanned<super::record::raw::Thumbnail>>,
    pub upload: BTreeMap<Spanned<String>, super::record::raw::Upload>,
}

/// A text that is still to be understood, and where it stands.
pub type Text = Option<Spanned<String>>;
/// A number that is still to be checked.
pub type Number = Option<Spanned<i64>>;

/// `[nginx]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nginx {
    pub api: Text,
    pub api_token_file: Text,
    pub rtmp: Text,
}

/// `[daemon]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Daemon {
    pub listen: Text,
    pub socket: Text,
    pub log: Text,
    pub log_level: Text,
    pub public_name: Text,
}

/// `[health]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    pub restart_stuck_worker: Text,
}

/// `[jobs]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jobs {
    pub ffmpeg: Text,
    pub max_processes: Number,
    pub nice: Number,
    pub stall: Text,
    pub grace: Text,
    pub backoff_max: Text,
    pub healthy: Text,
}

/// `[rung.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rung {
    pub height: Number,
    pub bitrate: Text,
    pub max_fps: Number,
    pub audio_only: bool,
}

/// `[ladder.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ladder {
    pub rungs: Option<Spanned<Vec<Spanned<String>>>>,
    pub encoder: Text,
    pub preset: Text,
    pub keyframe: Text,
}

/// `[[stream]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stream {
    pub app: Text,
    pub stream: Text,
    pub ladder: Text,
    pub deliver: Text,
    pub folder: Text,
    pub segment: Text,
    pub window: Text,
    pub linger: Text,
    pub keep: Text,
    pub to_app: Text,
    pub secret_file: Text,
}
