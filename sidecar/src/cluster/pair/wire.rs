//! Letters between the nodes of a pair, as JSON within a seal.

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::twins::Stage;

/// The largest letter, in bytes: [`Table::since`](super::table::Table::since) fills half of it.
pub const MAX_LETTER: usize = 2 << 20;

/// What a node tells the other one, as a request and as its answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Letter {
    /// The sender's id.
    pub node: String,
    /// Of this run of its daemon.
    pub run: String,
    /// Rows of the sender's log behind this number,
    pub from: u64,
    /// up to this one.
    pub upto: u64,
    /// The sender has more.
    pub more: bool,
    /// They.
    pub entries: Vec<(String, Entry)>,
    /// The receiver's log as far as the sender has it: the receiver's run, and the number.
    pub have: Option<(String, u64)>,
    /// What is not in force at the sender yet.
    pub pending: usize,
    /// Who publishes there; none while its nginx does not answer.
    pub stage: Option<Stage>,
}

/// The body of an answer: a letter, or why there is none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// The sender's clock, in milliseconds since 1970.
    pub now: u64,
    /// None where the request is refused.
    pub letter: Option<Letter>,
    /// Why it is: `clock`, `replayed`, `bad_request`, `unavailable`.
    pub error: Option<(String, String)>,
}
