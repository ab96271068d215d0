//! Reasons why a stream is not published, or no longer.

use weir_model::Refusal;

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
    /// Adds the remedy if the nginx of this machine refuses a token that the daemon has minted.
    pub(crate) fn of_minted(self) -> Self {
        match self {
            Self::Refused { url, why } if is_invalid_token(&why) => {
                let remedy = "secret_file of [nginx] in weir.toml must be a copy of the file of weir_secret in nginx.conf";
                Self::Refused { url, why: format!("{why}: {remedy}") }
            }
            other => other,
        }
    }

    /// Returns whether another attempt would fail in the same way.
    pub(crate) fn is_permanent(&self) -> bool {
        !matches!(self, Self::Connect { .. } | Self::Lost { .. })
    }
}

/// Returns whether a server's words say that it has another secret than the signer of the token.
pub(crate) fn is_invalid_token(words: &str) -> bool {
    words.starts_with(&Refusal::TokenInvalid.to_string())
}
