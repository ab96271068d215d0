//! Reasons why a stream is not relayed.

use std::time::Duration;

use weir_media::live::unpack;

use super::whep::why::Why;
use super::{paths, socket};
use crate::publisher::{self, token};

/// Longest time without media of a live stream.
pub(super) const SILENCE: Duration = Duration::from_secs(10);

/// Reason why a stream is not relayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No token can be minted.
    #[error(transparent)]
    Token(#[from] token::Error),
    /// The connection to the far end failed.
    #[error(transparent)]
    Socket(#[from] socket::Error),
    /// WebRTC with the far end failed.
    #[error(transparent)]
    Whep(#[from] Why),
    /// The far end sends invalid media.
    #[error("{host} sends what is no media: {why}")]
    Media {
        /// The far end.
        host: String,
        /// The error in the media.
        why: unpack::Error,
    },
    /// The far end sends media without an initialization segment.
    #[error("{0} sends no initialization segment")]
    NoInit(String),
    /// The far end is connected and sends nothing.
    #[error("no media from {0} for {seconds} s", seconds = SILENCE.as_secs())]
    Silent(String),
    /// The stream has passed this node, or too many nodes.
    #[error(transparent)]
    Loop(#[from] paths::Loop),
    /// nginx does not accept the stream.
    #[error(transparent)]
    Publisher(#[from] publisher::Error),
    /// nginx does not answer.
    #[error("nginx does not answer to the publish")]
    NoAnswer,
}
