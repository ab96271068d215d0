//! Letters between the nodes of a pair, as JSON within a seal.

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::twins::Stage;
use crate::chat::mirror::Word;
use crate::cluster::figures::Figures;

/// Size of the largest letter in bytes. [`Table::since`](super::table::Table::since) fills about half of it.
pub(crate) const MAX_LETTER: usize = 2 << 20;

/// A letter between the nodes, as a request and as its answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Letter {
    /// The sender's id.
    pub node: String,
    /// Id of the run of the sender's daemon.
    pub run: String,
    /// The letter has the rows of the sender's log after this number.
    pub from: u64,
    /// Number of the last row in the letter.
    pub upto: u64,
    /// The sender has more rows.
    pub more: bool,
    /// The rows: each has the name and the version of a thing.
    pub entries: Vec<(String, Entry)>,
    /// The part of the receiver's log that the sender has: the receiver's run, and the number of the last row.
    pub have: Option<(String, u64)>,
    /// Number of changes that are not in force at the sender yet.
    pub pending: usize,
    /// Publishers at the sender; `None` while its nginx does not answer.
    pub stage: Option<Stage>,
    /// Version of the sender's daemon. This field and the next two are missing in letters of an older version.
    pub version: Option<String>,
    /// Time of the sender's clock, in milliseconds since 1970.
    pub clock: Option<u64>,
    /// Figures of the sender for administrators.
    pub figures: Option<Figures>,
    /// The part of the receiver's chat messages that the sender has: the receiver's run, and the number of the last word. An older version
    /// takes none.
    pub have_words: Option<(String, u64)>,
    /// The next words of the sender's chat, numbered.
    pub words: Vec<(u64, Word)>,
}

/// The body of an answer: a letter, or the reason why there is none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    /// The sender's clock, in milliseconds since 1970.
    pub now: u64,
    /// The letter; `None` if the request was refused.
    pub letter: Option<Letter>,
    /// Code and message of the refusal: `clock`, `replayed`, `bad_request`, `unavailable`.
    pub error: Option<(String, String)>,
}
