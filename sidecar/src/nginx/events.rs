//! Reads the events of `GET /v1/events` as they arrive.

use std::io::Cursor;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use reqwest::header;
use sse_stream::{Sse, SseByteStream};
use tokio::time::timeout;

use super::{Error, Nginx, SetBy};
use crate::http::innermost;

mod limit;

use limit::Limiter;

/// Longest time without data: the module sends a comment every 15 seconds.
const SILENCE: Duration = Duration::from_secs(40);

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ApiEvent {
    /// Value for `Last-Event-ID`.
    pub id: Option<String>,
    /// Kind, for example `stream.started`.
    pub kind: String,
    /// JSON text.
    pub data: String,
}

type Blocks = Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>> + Send>>;

/// A stream of events.
pub(crate) struct Events {
    blocks: Blocks,
    by: SetBy,
    api: String,
}

impl Nginx {
    /// Subscribes to events: to those after `last_id` that the module still knows, and to all later ones.
    pub(crate) async fn events(&self, last_id: Option<&str>) -> Result<Events, Error> {
        let mut request = self.get("v1/events").header(header::ACCEPT, "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("Last-Event-ID", id);
        }
        // The response has no end, so it has no time limit.
        let request = request.timeout(Duration::from_secs(u64::from(u32::MAX)));
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if !status.is_success() {
            let text = self.body(response).await?;
            return Err(self.refusal(status, &text));
        }
        Ok(Events { blocks: blocks(response.bytes_stream()), by: self.by, api: self.api.to_string() })
    }
}

/// Reason why no more bytes arrive.
#[derive(Debug, thiserror::Error)]
enum Broken<E> {
    #[error("silence")]
    Silence,
    #[error(transparent)]
    Lost(E),
}

/// Splits bytes, in pieces of any size, into events. Events that are too long are left out.
fn blocks<S, B, E>(bytes: S) -> Blocks
where
    S: Stream<Item = Result<B, E>> + Send + 'static,
    B: AsRef<[u8]> + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    let state = (Box::pin(bytes), Limiter::default());
    let limited = stream::unfold(state, |(mut bytes, mut limiter)| async move {
        // Comments prove that the connection is alive, and the decoder drops them.
        let piece = match timeout(SILENCE, bytes.next()).await {
            Err(_) => Err(Broken::Silence),
            Ok(piece) => piece?.map(|piece| limiter.pass(piece.as_ref())).map_err(Broken::Lost),
        };
        Some((piece.map(Cursor::new), (bytes, limiter)))
    });
    Box::pin(SseByteStream::new(Box::pin(limited)))
}

impl Events {
    /// Returns the next event. Cancel-safe. An error ends the stream.
    pub(crate) async fn next(&mut self) -> Result<ApiEvent, Error> {
        let lost = |why: &str| Error::Unreachable { by: self.by, api: self.api.clone(), why: why.to_owned() };
        loop {
            match self.blocks.next().await {
                None => return Err(lost("the events ended")),
                Some(Err(error)) => return Err(lost(&innermost(&error))),
                // An event without a kind is not from the module.
                Some(Ok(Sse { event: Some(kind), data, id, .. })) if !kind.is_empty() => {
                    return Ok(ApiEvent { id, kind, data: data.unwrap_or_default() });
                }
                Some(Ok(_)) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
