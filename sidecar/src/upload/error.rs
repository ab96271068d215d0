//! Reasons why an upload fails.

use super::credentials;

/// Reason why an upload has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The credentials are missing.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    /// The request to the server failed.
    #[error("{what}: {why}")]
    Server {
        /// The request.
        what: &'static str,
        /// The server's answer, or the reason why there is none.
        why: String,
        /// The server does not know this upload.
        unknown: bool,
    },
    /// The file, or its entry, cannot be read or written.
    #[error("{0}")]
    File(#[from] std::io::Error),
}
