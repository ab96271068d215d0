//! Why WebRTC with a far end does not work.

use std::time::Duration;

use super::answer;

/// ICE and DTLS are done by then.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(15);

/// Why WebRTC with a far end does not work.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// The answer cannot be used.
    #[error("{host}: {why}")]
    Answer {
        /// Host and port.
        host: String,
        /// What is wrong.
        why: answer::Error,
    },
    /// The engine says no to the answer, or to a packet.
    #[error("{host}: WebRTC fails: {why}")]
    Engine {
        /// Host and port.
        host: String,
        /// In the engine's words.
        why: String,
    },
    /// No socket.
    #[error("no UDP socket towards {host}: {why}")]
    Socket {
        /// Host and port.
        host: String,
        /// What the system says.
        why: std::io::Error,
    },
    /// ICE or DTLS was not done in time.
    #[error(
        "no WebRTC connection to {0} within {seconds} s: check that its UDP port can be reached, and [webrtc] addresses there",
        seconds = HANDSHAKE.as_secs()
    )]
    NotConnected(String),
}
