//! The connection to another node: WebSocket (RFC 6455) over HTTP, with TLS where the URL says so.

use std::sync::OnceLock;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::{Client, Url};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use weir_model::Secret;
use weir_model::front::MediaMessage;

use super::paths::VIA;
use super::said::{body, clean, explain};
use crate::config::origin::{Origin, host_of};
use crate::http;

/// Time limit of the connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Time limit of the answer: the far end may have to fetch the stream itself first.
const ANSWER: Duration = Duration::from_secs(20);
/// Largest message that is read, in bytes. A 4K keyframe of the highest quality is a fraction of it.
const MOST_BYTES: usize = 8 << 20;
/// Most nodes of a path, and most bytes of a node's name.
const MOST_VIA: usize = 64;
const MOST_NAME: usize = 64;

/// Reason why there is no connection, or no longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The system has no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// There is no answer.
    #[error("cannot connect to {host}: {why}")]
    Connect {
        /// Host and port.
        host: String,
        /// The innermost cause.
        why: String,
    },
    /// The answer has an unexpected status.
    #[error("{status} from {host}: {why}")]
    Answer {
        /// HTTP status.
        status: u16,
        /// Host and port.
        host: String,
        /// The far end's explanation, or advice.
        why: String,
    },
    /// The connection broke, or is no WebSocket.
    #[error("connection to {host} lost: {why}")]
    Lost {
        /// Host and port.
        host: String,
        /// Cause.
        why: String,
    },
    /// The far end has closed it.
    #[error("{host} has closed the connection: {why}")]
    Closed {
        /// Host and port.
        host: String,
        /// The far end's reason.
        why: String,
    },
}

/// A message of the far end.
#[derive(Debug)]
pub(super) enum Message {
    /// An initialization segment follows.
    Init {
        /// The nodes that the stream has passed, the far end first.
        via: Vec<String>,
        /// The media does not continue the earlier media.
        breaks: bool,
    },
    /// An initialization segment, or a fragment.
    Media(Bytes),
    /// The publisher is gone, and may return.
    Ended,
}

/// A connection to another node.
pub(super) struct Socket {
    stream: WebSocketStream<reqwest::Upgraded>,
    host: String,
    /// The far end has announced a discontinuity.
    breaks: bool,
}

impl Socket {
    /// Connects, and waits until the far end has the stream.
    /// `asking` names the nodes that the request comes from.
    pub(super) async fn connect(
        origin: &Origin,
        token: Option<&Secret>,
        asking: &[String],
    ) -> Result<Self, Error> {
        let via =
            HeaderValue::from_str(&asking.join(",")).ok().map(|via| (HeaderName::from_static(VIA), via));
        let stream = open(&origin.url, token, via.into_iter().collect(), MOST_BYTES).await?;
        Ok(Self { stream, host: origin.host(), breaks: false })
    }

    /// Returns the next message, or `None` if the far end has ended the stream. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            let frame = match self.stream.next().await {
                None => return Err(self.lost("it ended without a word".into())),
                Some(Err(error)) => return Err(self.lost(told(&error))),
                Some(Ok(frame)) => frame,
            };
            match frame {
                Frame::Binary(bytes) => return Ok(Some(Message::Media(bytes))),
                Frame::Text(text) => {
                    if let Some(message) = self.event(text.as_str()) {
                        return Ok(Some(message));
                    }
                }
                Frame::Close(Some(close)) if close.code == 1000.into() => return Ok(None),
                Frame::Close(close) => {
                    let reason = close.map(|close| clean(close.reason.as_str())).unwrap_or_default();
                    let why = if reason.is_empty() { "without a reason".into() } else { reason };
                    return Err(Error::Closed { host: self.host.clone(), why });
                }
                // The library answers pings.
                Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => {}
            }
        }
    }

    fn event(&mut self, text: &str) -> Option<Message> {
        match serde_json::from_str(text) {
            Ok(MediaMessage::Discontinuity) => self.breaks = true,
            Ok(MediaMessage::Init { mut via, .. }) => {
                via.truncate(MOST_VIA);
                via.retain(|node| node.len() <= MOST_NAME);
                return Some(Message::Init { via, breaks: std::mem::take(&mut self.breaks) });
            }
            Ok(MediaMessage::Ended) => return Some(Message::Ended),
            Ok(MediaMessage::Pong) => {}
            Ok(MediaMessage::Skipped { .. }) => {
                tracing::warn!("{} drops frames: the network is too slow", self.host);
            }
            // A newer node sent a message that this version does not know.
            Err(_) => {}
        }
        None
    }

    fn lost(&self, why: String) -> Error {
        Error::Lost { host: self.host.clone(), why }
    }

    /// Closes the connection, within a short time limit.
    pub(super) async fn close(mut self) {
        let _ = timeout(Duration::from_millis(300), self.stream.close(None)).await;
    }
}

/// Returns the client of all connections to other nodes: building one loads the certificates of the system. It keeps no connection,
/// because the threads that use it have runtimes of their own.
fn client() -> reqwest::Result<&'static Client> {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client);
    }
    let client =
        http::client().connect_timeout(CONNECT).tcp_nodelay(true).pool_max_idle_per_host(0).build()?;
    Ok(CLIENT.get_or_init(|| client))
}

/// Opens a WebSocket to another node, with further headers. A message of the far end has at most `most` bytes.
///
/// # Errors
///
/// [`Error`]; the far end may have to fetch the stream first, so it has 20 seconds to answer.
pub(crate) async fn open(
    url: &Url,
    token: Option<&Secret>,
    headers: HeaderMap,
    most: usize,
) -> Result<WebSocketStream<reqwest::Upgraded>, Error> {
    let host = host_of(url);
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(Error::Random)?;
    let key = STANDARD.encode(random);
    let failed = |why: String| Error::Connect { host: host.clone(), why };
    let mut request = client()
        .map_err(|error| failed(http::innermost(&error)))?
        .get(url.clone())
        .headers(headers)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, &key);
    if let Some(token) = token {
        // The token is not in the URL, which the far end's web server logs.
        request = request.bearer_auth(token.expose());
    }
    let response = timeout(ANSWER, request.send())
        .await
        .map_err(|_| failed(format!("no answer for {} s", ANSWER.as_secs())))?
        .map_err(|error| failed(http::innermost(&error)))?;
    let status = response.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let why = explain(status, body(response).await, token.is_some());
        return Err(Error::Answer { status: status.as_u16(), host, why });
    }
    let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
    if accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(Error::Lost { host, why: "it does not speak WebSocket".into() });
    }
    let upgraded = response.upgrade().await.map_err(|error| failed(http::innermost(&error)))?;
    let config = WebSocketConfig::default().max_message_size(Some(most)).max_frame_size(Some(most));
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
}

fn told(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Capacity(_) => format!("a message has more than {} MiB", MOST_BYTES >> 20),
        error => clean(&error.to_string()),
    }
}
