//! Where a file is to go.

use serde::{Deserialize, Serialize};
use weir_model::Timestamp;

/// Where a file is to go, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// `[upload.NAME]`
    pub to: String,
    /// In the bucket.
    pub key: String,
    /// Bytes of each part but the last.
    pub part_size: u64,
    /// The server's name for a transfer in parts.
    pub id: Option<String>,
    /// What the server said of each part that it has.
    pub parts: Vec<String>,
    /// When all of it was there.
    pub done: Option<Timestamp>,
}

impl Transfer {
    /// One that has not begun.
    pub fn new(to: &str, key: String, part_size: u64) -> Self {
        Self { to: to.into(), key, part_size, id: None, parts: Vec::new(), done: None }
    }
}
