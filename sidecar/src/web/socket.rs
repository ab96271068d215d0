//! `/stream/APP/NAME/ws`: fragmented MP4 over WebSocket. A binary message is an initialization segment or one fragment; a text
//! message is a JSON event.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures_util::SinkExt;
use tokio::time::{Instant, interval, timeout};
use weir_model::front::MediaMessage;

use super::farewell::{End, farewell};
use super::patience::Inbound;
use crate::live::ring::{Item, Start};
use crate::live::station::Viewer;
use crate::relay::paths::Paths;
use crate::streams::StreamId;

/// Maximum size of a message from a viewer, in bytes; viewers send only [`ASKS`].
const MAX_MESSAGE: usize = 1024;
/// Buffer sizes per viewer, in bytes: with the default of 128 kB each, the buffers would be most of a viewer's memory.
const READ_BUFFER: usize = 2048;
const WRITE_BUFFER: usize = 16 << 10;
/// Maximum number of messages from a viewer between two pings.
const MOST_MESSAGES: u32 = 100;
/// Text of a viewer that asks for an answer: a browser cannot send pings.
const ASKS: &str = "ping";
/// Time after which a viewer that reads nothing is disconnected.
const STALL: Duration = Duration::from_secs(10);
/// Maximum number of skips per viewer within [`PATIENCE`].
const MOST_SKIPS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(60);
/// Interval between checks of a viewer's token.
const CHECK: Duration = Duration::from_secs(1);
/// Interval between pings on a quiet stream.
const PING: Duration = Duration::from_secs(20);
/// Maximum number of bytes that a viewer may send between two pings: answers to pings, and incomplete messages.
const MOST_BYTES: i64 = 32 << 10;

/// Returns whether the token of a viewer is still valid.
pub(super) type MayStay = Box<dyn Fn() -> bool + Send + Sync>;

/// Serves a viewer while `may_stay` returns true; a viewer without a token has no time limit.
pub(super) fn serve(
    upgrade: WebSocketUpgrade,
    viewer: Viewer,
    inbound: Inbound,
    may_stay: Option<MayStay>,
    paths: Arc<Paths>,
) -> Response {
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .on_upgrade(async move |socket| watch(socket, viewer, &inbound, may_stay, &paths).await)
}

async fn watch(
    mut socket: WebSocket,
    mut viewer: Viewer,
    inbound: &Inbound,
    may_stay: Option<MayStay>,
    paths: &Paths,
) {
    inbound.allow(MOST_BYTES);
    let end = tokio::select! {
        end = send(&mut socket, &mut viewer, paths) => end,
        () = refill(inbound) => End::Gone,
        () = is_over(may_stay) => End::Told(close_code::POLICY, "the token has expired or was revoked"),
    };
    // From now on, the viewer does not count.
    drop(viewer);
    farewell(socket, end, Duration::from_secs(1)).await;
}

/// Renews the limit of incoming bytes regularly; never returns.
async fn refill(inbound: &Inbound) {
    let mut refill = interval(PING);
    loop {
        refill.tick().await;
        inbound.allow(MOST_BYTES);
    }
}

/// Returns when the viewer's token is no longer valid.
async fn is_over(may_stay: Option<MayStay>) {
    let Some(may_stay) = may_stay else { return std::future::pending().await };
    let mut check = interval(CHECK);
    loop {
        check.tick().await;
        if !may_stay() {
            return;
        }
    }
}

async fn send(socket: &mut WebSocket, viewer: &mut Viewer, paths: &Paths) -> End {
    let mut skips = Skips::default();
    let mut heard = 0;
    let mut ping = interval(PING);
    ping.reset();
    loop {
        let taken = viewer.read();
        if taken.skipped > 0 {
            if skips.are_too_many(Instant::now()) {
                return End::Told(close_code::AGAIN, "too slow");
            }
            let skipped = MediaMessage::Skipped { fragments: taken.skipped };
            if !feed(socket, text(&skipped)).await {
                return End::Gone;
            }
        }
        if !taken.items.is_empty() || taken.skipped > 0 {
            for item in taken.items {
                for message in messages(item, &viewer.station().id, paths) {
                    if !feed(socket, message).await {
                        return End::Gone;
                    }
                }
            }
            if !matches!(timeout(STALL, socket.flush()).await, Ok(Ok(()))) {
                return End::Gone;
            }
            continue;
        }
        tokio::select! {
            more = viewer.more() => {
                if !more {
                    return End::Told(close_code::NORMAL, "the stream has ended");
                }
            }
            message = socket.recv() => {
                heard += 1;
                match message {
                    None => return End::Gone,
                    Some(Err(error)) => return End::of(error),
                    Some(Ok(Message::Close(_))) => return End::Closed,
                    Some(Ok(Message::Pong(_))) => heard -= 1,
                    Some(Ok(_)) if heard > MOST_MESSAGES => {
                        return End::Told(close_code::POLICY, "too many messages");
                    }
                    Some(Ok(Message::Text(text))) if text.as_str() == ASKS => {
                        if !feed(socket, self::text(&MediaMessage::Pong)).await
                            || !matches!(timeout(STALL, socket.flush()).await, Ok(Ok(())))
                        {
                            return End::Gone;
                        }
                    }
                    Some(Ok(_)) => {}
                }
            }
            _ = ping.tick() => {
                heard = 0;
                if !feed(socket, Message::Ping(Default::default())).await
                    || !matches!(timeout(STALL, socket.flush()).await, Ok(Ok(())))
                {
                    return End::Gone;
                }
            }
        }
    }
}

async fn feed(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(STALL, socket.feed(message)).await, Ok(Ok(())))
}

fn text(message: &MediaMessage) -> Message {
    Message::Text(message.text().into())
}

fn messages(item: Item, id: &StreamId, paths: &Paths) -> Vec<Message> {
    match item {
        Item::Fragment(piece) => vec![Message::Binary(piece.bytes)],
        Item::Ended => vec![text(&MediaMessage::Ended)],
        Item::Init(start) => {
            let mut all = Vec::with_capacity(3);
            if start.about.breaks {
                all.push(text(&MediaMessage::Discontinuity));
            }
            all.push(text(&init(&start, paths.of(id))));
            all.push(Message::Binary(start.bytes.clone()));
            all
        }
    }
}

/// Returns the message `init`. `via` names the nodes that the stream came through, for nodes that relay it.
fn init(start: &Start, via: Vec<String>) -> MediaMessage {
    let about = &start.about;
    let (width, height) = about.size.unzip();
    MediaMessage::Init {
        codecs: about.codecs.clone(),
        video: about.has_video,
        audio: about.has_audio,
        width: width.map(u32::from),
        height: height.map(u32::from),
        via,
    }
}

/// Counts the skips of a viewer.
#[derive(Default)]
struct Skips {
    since: Option<Instant>,
    count: u32,
}

impl Skips {
    fn are_too_many(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        if now - since > PATIENCE {
            (self.since, self.count) = (Some(now), 0);
        }
        self.count += 1;
        self.count > MOST_SKIPS
    }
}
