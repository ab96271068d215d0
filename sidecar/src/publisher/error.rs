//! Reasons why a stream is not published, or no longer.

/// Error on one line, without the stream key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The system has no random bytes for the handshake.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// The connection failed.
    #[error("cannot connect to {url}: {why}")]
    Connect {
        /// URL without the stream's name.
        url: String,
        /// The system's error.
        why: String,
    },
    /// The server closed the connection at `connect`, as nginx-rtmp does for an application that it does not have.
    #[error("{url} closed the connection at \"connect\": check the application's name")]
    NoApplication {
        /// URL without the stream's name.
        url: String,
    },
    /// The server refused the stream.
    #[error("{url} refused the stream: {why}")]
    Refused {
        /// URL without the stream's name.
        url: String,
        /// The server's code and description.
        why: String,
    },
    /// The connection broke, or has stalled.
    #[error("connection to {url} lost: {why}")]
    Lost {
        /// URL without the stream's name.
        url: String,
        /// Cause.
        why: String,
    },
}

impl Error {
    /// Returns whether another attempt would fail in the same way.
    pub(crate) fn is_permanent(&self) -> bool {
        !matches!(self, Self::Connect { .. } | Self::Lost { .. })
    }
}
