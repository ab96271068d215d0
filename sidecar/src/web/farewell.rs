//! The end of a WebSocket connection, as the server starts it (RFC 6455, section 7.1.1).

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use tokio::time::timeout;

/// Maximum time for the other end to close the connection too.
const LINGER: Duration = Duration::from_secs(1);

/// Sends a code and a reason within `patience`. Then discards messages until the other end closes the connection: with unread data, the
/// system would reset the connection, and the other end could lose the reason.
pub(super) async fn farewell(mut socket: WebSocket, code: u16, reason: &'static str, patience: Duration) {
    let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    if matches!(timeout(patience, socket.send(close)).await, Ok(Ok(()))) {
        let rest = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = timeout(LINGER, rest).await;
    }
}
