//! Selects the facts to keep from events and from live streams. Pure.

use std::path::Path;

use serde_json::{Map, Value};
use weir_model::Timestamp;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::{Event as ModuleEvent, StreamEnded, StreamStarted};
use weir_model::snapshot::{StreamSnapshot, Viewers};
use weir_model::target::TargetView;

use crate::config::{Config, Delivery, rendition_of};

/// Fields that are never kept of an administrator's action: addresses, and secrets that should not be in an event.
const DROPPED: [&str; 10] =
    ["addr", "address", "ip", "client", "peer", "password", "key", "token", "secret", "cookie"];

/// One fact to write.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    /// A publish has started.
    Started(Begin),
    /// A publish has ended.
    Ended(End),
    /// The live streams at one time.
    Sample(Sample),
    /// A recording is complete.
    Recorded(Recorded),
    /// A recording was uploaded.
    Uploaded {
        /// Path of the recording.
        file: String,
        /// Name of the upload.
        upload: String,
        /// Time of the upload.
        at: Timestamp,
    },
    /// A recording was removed.
    Removed {
        /// Path of the recording.
        file: String,
        /// Time of the removal.
        at: Timestamp,
    },
    /// Counts of a minute of a chat.
    Chat(ChatMinute),
    /// An administrator changed something.
    Admin {
        /// Name of the event.
        kind: String,
        /// Name of the administrator.
        who: Option<String>,
        /// The event's data, as JSON.
        data: Value,
        /// Time of the action.
        at: Timestamp,
    },
}

/// Start of a publish.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    /// Id of the publish.
    pub session: String,
    /// nginx-rtmp application.
    pub app: String,
    /// Public name.
    pub stream: String,
    /// `publisher`, `slate` or `pull`; a later sample may change it to `rendition`.
    pub kind: String,
    /// Id of the key that the publisher used.
    pub key_id: Option<String>,
    /// Start time.
    pub at: Timestamp,
}

/// End of a publish.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// The publish. Its start is computed from the duration.
    pub begin: Begin,
    /// The module's reason.
    pub reason: String,
    /// Bytes from the publisher.
    pub bytes_in: u64,
    /// Bytes to RTMP players.
    pub bytes_out: u64,
    /// End time.
    pub at: Timestamp,
}

/// A complete recording.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// Path of the recording.
    pub file: String,
    /// nginx-rtmp application.
    pub app: String,
    /// Public name.
    pub stream: String,
    /// Id of the publish.
    pub session: Option<String>,
    /// Size in bytes.
    pub bytes: u64,
    /// Duration in milliseconds; `None` if the daemon was killed before the end.
    pub duration_ms: Option<u64>,
    /// Time of completion.
    pub at: Timestamp,
}

/// Counts of a minute of a chat.
#[derive(Clone, Debug)]
pub(crate) struct ChatMinute {
    /// nginx-rtmp application.
    pub app: String,
    /// Public name.
    pub stream: String,
    /// Messages, arrivals, departures, and the most people present.
    pub counts: [u64; 4],
    /// Time of the count.
    pub at: Timestamp,
}

/// The live streams at one time.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Time of the sample.
    pub at: Timestamp,
    /// The live streams.
    pub streams: Vec<Seen>,
}

/// A live stream, without addresses.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The publish.
    pub begin: Begin,
    /// Codecs and quality.
    pub media: Media,
    /// Bytes from the publisher.
    pub bytes_in: u64,
    /// Bytes to RTMP players.
    pub bytes_out: u64,
    /// Bitrate from the publisher, in bit/s.
    pub bitrate_in: u64,
    /// Current viewers.
    pub viewers: Viewers,
    /// Most simultaneous viewers.
    pub viewers_peak: u64,
    /// Number of viewers so far.
    pub viewers_total: u64,
    /// Its push targets.
    pub targets: Vec<TargetView>,
}

/// Codecs and quality; `None` if unknown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Media {
    /// Codec, width and height in pixels, frames per second.
    pub video: Option<(String, u32, u32, f64)>,
    /// Codec, sample rate in Hz, channels.
    pub audio: Option<(String, u32, u32)>,
}

impl Fact {
    /// Returns the fact of an event, or `None` for most events. `now` is used if the event has no time.
    pub(crate) fn of_event(kind: &str, data: &Value, now: Timestamp) -> Option<Self> {
        let at = data["at"].as_str().and_then(|at| at.parse().ok()).unwrap_or(now);
        match ModuleEvent::read(kind, data) {
            Ok(ModuleEvent::StreamStarted(started)) => return started_at(started, at).map(Self::Started),
            Ok(ModuleEvent::StreamEnded(ended)) => return ended_at(ended, at).map(Self::Ended),
            // The history does not store the other events of the module.
            Ok(_) => return None,
            Err(_) => {}
        }
        Self::of_daemon(DaemonEvent::read(kind, data).ok()?, data)
    }

    fn of_daemon(event: DaemonEvent, data: &Value) -> Option<Self> {
        let path = |file: &Path| file.to_string_lossy().into_owned();
        Some(match event {
            DaemonEvent::RecordingFinished(of) => Self::Recorded(Recorded {
                file: path(&of.file),
                app: of.app,
                stream: of.name,
                session: Some(of.session),
                bytes: of.bytes,
                duration_ms: of.duration_ms,
                at: of.at,
            }),
            DaemonEvent::RecordingUploaded(of) => {
                Self::Uploaded { file: path(&of.file), upload: of.upload, at: of.at }
            }
            DaemonEvent::RecordingRemoved(of) => Self::Removed { file: path(&of.file), at: of.at },
            DaemonEvent::ChatCounts(of) => Self::Chat(ChatMinute {
                app: of.app,
                stream: of.stream,
                counts: [of.messages, of.joined, of.left, of.peak],
                at: of.at,
            }),
            event => {
                let (who, at) = event.admin()?;
                let who = Some(who.to_owned());
                Self::Admin { kind: event.kind().to_owned(), who, data: impersonal(data), at }
            }
        })
    }
}

fn started_at(started: StreamStarted, at: Timestamp) -> Option<Begin> {
    let StreamStarted { app, key_id, kind, name, session, .. } = started;
    let key_id = key_id.map(|id| id.to_string());
    (!session.is_empty()).then(|| Begin {
        session,
        app,
        stream: name,
        kind: kind.as_str().into(),
        key_id,
        at,
    })
}

fn ended_at(ended: StreamEnded, at: Timestamp) -> Option<End> {
    let StreamEnded { app, bytes_in, bytes_out, duration_ms, kind, name, reason, session, .. } = ended;
    let since = Timestamp::from_millis(at.as_millis().saturating_sub(duration_ms));
    let kind = kind.as_str().into();
    let begin = Begin { session, app, stream: name, kind, key_id: None, at: since };
    (!begin.session.is_empty()).then(|| End {
        begin,
        reason: reason.as_str().into(),
        bytes_in,
        bytes_out,
        at,
    })
}

/// Removes addresses and secrets.
fn impersonal(data: &Value) -> Value {
    match data {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| {
                let name = name.to_ascii_lowercase();
                name != "at"
                    && !DROPPED
                        .iter()
                        .any(|dropped| name == *dropped || name.ends_with(&format!("_{dropped}")))
            });
            Value::Object(kept.map(|(name, value)| (name.clone(), impersonal(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(impersonal).collect(),
        other => other.clone(),
    }
}

impl Sample {
    /// Returns the facts about the live streams.
    pub(crate) fn of(config: &Config, streams: &[StreamSnapshot], at: Timestamp) -> Self {
        let publishes = streams.iter().filter(|stream| !stream.session.is_empty());
        Self { at, streams: publishes.map(|stream| seen(config, stream)).collect() }
    }
}

fn seen(config: &Config, stream: &StreamSnapshot) -> Seen {
    let has_rungs = config.rules.iter().any(|rule| matches!(rule.delivery, Delivery::Rtmp(_)));
    let is_rendition = has_rungs && rendition_of(&config.rules, &stream.app, &stream.name).is_some();
    let kind = match (stream.slate, is_rendition) {
        (true, _) => "slate",
        (false, true) => "rendition",
        (false, false) => "publisher",
    };
    Seen {
        begin: Begin {
            session: stream.session.clone(),
            app: stream.app.clone(),
            stream: stream.name.clone(),
            kind: kind.into(),
            key_id: stream.publisher.as_ref().and_then(|publisher| publisher.key_id).map(|id| id.to_string()),
            at: stream.since,
        },
        media: Media {
            video: stream.video.map(|video| {
                let fps = video.fps().per_second();
                (video.codec().to_owned(), video.width.into(), video.height.into(), fps)
            }),
            audio: stream
                .audio
                .map(|audio| (audio.codec().to_owned(), audio.sample_rate, audio.channels.into())),
        },
        bytes_in: stream.bytes_in,
        bytes_out: stream.bytes_out,
        bitrate_in: stream.bitrate_in,
        viewers: stream.viewers,
        viewers_peak: stream.viewers_peak.max(stream.viewers.total()),
        viewers_total: stream.viewers_total,
        targets: stream.targets.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_address_of_a_person_is_kept() {
        let data = json!({ "at": "2026-11-20T18:00:00Z", "who": "ana", "action": "revoked", "id": "k1", "addr": "192.0.2.1",
            "change": [{ "client_ip": "192.0.2.7", "note": "x", "new_password": "y" }] });
        let fact = Fact::of_event("admin.key", &data, Timestamp::default()).unwrap();
        let Fact::Admin { who, data, at, .. } = fact else { panic!("{fact:?}") };
        assert_eq!((who.as_deref(), at.to_string().as_str()), (Some("ana"), "2026-11-20T18:00:00Z"));
        let kept = json!({ "who": "ana", "action": "revoked", "id": "k1", "change": [{ "note": "x" }] });
        assert_eq!(data, kept);
        let started = json!({ "app": "live", "name": "show", "session": "s1", "addr": "192.0.2.1" });
        let fact = Fact::of_event("stream.started", &started, Timestamp::default());
        assert!(!format!("{fact:?}").contains("192.0.2"));
        for other in ["viewers", "publish.denied", "chat.message", "stream.ready"] {
            assert!(Fact::of_event(other, &started, Timestamp::default()).is_none(), "{other}");
        }
    }

    #[test]
    fn a_publish_that_was_missed_began_when_its_end_says() {
        let data = json!({ "at": "2026-11-20T18:00:10Z", "app": "live", "name": "show", "session": "s1",
            "reason": "dropped", "duration_ms": 10_000, "bytes_in": 5, "bytes_out": 6 });
        let Some(Fact::Ended(end)) = Fact::of_event("stream.ended", &data, Timestamp::default()) else {
            panic!()
        };
        assert_eq!(end.begin.at.to_string(), "2026-11-20T18:00:00Z");
        assert_eq!((end.bytes_in, end.bytes_out, end.reason.as_str()), (5, 6, "dropped"));
    }
}
