//! The chat of an edge: its rooms are at the origin. For each viewer, the edge opens a connection to `/v1/ws` of the origin and passes
//! messages on unchanged. The edge names the address of the viewer in a signed header, so that bans by address work.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use futures_util::{SinkExt, StreamExt};
use reqwest::Url;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use weir_model::front::FrontMessage;

use crate::clock;
use crate::cluster::agent::Membership;
use crate::relay::socket;
use crate::web::shares::Share;

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

/// Least time between two connections for one front end.
const GAP: Duration = Duration::from_secs(1);

/// Times of the connections for one front end.
#[derive(Debug, Default)]
pub(super) struct Pace(Option<Instant>);

impl Pace {
    /// Returns the time at which the next connection may begin. If the previous connection has not begun yet, the next one takes its
    /// time.
    pub(super) fn next(&mut self, now: Instant) -> Instant {
        let at = match self.0 {
            Some(previous) if previous > now => previous,
            Some(previous) => now.max(previous + GAP),
            None => now,
        };
        self.0 = Some(at);
        at
    }
}

/// A person of this edge in a room at the origin. Dropping it removes the person from the room.
#[derive(Debug)]
pub(super) struct Far {
    join: Utf8Bytes,
    /// Share of the edge's connections to the origin; `None` after the room has refused the person.
    share: Option<Share>,
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
    /// Enters a room for a viewer, not before a time. `join` is the message that enters it; the edge repeats it after a lost
    /// connection.
    pub(super) fn enter(
        membership: &Membership,
        viewer: IpAddr,
        join: Utf8Bytes,
        at: Instant,
        share: Share,
    ) -> Self {
        let ((to, said), (tell, from)) = (mpsc::channel(WAITING), mpsc::channel(WAITING));
        let (membership, message) = (membership.clone(), join.clone());
        let run = async move {
            sleep_until(at).await;
            run(membership, viewer, message, said, tell).await;
        };
        let task = tokio::spawn(run).abort_handle();
        Self { join, share: Some(share), to, from, task }
    }

    /// Returns whether this message has entered the room, and the room has not refused the person.
    pub(super) fn is_in(&self, join: &Utf8Bytes) -> bool {
        self.join == *join && !self.has_ended()
    }

    /// Returns whether the room has refused the person.
    pub(super) fn has_ended(&self) -> bool {
        self.to.is_closed()
    }

    /// Passes a message on. Returns false if the origin is away or too slow.
    pub(super) fn say(&self, text: &str) -> bool {
        self.to.try_send(text.into()).is_ok()
    }

    /// Returns the next message of the room. Never returns after the room has refused the person. Cancel-safe.
    pub(super) async fn hear(&mut self) -> Utf8Bytes {
        match self.from.recv().await {
            Some(text) => text,
            None => {
                self.share = None;
                std::future::pending().await
            }
        }
    }
}

/// How a connection to the origin has ended.
enum End {
    /// The viewer has left.
    Left,
    /// The room has refused the person.
    Refused,
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
    let (mut pause, mut is_told, mut was_in) = (FIRST_PAUSE, false, false);
    loop {
        let mut has_entered = false;
        match converse(&membership, viewer, &join, (&mut said, &tell), was_in, &mut has_entered).await {
            End::Left | End::Refused => return,
            End::Away(why) => tracing::debug!("the chat of the origin is away: {why}"),
        }
        if has_entered {
            (pause, is_told, was_in) = (FIRST_PAUSE, false, true);
        }
        if !std::mem::replace(&mut is_told, true) {
            let (code, message) = ("unavailable".into(), "the chat is not reachable at the moment".into());
            if tell.send(FrontMessage::Error { code, message, seconds: None }.text().into()).await.is_err() {
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

/// `was_in`: the person was in the room over an earlier connection.
async fn converse(
    membership: &Membership,
    viewer: IpAddr,
    join: &Utf8Bytes,
    (said, tell): (&mut mpsc::Receiver<Utf8Bytes>, &mpsc::Sender<Utf8Bytes>),
    was_in: bool,
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
                    if !*has_entered && kind.is_temporary(was_in) {
                        return away("it cannot answer yet");
                    }
                    if kind != Kind::Other && tell.send(text.as_str().into()).await.is_err() {
                        return End::Left;
                    }
                    if !*has_entered && kind.is_error() {
                        return End::Refused;
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
    /// The origin cannot check tokens yet.
    Unavailable,
    NameTaken,
    /// Another error.
    Error,
    Other,
}

impl Kind {
    fn of(text: &str) -> Self {
        #[derive(Deserialize)]
        struct Typed {
            #[serde(rename = "type")]
            kind: String,
            #[serde(default)]
            code: String,
        }
        let Ok(Typed { kind, code }) = serde_json::from_str(text) else { return Self::Other };
        match (kind.as_str(), code.as_str()) {
            ("chat.welcome", _) => Self::Welcome,
            ("error", "unavailable") => Self::Unavailable,
            ("error", "name_taken") => Self::NameTaken,
            ("error", _) => Self::Error,
            (kind, _) if kind == "chat" || kind.starts_with("chat.") => Self::Chat,
            _ => Self::Other,
        }
    }

    fn is_error(self) -> bool {
        matches!(self, Self::Unavailable | Self::NameTaken | Self::Error)
    }

    /// Returns whether a later `join` may succeed after this answer. For a while after a lost connection, the origin may still have
    /// the person under the same name.
    fn is_temporary(self, was_in: bool) -> bool {
        self == Self::Unavailable || (was_in && self == Self::NameTaken)
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
            (r#"{"type":"error","code":"banned"}"#, Kind::Error),
            (r#"{"type":"error"}"#, Kind::Error),
            (r#"{"type":"error","code":"name_taken"}"#, Kind::NameTaken),
            (r#"{"type":"error","code":"unavailable"}"#, Kind::Unavailable),
            (r#"{"type":"viewers"}"#, Kind::Other),
            (r#"{"type":"chatty"}"#, Kind::Other),
            ("[]", Kind::Other),
            ("", Kind::Other),
        ] {
            assert_eq!(Kind::of(text), kind, "{text}");
        }
    }

    #[test]
    fn a_refused_person_stays_out() {
        for (kind, first, again) in [
            (Kind::Error, false, false),
            (Kind::NameTaken, false, true),
            (Kind::Unavailable, true, true),
            (Kind::Welcome, false, false),
        ] {
            assert_eq!([false, true].map(|was_in| kind.is_temporary(was_in)), [first, again], "{kind:?}");
        }
    }

    #[test]
    fn a_front_end_gets_one_connection_per_second() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let mut at = |ms| pace.next(begin + Duration::from_millis(ms)) - begin;
        let times = [0, 10, 20, 999, 1001, 1900, 2100, 9000].map(|ms| at(ms).as_millis());
        assert_eq!(times, [0, 1000, 1000, 1000, 2000, 2000, 3000, 9000]);
    }
}
