//! The upload of a file.

use serde::{Deserialize, Serialize};
use weir_model::Timestamp;

/// The upload of a file, and its progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transfer {
    /// Name of the `[upload.NAME]` table.
    pub to: String,
    /// Key of the object in the bucket.
    pub key: String,
    /// Size of each part but the last, in bytes.
    pub part_size: u64,
    /// The server's id of a multipart upload.
    pub id: Option<String>,
    /// Entity tags of the uploaded parts.
    pub parts: Vec<String>,
    /// Time of completion.
    pub done: Option<Timestamp>,
    /// Reason of the last failure, until a part arrives.
    #[serde(skip)]
    pub error: Option<String>,
}

impl Transfer {
    /// Returns an upload that has not begun.
    pub(crate) fn new(to: &str, key: String, part_size: u64) -> Self {
        Self { to: to.into(), key, part_size, id: None, parts: Vec::new(), done: None, error: None }
    }
}
