//! Errors of a test stream, and lines on standard error.

use crate::publisher;

/// Reason why a test stream ended too early. Each is one line, without the stream key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The URL or the options are wrong.
    #[error("{0}")]
    Usage(String),
    /// Something on this machine is missing: ffmpeg, the key file or the signals.
    #[error("{0}")]
    Local(String),
    /// ffmpeg ended by itself.
    #[error("ffmpeg failed: {0}")]
    Ffmpeg(String),
    /// The connection to the server failed, or the server refused the stream.
    #[error(transparent)]
    Publish(#[from] publisher::Error),
}

impl Error {
    /// Returns whether the command line was wrong.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_))
    }

    /// Returns whether another attempt would fail in the same way.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::Publish(error) => error.is_permanent(),
            _ => true,
        }
    }
}

/// Writes a line to standard error. A failure is ignored, because nobody may be reading.
pub(super) fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "weir: {line}");
}
