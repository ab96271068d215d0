//! Targets as the API shows them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{StreamPattern, Target, TargetId, TargetSource};
use crate::server::ServerAddr;
use crate::stream_name::AppName;
use crate::time::Timestamp;

/// How it stands with one stream at one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushState {
    /// From the first look-up of the name to the target's word that it takes the stream.
    Connecting,
    /// The target takes the stream.
    Live,
    /// It failed, and is tried again in a while.
    Waiting,
    /// It is not wanted.
    #[default]
    Off,
}

impl PushState {
    /// All of them, in the order of [`PushState::from_number`].
    pub const ALL: [PushState; 4] =
        [PushState::Off, PushState::Connecting, PushState::Live, PushState::Waiting];

    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            PushState::Connecting => "connecting",
            PushState::Live => "live",
            PushState::Waiting => "waiting",
            PushState::Off => "off",
        }
    }

    /// For shared memory: 0 for `off`, so that zeroed memory is a valid one.
    pub fn number(self) -> u8 {
        match self {
            PushState::Off => 0,
            PushState::Connecting => 1,
            PushState::Live => 2,
            PushState::Waiting => 3,
        }
    }

    /// The reverse of [`PushState::number`]; what that never gives is `off`.
    pub fn from_number(number: u8) -> PushState {
        PushState::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }
}

impl fmt::Display for PushState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One stream at one target. Bytes are totals, over all connections that were made for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushView {
    /// The public name of the stream.
    pub stream: String,
    /// How it stands.
    pub state: PushState,
    /// Since when it stands so.
    pub since: Timestamp,
    /// Until the next try; only while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    /// Sent to the target.
    pub bytes_out: u64,
    /// Sent to the target, in bits a second.
    pub bitrate_out: u64,
    /// How often it was tried again.
    pub reconnects: u64,
    /// Why it failed last, if it ever did; it stays when a later try succeeds. `None` when redacted.
    pub last_error: Option<String>,
}

/// A target as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// Its public handle.
    pub id: TargetId,
    /// The application whose streams it is for.
    pub app: AppName,
    /// Which of them.
    pub stream: StreamPattern,
    /// Only those of the `server` block that listens on this address; those of each block when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerAddr>,
    /// Where to, what is secret masked; `None` when redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether it is pushed to while its stream is live.
    pub enabled: bool,
    /// For people; `None` when redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where it comes from.
    pub source: TargetSource,
    /// One for each live stream that it is for.
    pub sessions: Vec<PushView>,
}

impl TargetView {
    /// Takes out where it pushes to, and what is noted or went wrong there.
    pub fn redact(&mut self) {
        self.url = None;
        self.note = None;
        for session in &mut self.sessions {
            session.last_error = None;
        }
    }
}

impl Target {
    /// What may be shown of it at any time, with what goes on there.
    pub fn view(&self, sessions: Vec<PushView>) -> TargetView {
        TargetView {
            id: self.id,
            app: self.app.clone(),
            stream: self.stream.clone(),
            server: self.server.clone(),
            url: Some(self.url.masked()),
            enabled: self.enabled,
            note: Some(self.note.clone()),
            source: self.source,
            sessions,
        }
    }
}
