//! Why a stream is not relayed.

use std::time::Duration;

use weir_media::live::unpack;

use super::whep::why::Why;
use super::{paths, socket};
use crate::publisher::{self, token};

/// A stream that is on brings media all the time.
pub(super) const SILENCE: Duration = Duration::from_secs(10);

/// Why a stream is not relayed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No token can be minted.
    #[error(transparent)]
    Token(#[from] token::Error),
    /// The far end, or the way to it.
    #[error(transparent)]
    Socket(#[from] socket::Error),
    /// WebRTC with it.
    #[error(transparent)]
    Whep(#[from] Why),
    /// What it sends is no media.
    #[error("{host} sends what is no media: {why}")]
    Media {
        /// The far end.
        host: String,
        /// Why not.
        why: unpack::Error,
    },
    /// It sends media without saying first what it is.
    #[error("{0} sends no initialization segment")]
    NoInit(String),
    /// It is connected and says nothing.
    #[error("no media from {0} for {seconds} s", seconds = SILENCE.as_secs())]
    Silent(String),
    /// The stream comes from here.
    #[error(transparent)]
    Loop(#[from] paths::Loop),
    /// nginx does not take the stream.
    #[error(transparent)]
    Publisher(#[from] publisher::Error),
    /// nginx does not answer.
    #[error("nginx does not answer to the publish")]
    NoAnswer,
}
