//! Push targets: servers that streams are pushed to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::secret::Digest;
use crate::server::{Server, ServerAddr};
use crate::stream_name::{AppName, NameError, StreamName};

mod request;
mod url;
mod view;

pub use request::{NewTarget, PatchTarget};
pub use url::{Credentials, Host, MASK, MAX_PART_LEN, MAX_URL_LEN, TargetUrl, TargetUrlError};
pub use view::{PushState, PushView, TargetView};

/// The public id of a target: `t` and 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetId(pub u64);

/// The text is not a target id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a target id, expected \"t\" and 16 hex digits")]
pub struct TargetIdError;

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{:016x}", self.0)
    }
}

impl FromStr for TargetId {
    type Err = TargetIdError;

    fn from_str(text: &str) -> Result<TargetId, TargetIdError> {
        let hex = text.strip_prefix('t').ok_or(TargetIdError)?;
        // `from_str_radix` alone would accept a sign.
        if hex.len() != 16 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(TargetIdError);
        }
        u64::from_str_radix(hex, 16).map(TargetId).map_err(|_| TargetIdError)
    }
}

impl TryFrom<String> for TargetId {
    type Error = TargetIdError;

    fn try_from(text: String) -> Result<TargetId, TargetIdError> {
        text.parse()
    }
}

impl From<TargetId> for String {
    fn from(id: TargetId) -> String {
        id.to_string()
    }
}

/// The streams of an application that a target is for, written as a name or `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StreamPattern {
    /// Every stream, each over a separate connection. All have the key of the URL, or their own names if the URL has no
    /// key.
    Any,
    /// The stream of this name.
    Name(StreamName),
}

/// Why a text is not a [`StreamPattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; \"*\" alone means any stream")]
pub struct PatternError(NameError);

impl StreamPattern {
    /// Returns whether the pattern matches the stream of this name.
    pub fn matches(&self, stream: &str) -> bool {
        match self {
            StreamPattern::Any => true,
            StreamPattern::Name(name) => name.as_str() == stream,
        }
    }

    /// Returns an error if the URL has no key and the pattern is a name, because the admin has probably forgotten the
    /// key. With `*`, the key is the name of each stream.
    pub fn check(&self, url: &TargetUrl) -> Result<(), TargetUrlError> {
        match self {
            StreamPattern::Any => Ok(()),
            StreamPattern::Name(_) => url.require_key(),
        }
    }

    /// Returns the name, or `*`.
    pub fn as_str(&self) -> &str {
        match self {
            StreamPattern::Any => "*",
            StreamPattern::Name(name) => name.as_str(),
        }
    }
}

impl fmt::Display for StreamPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StreamPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<StreamPattern, PatternError> {
        match text {
            "*" => Ok(StreamPattern::Any),
            name => StreamName::parse(name.as_bytes()).map(StreamPattern::Name).map_err(PatternError),
        }
    }
}

impl TryFrom<String> for StreamPattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<StreamPattern, PatternError> {
        text.parse()
    }
}

impl From<StreamPattern> for String {
    fn from(pattern: StreamPattern) -> String {
        pattern.as_str().to_owned()
    }
}

/// The origin of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetSource {
    /// Created over the API; the API can change and remove it.
    Api,
    /// A `weir_push_to` of nginx.conf; it changes with the file.
    File,
}

/// A push target. It has no serialisation of its own, because its URL is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The public id.
    pub id: TargetId,
    /// The application whose streams are pushed.
    pub app: AppName,
    /// The streams of the application.
    pub stream: StreamPattern,
    /// Only those of the `server` block that listens on this address; those of each block when there is none.
    pub server: Option<ServerAddr>,
    /// Where to.
    pub url: TargetUrl,
    /// Whether it is pushed to while its stream is live.
    pub enabled: bool,
    /// For people, by the rules of [`crate::key::check_note`].
    pub note: String,
    /// Where it comes from.
    pub source: TargetSource,
}

impl Target {
    /// A target of `weir_push_to`. Its id is the same in every worker and after every restart.
    pub fn of_configuration(app: AppName, stream: StreamPattern, url: TargetUrl) -> Target {
        let text = format!("{}\0{}\0{}", app.as_str(), stream.as_str(), url.expose());
        let digest = Digest::of(text.as_bytes());
        let id = digest.bytes().iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte));
        let (enabled, note, source) = (true, String::new(), TargetSource::File);
        Target { id: TargetId(id), app, stream, server: None, url, enabled, note, source }
    }

    /// The same target of another `server` block: it needs an id of its own.
    #[must_use]
    pub fn of_block(self, server: ServerAddr) -> Target {
        let text = format!("{}\0{server}", self.id);
        let digest = Digest::of(text.as_bytes());
        let id = digest.bytes().iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte));
        Target { id: TargetId(id), server: Some(server), ..self }
    }

    /// Returns whether both targets push a stream to the same URL, which accepts the stream only once.
    pub fn repeats(&self, other: &Target) -> bool {
        let both = |one: &StreamPattern, other: &StreamPattern| {
            *one == StreamPattern::Any || other.matches(one.as_str())
        };
        let servers = self.server.is_none() || other.server.is_none() || self.server == other.server;
        let streams = both(&self.stream, &other.stream) || both(&other.stream, &self.stream);
        self.app == other.app && servers && streams && self.url.is_same_place(&other.url)
    }

    /// Returns whether the target is for this stream, enabled or not.
    pub fn matches(&self, server: &Server, app: &str, stream: &str) -> bool {
        self.app.as_str() == app && self.stream.matches(stream) && server.is_within(self.server.as_ref())
    }
}

#[cfg(test)]
mod tests;
