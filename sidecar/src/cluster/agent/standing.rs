//! The last answer of an origin, as the socket of the daemon reports it.

use serde::{Deserialize, Serialize};

use crate::cluster::members::Leak;

/// Last answer of an origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// URL of the origin's pages.
    pub origin: String,
    /// `joined`, `drained`, or the reason why this edge is not in the origin's table; empty before the first answer.
    pub state: String,
    /// The origin's clock minus this machine's, in milliseconds.
    #[serde(default)]
    pub skew_ms: Option<i64>,
    /// Applications that need play tokens at the origin, and none here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaks: Vec<Leak>,
    /// The origin has another secret of play tokens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_other_secret: bool,
}
