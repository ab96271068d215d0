//! The chat of an edge: its rooms are at the origin. For each viewer, the edge opens a connection to `/v1/ws` of the origin and passes
//! messages on unchanged. The edge names the address of the viewer in a signed header, so that bans by address work.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use futures_util::{SinkExt, StreamExt};
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::clock;
use crate::cluster::agent::Membership;
use crate::relay::socket;

/// Most messages that wait, in each direction.
const WAITING: usize = 64;
/// Largest message of the origin, in bytes.
const MOST_BYTES: usize = 64 << 10;
/// First and longest pause before the edge connects to the origin again. The edge varies each pause at random, because all its viewers
/// lose the origin at the same time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(15);
/// Time limit of one message to the origin.
const STALL: Duration = Duration::from_secs(10);
/// Time without a message or ping of the origin after which the connection is lost.
const SILENCE: Duration = Duration::from_secs(50);

/// A person of this edge in a room at the origin. Dropping it removes the person from the room.
#[derive(Debug)]
pub(super) struct Far {
    to: mpsc::Sender<Utf8Bytes>,
    from: mpsc::Receiver<Utf8Bytes>,
    task: AbortHandle,
}

impl Drop for Far {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Far {
    /// Enters a room for a viewer. `join` is the message that enters it; the edge repeats it after a lost connection.
    pub(super) fn enter(membership: &Membership, viewer: IpAddr, join: &serde_json::Value) -> Self {
        let ((to, said), (tell, from)) = (mpsc::channel(WAITING), mpsc::channel(WAITING));
        let (membership, join) = (membership.clone(), join.to_string().into());
        let task = tokio::spawn(run(membership, viewer, join, said, tell)).abort_handle();
        Self { to, from, task }
    }

    /// Passes a message on. Returns false if the origin is away or too slow.
    pub(super) fn say(&self, text: &str) -> bool {
        self.to.try_send(text.into()).is_ok()
    }

    /// Returns the next message of the room. Never returns after the room has refused the person. Cancel-safe.
    pub(super) async fn hear(&mut self) -> Utf8Bytes {
        match self.from.recv().await {
            Some(text) => text,
            None => std::future::pending().await,
        }
    }
}

/// How a connection to the origin has ended.
enum End {
    /// The viewer has left.
    Left,
    /// The origin is away, for this reason.
    Away(String),
}

async fn run(
    membership: Membership,
    viewer: IpAddr,
    join: Utf8Bytes,
    mut said: mpsc::Receiver<Utf8Bytes>,
    tell: mpsc::Sender<Utf8Bytes>,
) {
    let (mut pause, mut is_told) = (FIRST_PAUSE, false);
    loop {
        let mut has_entered = false;
        match converse(&membership, viewer, &join, (&mut said, &tell), &mut has_entered).await {
            End::Left => return,
            End::Away(why) => tracing::debug!("the chat of the origin is away: {why}"),
        }
        if has_entered {
            (pause, is_told) = (FIRST_PAUSE, false);
        }
        if !std::mem::replace(&mut is_told, true) {
            let message = "the chat is not reachable at the moment";
            let text = json!({ "type": "error", "code": "unavailable", "message": message }).to_string();
            if tell.send(text.into()).await.is_err() {
                return;
            }
        }
        let part = f64::from(clock::random_u32()) / f64::from(u32::MAX);
        sleep(pause.mul_f64(0.5 + part)).await;
        pause = (pause * 2).min(LAST_PAUSE);
        // The edge does not send messages from the pause later.
        while said.try_recv().is_ok() {}
    }
}

async fn converse(
    membership: &Membership,
    viewer: IpAddr,
    join: &Utf8Bytes,
    (said, tell): (&mut mpsc::Receiver<Utf8Bytes>, &mpsc::Sender<Utf8Bytes>),
    has_entered: &mut bool,
) -> End {
    let away = |why: &str| End::Away(why.to_owned());
    let Some((base, fields)) = membership.speak_for(viewer) else { return away("no random bytes") };
    let Ok(url) = format!("{}/v1/ws", base.as_str()).parse::<Url>() else { return away("no URL") };
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let mut stream = match socket::open(&url, None, headers, MOST_BYTES).await {
        Ok(stream) => stream,
        Err(error) => return End::Away(error.to_string()),
    };
    if stream.send(Message::Text(join.as_str().into())).await.is_err() {
        return away("it closed the connection");
    }
    loop {
        tokio::select! {
            heard = timeout(SILENCE, stream.next()) => match heard {
                Ok(Some(Ok(Message::Text(text)))) => {
                    let kind = Kind::of(text.as_str());
                    *has_entered |= kind == Kind::Welcome;
                    if kind != Kind::Other && tell.send(text.as_str().into()).await.is_err() {
                        return End::Left;
                    }
                }
                Ok(Some(Ok(Message::Close(Some(close))))) => return End::Away(close.reason.as_str().to_owned()),
                // The library answers pings.
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => return End::Away(error.to_string()),
                Ok(None) => return away("it closed the connection"),
                Err(_) => return away("it is silent"),
            },
            text = said.recv() => {
                let Some(text) = text else { return End::Left };
                match timeout(STALL, stream.send(Message::Text(text.as_str().into()))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return End::Away(error.to_string()),
                    Err(_) => return away("it takes no messages"),
                }
            }
        }
    }
}

/// Kind of a message of the origin. Viewers of an edge get everything but the chat from the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Welcome,
    Chat,
    Other,
}

impl Kind {
    fn of(text: &str) -> Self {
        #[derive(Deserialize)]
        struct Typed {
            #[serde(rename = "type")]
            kind: String,
        }
        match serde_json::from_str::<Typed>(text).map(|typed| typed.kind).as_deref() {
            Ok("chat.welcome") => Self::Welcome,
            Ok(kind) if kind == "chat" || kind == "error" || kind.starts_with("chat.") => Self::Chat,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_chat_is_passed_on() {
        for (text, kind) in [
            (r#"{"type":"chat.welcome","people":1}"#, Kind::Welcome),
            (r#"{"type":"chat","text":"x"}"#, Kind::Chat),
            (r#"{"type":"error","code":"banned"}"#, Kind::Chat),
            (r#"{"type":"viewers"}"#, Kind::Other),
            (r#"{"type":"chatty"}"#, Kind::Other),
            ("[]", Kind::Other),
            ("", Kind::Other),
        ] {
            assert_eq!(Kind::of(text), kind, "{text}");
        }
    }
}
