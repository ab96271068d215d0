//! Targets as the API shows them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{StreamPattern, Target, TargetId, TargetSource};
use crate::server::ServerAddr;
use crate::stream_name::AppName;
use crate::time::Timestamp;

/// The state of the push of one stream to one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushState {
    /// From the look-up of the name until the target accepts the stream.
    Connecting,
    /// The target accepts the stream.
    Live,
    /// The push failed, and waits for the next try.
    Waiting,
    /// No push is wanted.
    #[default]
    Off,
}

impl PushState {
    /// All states, in the order of [`PushState::from_number`].
    pub const ALL: [PushState; 4] =
        [PushState::Off, PushState::Connecting, PushState::Live, PushState::Waiting];

    /// Returns the name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            PushState::Connecting => "connecting",
            PushState::Live => "live",
            PushState::Waiting => "waiting",
            PushState::Off => "off",
        }
    }

    /// Returns the number for shared memory. `off` is 0, so that zeroed memory is valid.
    pub fn number(self) -> u8 {
        match self {
            PushState::Off => 0,
            PushState::Connecting => 1,
            PushState::Live => 2,
            PushState::Waiting => 3,
        }
    }

    /// The reverse of [`PushState::number`]. Returns `off` for other numbers.
    pub fn from_number(number: u8) -> PushState {
        PushState::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }
}

impl fmt::Display for PushState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The push of one stream to one target. Bytes are totals over all connections of the push.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushView {
    /// The public name of the stream.
    pub stream: String,
    /// The step that the push has reached.
    pub state: PushState,
    /// The time of the last change of state.
    pub since: Timestamp,
    /// The time until the next try, in milliseconds, while it waits for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    /// Bytes sent to the target.
    pub bytes_out: u64,
    /// Rate to the target, in bits per second.
    pub bitrate_out: u64,
    /// The number of retries.
    pub reconnects: u64,
    /// The reason of the last failure, which stays when a later try succeeds. `None` when redacted.
    pub last_error: Option<String>,
}

/// A target as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// The public id.
    pub id: TargetId,
    /// The application whose streams are pushed.
    pub app: AppName,
    /// The streams of the application.
    pub stream: StreamPattern,
    /// The `server` block, by an address that it listens on, whose streams are pushed. Without one, streams of all
    /// blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerAddr>,
    /// The URL, with secrets masked; `None` when redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether its streams are pushed while they are live.
    pub enabled: bool,
    /// A note for people; `None` when redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The origin of the target.
    pub source: TargetSource,
    /// The pushes, one per live stream of the target.
    pub sessions: Vec<PushView>,
}

impl TargetView {
    /// Removes the URL, the notes and the errors.
    pub fn redact(&mut self) {
        self.url = None;
        self.note = None;
        for session in &mut self.sessions {
            session.last_error = None;
        }
    }
}

impl Target {
    /// Returns the facts that may always be shown, together with the pushes.
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
