//! The requests of edges and the answers of origins, as JSON.

use serde::{Deserialize, Serialize};

use super::record::Report;

/// Largest request, in bytes.
pub(crate) const MAX_REQUEST: usize = 256 << 10;
/// Header with the signature of an answer.
pub(crate) const ANSWER: &str = "weir-signature";

/// Body of `POST /v1/edges`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Report of the edge.
    #[serde(flatten)]
    pub report: Report,
    /// The edge leaves.
    #[serde(default)]
    pub leaving: bool,
}

/// The answer. It is signed if the request was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    /// Time of the origin's clock, in milliseconds since 1970.
    pub now: u64,
    /// Reason of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Fault>,
    /// The origin sends no viewers to this edge.
    pub drained: bool,
    /// Streams that the edge may pull, as `APP/NAME`.
    pub streams: Vec<String>,
    /// Addresses of other live edges, to which the pages of this edge may send viewers.
    pub edges: Vec<String>,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// `clock`, `replayed`, `bad_request`.
    pub code: String,
    /// Message for people.
    pub message: String,
}
