//! Why a file is not in its bucket.

use super::credentials;

/// Why a file is not there yet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No credentials.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    /// The server did not do what it was asked for.
    #[error("{what}: {why}")]
    Server {
        /// What it was asked for.
        what: &'static str,
        /// Its answer, or why there was none.
        why: String,
        /// It knows nothing of this transfer.
        unknown: bool,
    },
    /// The file, or its entry.
    #[error("{0}")]
    File(#[from] std::io::Error),
}
