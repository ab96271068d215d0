//! Events of `GET /v1/events`. [`Event`] is the only list of their kinds and fields: the module writes it, the daemon reads it. The
//! daemon's own events are in [`daemon`], and what only hooks receive is in [`hooks`].
//!
//! The zone keeps an event as the text of its fields and the time beside it: a worker writes the text once, and all
//! followers get the same text. [`append`] puts text and time together.
//!
//! Each type lists its fields in the order of their names, because JSON has them in this order.

use std::fmt::Write;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::guard::Violation;
use crate::key::KeyId;
use crate::refusal::Refusal;
use crate::snapshot::{AudienceSnapshot, Viewers};
use crate::target::{PushState, TargetId};
use crate::time::Timestamp;

/// Declares an enum of events: for each kind its name, its variant, and the type of its fields.
macro_rules! events {
    ($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $kind:literal $variant:ident($fields:ty),)* }) => {
        $(#[$of])*
        pub enum $name {
            $($(#[$doc])* $variant($fields),)*
        }

        impl $name {
            /// The names of all kinds.
            pub const KINDS: &[&str] = &[$($kind),*];

            /// Returns the name of the kind.
            pub fn kind(&self) -> &'static str {
                match self {
                    $($name::$variant(_) => $kind,)*
                }
            }

            /// Reads an event from the name of its kind and its fields. Ignores fields that the kind does not have.
            pub fn read<'de, D: Deserializer<'de>>(kind: &str, fields: D) -> Result<$name, D::Error> {
                match kind {
                    $($kind => Deserialize::deserialize(fields).map($name::$variant),)*
                    _ => Err(D::Error::unknown_variant(kind, $name::KINDS)),
                }
            }
        }

        /// Writes the fields, without the kind.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $($name::$variant(fields) => fields.serialize(serializer),)*
                }
            }
        }
    };
}

mod change;
pub mod daemon;
pub mod hooks;

pub use change::{
    By, KeyChange, KeyChanged, PlayerDropped, StreamDropped, TargetChange, TargetChanged, TokensRevoked,
};

events! {
    /// Something that happened in nginx.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Event {
        /// A stream is live.
        "stream.started" StreamStarted(StreamStarted),
        /// A live stream has ended.
        "stream.ended" StreamEnded(StreamEnded),
        /// A publisher or a connection was refused.
        "publish.denied" PublishDenied(Denied),
        /// A publisher sends more than its application allows.
        "publish.bitrate" PublishBitrate(PublishBitrate),
        /// The viewers of a stream changed. This event has no id, and the zone does not keep it.
        "viewers" Viewers(AudienceSnapshot),
        /// A key was added, rotated or revoked.
        "key.changed" KeyChanged(KeyChanged),
        /// A target was added, changed or removed.
        "target.changed" TargetChanged(TargetChanged),
        /// A client of the API has dropped a publisher.
        "stream.dropped" StreamDropped(StreamDropped),
        /// A client of the API has dropped a player.
        "player.dropped" PlayerDropped(PlayerDropped),
        /// Tokens were revoked.
        "token.revoked" TokenRevoked(TokensRevoked),
        /// A push has a new state.
        "target.state" TargetState(TargetState),
        /// The guard closed a connection.
        "guard.refused" GuardRefused(Denied),
        /// Events are missing. This event has no id and no time.
        "missed" Missed(Missed),
    }
}

impl Event {
    /// Returns the fields, a JSON object.
    pub fn fields(&self) -> String {
        // Only a map with keys that are not text could fail, and no event has one.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Kinds of events that are so frequent that a listener gets them only if it names them.
pub const FREQUENT: [&str; 2] = ["viewers", daemon::CHAT_MESSAGE];

/// The source of a stream's media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamKind {
    /// An encoder.
    #[default]
    Publisher,
    /// The daemon, while the publisher is lost.
    Slate,
    /// nginx-rtmp, from another server.
    Pull,
}

impl StreamKind {
    /// Returns the name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            StreamKind::Publisher => "publisher",
            StreamKind::Slate => "slate",
            StreamKind::Pull => "pull",
        }
    }
}

/// Fields of `stream.started`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStarted {
    /// The publisher's address.
    #[serde(default)]
    pub addr: String,
    /// The application.
    pub app: String,
    /// The key of the publish; `None` with a token, and if the application requires no key.
    #[serde(default)]
    pub key_id: Option<KeyId>,
    /// The source of the media.
    #[serde(default)]
    pub kind: StreamKind,
    /// The public name.
    pub name: String,
    /// The name of the `server` block; empty if unknown.
    #[serde(default)]
    pub server: String,
    /// The id of the publish.
    pub session: String,
    /// The worker of the connection.
    #[serde(default)]
    pub worker_pid: u32,
}

/// The reason why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndReason {
    /// Weir closed the publisher: it sent more than its application allows.
    Bitrate,
    /// Weir closed the publisher, after the API, a revoked key or a takeover.
    Dropped,
    /// The publisher ended the stream.
    Unpublished,
    /// The connection of the publisher, or its worker, ended.
    Disconnected,
}

impl EndReason {
    /// Returns the name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            EndReason::Bitrate => "bitrate",
            EndReason::Dropped => "dropped",
            EndReason::Unpublished => "unpublished",
            EndReason::Disconnected => "disconnected",
        }
    }
}

/// Fields of `stream.ended`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEnded {
    /// The application.
    pub app: String,
    /// Bytes received from the publisher.
    #[serde(default)]
    pub bytes_in: u64,
    /// Bytes sent to RTMP players.
    #[serde(default)]
    pub bytes_out: u64,
    /// The time since the start, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
    /// The source of the media.
    #[serde(default)]
    pub kind: StreamKind,
    /// The public name.
    pub name: String,
    /// Why the publish ended.
    pub reason: EndReason,
    /// The name of the `server` block; empty if unknown.
    #[serde(default)]
    pub server: String,
    /// The id of the publish.
    pub session: String,
}

/// Fields of `publish.denied` and `guard.refused`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// The client's address.
    pub addr: String,
    /// The application; empty before `connect`.
    pub app: String,
    /// The word of the reason: [`Refusal::label`] or [`Violation::label`].
    pub reason: String,
    /// The name of the `server` block; empty if unknown.
    pub server: String,
}

/// Fields of `publish.bitrate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishBitrate {
    /// The application.
    pub app: String,
    /// The publisher's bitrate, in bits per second.
    pub bitrate: u64,
    /// Whether Weir closes the publisher.
    pub closed: bool,
    /// The limit, in bits per second.
    pub limit: u64,
    /// The public name.
    pub name: String,
    /// The name of the `server` block; empty if unknown.
    pub server: String,
    /// The id of the publish.
    pub session: String,
}

/// Fields of `target.state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetState {
    /// The application.
    pub app: String,
    /// The target.
    pub id: TargetId,
    /// While `waiting`: the reason, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// While `waiting`: the time until the next try, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    /// The name of the `server` block; empty if unknown.
    pub server: String,
    /// The new state.
    pub state: PushState,
    /// The public name.
    pub stream: String,
}

/// Fields of `missed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The id after which events are missing.
    pub after: u64,
    /// The number of missing events; `None` if the id is not from this nginx.
    pub count: Option<u64>,
}

/// Appends an event in the format of server-sent events (HTML Standard, section 9.2). `fields` is the text of [`Event::fields`].
pub fn append(text: &mut String, id: Option<u64>, at: Option<Timestamp>, kind: &str, fields: &str) {
    if let Some(id) = id {
        let _ = writeln!(text, "id: {id}");
    }
    let fields = fields.strip_prefix('{').unwrap_or(fields);
    let _ = match at {
        Some(at) => write!(text, "event: {kind}\ndata: {{\"at\":\"{at}\",{fields}\n\n"),
        None => write!(text, "event: {kind}\ndata: {{{fields}\n\n"),
    };
}

impl Event {
    /// Returns an event of each kind.
    pub fn one_of_each() -> [Event; Event::KINDS.len()] {
        let (app, name, addr) = ("live".to_owned(), "show".to_owned(), "192.0.2.1".to_owned());
        let (server, session) = ("0.0.0.0:1935".to_owned(), "s1a1fa86ebb70001".to_owned());
        let denied = |reason: &str| Denied {
            addr: addr.clone(),
            app: app.clone(),
            reason: reason.to_owned(),
            server: server.clone(),
        };
        [
            Event::StreamStarted(StreamStarted {
                addr: addr.clone(),
                app: app.clone(),
                key_id: Some(KeyId(1)),
                kind: StreamKind::Publisher,
                name: name.clone(),
                server: server.clone(),
                session: session.clone(),
                worker_pid: 7,
            }),
            Event::StreamEnded(StreamEnded {
                app: app.clone(),
                bytes_in: 1,
                bytes_out: 2,
                duration_ms: 3,
                kind: StreamKind::Pull,
                name: name.clone(),
                reason: EndReason::Unpublished,
                server: server.clone(),
                session: session.clone(),
            }),
            Event::PublishDenied(denied(Refusal::UnknownKey.label())),
            Event::PublishBitrate(PublishBitrate {
                app: app.clone(),
                bitrate: 9_000_000,
                closed: true,
                limit: 6_000_000,
                name: name.clone(),
                server: server.clone(),
                session,
            }),
            Event::Viewers(AudienceSnapshot {
                app: app.clone(),
                name: name.clone(),
                viewers: Viewers { rtmp: 1, hls: 2, dash: 3, llhls: 4, ws: 5, webrtc: 6 },
                viewers_peak: 30,
                viewers_total: 40,
            }),
            Event::KeyChanged(KeyChanged::one()),
            Event::TargetChanged(TargetChanged::one()),
            Event::StreamDropped(StreamDropped::one()),
            Event::PlayerDropped(PlayerDropped::one()),
            Event::TokenRevoked(TokensRevoked::one()),
            Event::TargetState(TargetState {
                app: app.clone(),
                id: TargetId(1),
                last_error: Some("timed out connecting".to_owned()),
                retry_in_ms: Some(1000),
                server: server.clone(),
                state: PushState::Waiting,
                stream: name,
            }),
            Event::GuardRefused(denied(Violation::Depth.label())),
            Event::Missed(Missed { after: 3, count: Some(2) }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn each_kind_is_read_as_it_was_written() {
        let all = Event::one_of_each();
        assert_eq!(all.each_ref().map(Event::kind), Event::KINDS);
        for event in all {
            let value: Value = serde_json::from_str(&event.fields()).unwrap();
            assert_eq!(Event::read(event.kind(), &value).unwrap(), event);
            // A map of serde_json is sorted by name.
            if !matches!(event, Event::Viewers(_)) {
                assert_eq!(event.fields(), value.to_string());
            }
        }
    }

    #[test]
    fn each_frequent_kind_exists() {
        for kind in FREQUENT {
            assert!(Event::KINDS.contains(&kind) || daemon::DaemonEvent::KINDS.contains(&kind), "{kind}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_written() {
        let state = |last_error, retry_in_ms, state| {
            let (app, stream, server) = ("live".into(), "show".into(), String::new());
            Event::TargetState(TargetState {
                app,
                id: TargetId(1),
                last_error,
                retry_in_ms,
                server,
                state,
                stream,
            })
        };
        let live = state(None, None, PushState::Live);
        assert_eq!(
            live.fields(),
            r#"{"app":"live","id":"t0000000000000001","server":"","state":"live","stream":"show"}"#
        );
        let missed = Event::Missed(Missed { after: 1, count: None });
        assert_eq!(missed.fields(), r#"{"after":1,"count":null}"#);
        for event in [live, missed] {
            let value: Value = serde_json::from_str(&event.fields()).unwrap();
            assert_eq!(Event::read(event.kind(), &value).unwrap(), event);
        }
    }

    #[test]
    fn only_fields_that_identify_a_stream_are_required() {
        let fields = json!({ "at": "2026-11-20T18:00:00Z", "app": "live", "name": "show", "session": "s1", "more": 1 });
        let Ok(Event::StreamStarted(started)) = Event::read("stream.started", &fields) else { panic!() };
        assert_eq!((started.kind, started.key_id, started.worker_pid), (StreamKind::Publisher, None, 0));
        let error = Event::read("stream.ended", &fields).unwrap_err().to_string();
        assert!(error.contains("reason"), "{error}");
        assert!(Event::read("stream.paused", &fields).is_err());
    }

    #[test]
    fn the_words_are_those_of_the_api() {
        for kind in [StreamKind::Publisher, StreamKind::Slate, StreamKind::Pull] {
            assert_eq!(json!(kind), kind.as_str());
        }
        for reason in
            [EndReason::Bitrate, EndReason::Dropped, EndReason::Unpublished, EndReason::Disconnected]
        {
            assert_eq!(json!(reason), reason.as_str());
        }
    }

    #[test]
    fn the_time_precedes_the_fields() {
        let mut text = String::new();
        let at = Timestamp::from_millis(1_795_197_600_000);
        append(&mut text, Some(7), Some(at), "key.changed", r#"{"id":"k"}"#);
        append(&mut text, None, None, "missed", r#"{"after":3,"count":2}"#);
        assert_eq!(
            text,
            "id: 7\nevent: key.changed\ndata: {\"at\":\"2026-11-20T18:00:00Z\",\"id\":\"k\"}\n\n\
             event: missed\ndata: {\"after\":3,\"count\":2}\n\n"
        );
    }
}
