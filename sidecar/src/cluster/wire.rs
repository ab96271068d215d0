//! The requests of edges and the answers of origins, as JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record::Report;

/// Largest request, in bytes.
pub(crate) const MAX_REQUEST: usize = 256 << 10;
/// Header with the signature of an answer.
pub(crate) const ANSWER: &str = "weir-signature";

/// Code of the refusal of a request with another [`Request::era`].
pub(crate) const ERA: &str = "era";

/// Code of the refusal of a request that is not newer than the last one, whose time is [`Fault::last`].
pub(crate) const REPLAYED: &str = "replayed";

/// Body of `POST /v1/edges`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Report of the edge.
    #[serde(flatten)]
    pub report: Report,
    /// The edge leaves.
    #[serde(default)]
    pub leaving: bool,
    /// [`Answer::era`] of the origin's last answer; `None` before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<String>,
    /// [`Revocations::digest`] of the origin's last list, empty before the first one; `None` from an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
}

/// The answer. It is signed if the request was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    /// Time of the origin's clock, in milliseconds since 1970.
    pub now: u64,
    /// Era of the origin's clock. The edge copies it into its next request, so that nobody can repeat a recorded request after the clock was
    /// set back.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub era: String,
    /// Reason of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Fault>,
    /// The origin sends no viewers to this edge.
    pub drained: bool,
    /// Streams that the edge may pull, as `APP/NAME`.
    pub streams: Vec<String>,
    /// Addresses of other live edges, to which the pages of this edge may send viewers.
    pub edges: Vec<String>,
    /// Applications whose streams need a play token here; `None` from an older version, and if the origin does not know yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Member>>,
    /// Fingerprint of the secret of play tokens here, if there are such applications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Revoked tokens, if [`Request::revoked`] is not the digest of this list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocations>,
}

/// Revoked tokens of an origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Revocations {
    /// Digest of the list.
    pub digest: String,
    /// The revocations, as the API of nginx lists them. A newer version may have further kinds.
    pub list: Vec<Value>,
}

/// Application whose streams need a play token at an origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Name of the application.
    pub app: String,
    /// Players of RTMP need a token, too.
    #[serde(default)]
    pub rtmp: bool,
}

/// Body of `POST /v1/edges/join`.
#[derive(Deserialize)]
pub(crate) struct Join {
    /// Ticket that the origin has issued.
    pub ticket: String,
    /// Number that the edge has chosen.
    pub user: String,
}

/// Error in the API's format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// `clock`, `era`, `replayed`, `bad_request`.
    pub code: String,
    /// Message for people.
    pub message: String,
    /// Time of the last request of this edge, by the edge's clock, with [`REPLAYED`]; `None` from an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
}

impl Fault {
    pub(crate) fn new(code: &str, message: impl std::fmt::Display) -> Self {
        Self { code: code.to_owned(), message: message.to_string(), last: None }
    }
}
