//! What an edge asks of an origin, and what it is answered, as JSON.

use serde::{Deserialize, Serialize};

use super::record::Report;

/// The largest request, in bytes.
pub const MAX_REQUEST: usize = 256 << 10;
/// The header of an answer's signature.
pub const ANSWER: &str = "weir-signature";

/// `POST /v1/edges`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What the edge tells.
    #[serde(flatten)]
    pub report: Report,
    /// It leaves.
    #[serde(default)]
    pub leaving: bool,
}

/// The answer: signed where the request was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// The origin's clock, in milliseconds since 1970.
    pub now: u64,
    /// Why the request is refused; none when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Fault>,
    /// The origin sends no viewers to this edge.
    pub drained: bool,
    /// What the edge may pull, as `APP/NAME`.
    pub streams: Vec<String>,
    /// Addresses of other edges that live, so that pages of this edge may lead its viewers there.
    pub edges: Vec<String>,
}

/// `POST /v1/edges/join`
#[derive(Deserialize)]
pub struct Join {
    /// What the origin has issued.
    pub ticket: String,
    /// A number that the asker has made up.
    pub user: String,
}

/// As the API words errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// `clock`, `replayed`, `bad_request`.
    pub code: String,
    /// For people.
    pub message: String,
}
