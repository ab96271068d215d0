//! Why a test stream ended before it should, and lines for who waits for it.

use crate::publisher;

/// Why a test stream ended before it should. One line each, without the key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL or the options.
    #[error("{0}")]
    Usage(String),
    /// No ffmpeg, no key file, no signals.
    #[error("{0}")]
    Local(String),
    /// ffmpeg ended by itself.
    #[error("ffmpeg failed: {0}")]
    Ffmpeg(String),
    /// The server, or the way to it.
    #[error(transparent)]
    Publish(#[from] publisher::Error),
}

impl Error {
    /// Whether the command line was wrong.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_))
    }

    /// Whether another attempt would end the same way.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Publish(error) => error.is_permanent(),
            _ => true,
        }
    }
}

/// A line on standard error; nobody may be left to read it.
pub(super) fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "weir: {line}");
}
