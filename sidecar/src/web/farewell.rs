//! The end of a WebSocket connection (RFC 6455, section 7).

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::stream::FusedStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;

/// Maximum time for the other end to close the connection too.
const LINGER: Duration = Duration::from_secs(1);

/// Reason why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The other end has disconnected, or reads nothing.
    Gone,
    /// The other end has sent a close.
    Closed,
    /// This end closes the connection with this code and reason.
    Told(u16, &'static str),
}

impl End {
    /// Returns the end that an error of `recv` causes (RFC 6455, 7.1.7 and 7.4.1).
    pub(super) fn of(error: axum::Error) -> Self {
        match error.into_inner().downcast::<Error>().as_deref() {
            Ok(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Self::Gone,
            Ok(Error::Protocol(_)) => Self::Told(close_code::PROTOCOL, "not as RFC 6455 requires"),
            Ok(Error::Utf8(_)) => Self::Told(close_code::INVALID, "a text must be UTF-8"),
            Ok(Error::Capacity(_)) => Self::Told(close_code::SIZE, "the message is too long"),
            _ => Self::Gone,
        }
    }
}

/// Ends a connection. A code and a reason are sent within `patience`; then messages are discarded until the other end closes the
/// connection: with unread data, the system would reset the connection, and the other end could lose the reason.
pub(super) async fn farewell(mut socket: WebSocket, end: End, patience: Duration) {
    let (code, reason) = match end {
        End::Gone => return,
        // The next read sends the answer to the close (5.5.1).
        End::Closed => return drop(timeout(LINGER, socket.recv()).await),
        End::Told(code, reason) => (code, reason),
    };
    let is_broken = socket.is_terminated();
    let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    if !matches!(timeout(patience, socket.send(close)).await, Ok(Ok(()))) {
        return;
    }
    if is_broken {
        // After an error, nothing can be read any more, so the other end only gets some time.
        return sleep(LINGER).await;
    }
    let rest = async { while let Some(Ok(_)) = socket.recv().await {} };
    let _ = timeout(LINGER, rest).await;
}
