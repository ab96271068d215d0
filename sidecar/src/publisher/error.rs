//! Why a stream is not published, or not any more.

/// One line each, without the key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The handshake needs them.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// No connection.
    #[error("cannot connect to {url}: {why}")]
    Connect {
        /// Without the stream's name.
        url: String,
        /// What the system says.
        why: String,
    },
    /// The server closed the connection at `connect`, as nginx-rtmp does for an application that it does not have.
    #[error("{url} closed the connection at \"connect\": check the application's name")]
    NoApplication {
        /// Without the stream's name.
        url: String,
    },
    /// The server does not want this stream.
    #[error("{url} refused the stream: {why}")]
    Refused {
        /// Without the stream's name.
        url: String,
        /// The server's code and description.
        why: String,
    },
    /// The connection ended, or is as good as ended.
    #[error("connection to {url} lost: {why}")]
    Lost {
        /// Without the stream's name.
        url: String,
        /// How.
        why: String,
    },
}

impl Error {
    /// Whether another attempt would end the same way.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Connect { .. } | Self::Lost { .. })
    }
}
