//! Reasons why WebRTC with a far end fails.

use std::time::Duration;

use super::answer;

/// Time within which ICE and DTLS must be done.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(15);

/// Reason why WebRTC with a far end fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Why {
    /// The answer cannot be used.
    #[error("{host}: {why}")]
    Answer {
        /// Host and port.
        host: String,
        /// The error in the answer.
        why: answer::Error,
    },
    /// The engine refuses the answer or a packet.
    #[error("{host}: WebRTC fails: {why}")]
    Engine {
        /// Host and port.
        host: String,
        /// The engine's reason.
        why: String,
    },
    /// No socket can be opened.
    #[error("no UDP socket towards {host}: {why}")]
    Socket {
        /// Host and port.
        host: String,
        /// The system's error.
        why: std::io::Error,
    },
    /// ICE or DTLS was not done in time.
    #[error(
        "no WebRTC connection to {0} within {seconds} s: check that its UDP port can be reached, and [webrtc] addresses there",
        seconds = HANDSHAKE.as_secs()
    )]
    NotConnected(String),
}
