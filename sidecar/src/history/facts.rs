//! What is kept of events and of what is live (pure).

use serde_json::{Map, Value};
use weir_model::Timestamp;
use weir_model::target::TargetView;

use crate::config::{Config, Delivery, rendition_of};
use crate::nginx::{self, Viewers};

/// What is never kept of an administrator's action: addresses, and secrets that should not have come so far.
const DROPPED: [&str; 10] =
    ["addr", "address", "ip", "client", "peer", "password", "key", "token", "secret", "cookie"];

/// One thing to write down.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A publish begins.
    Started(Begin),
    /// A publish is over.
    Ended(End),
    /// What is live.
    Sample(Sample),
    /// A file is complete.
    Recorded(Recorded),
    /// A file was taken elsewhere.
    Uploaded {
        /// The file.
        file: String,
        /// Name of the upload.
        upload: String,
        /// When.
        at: Timestamp,
    },
    /// A file was removed.
    Removed {
        /// The file.
        file: String,
        /// When.
        at: Timestamp,
    },
    /// A minute of a chat.
    Chat(ChatMinute),
    /// Somebody changed something.
    Admin {
        /// The event's name.
        kind: String,
        /// Who.
        who: Option<String>,
        /// What, as JSON.
        data: Value,
        /// When.
        at: Timestamp,
    },
}

/// A publish begins.
#[derive(Clone, Debug)]
pub struct Begin {
    /// ID of the publish.
    pub session: String,
    /// nginx-rtmp application.
    pub app: String,
    /// Public name.
    pub stream: String,
    /// `publisher`, `slate` or `pull`; a later sample may know that it is a `rendition`.
    pub kind: String,
    /// The key that opened it.
    pub key_id: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A publish is over.
#[derive(Clone, Debug)]
pub struct End {
    /// Which, and since when it must have been there.
    pub begin: Begin,
    /// The module's word.
    pub reason: String,
    /// From the publisher, bytes.
    pub bytes_in: u64,
    /// To RTMP players, bytes.
    pub bytes_out: u64,
    /// When.
    pub at: Timestamp,
}

/// A recording.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The file.
    pub file: String,
    /// nginx-rtmp application.
    pub app: String,
    /// Public name.
    pub stream: String,
    /// ID of the publish.
    pub session: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// Its length; none where the daemon was killed before its end.
    pub duration_ms: Option<u64>,
    /// When it was complete.
    pub at: Timestamp,
}

/// A minute of a chat.
#[derive(Clone, Debug)]
pub struct ChatMinute {
    /// nginx-rtmp application.
    pub app: String,
    /// Public name.
    pub stream: String,
    /// Messages, who came, who left, and the most that were there.
    pub counts: [u64; 4],
    /// When.
    pub at: Timestamp,
}

/// What is live at a moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The moment.
    pub at: Timestamp,
    /// All of it.
    pub streams: Vec<Seen>,
}

/// One of these streams, without addresses.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Of the publish.
    pub begin: Begin,
    /// What it sends.
    pub media: Media,
    /// Bytes from the publisher and to RTMP players, and bit/s from the publisher.
    pub bytes_in: u64,
    /// To RTMP players.
    pub bytes_out: u64,
    /// From the publisher, bit/s.
    pub bitrate_in: u64,
    /// Now.
    pub viewers: Viewers,
    /// The most at one time.
    pub viewers_peak: u64,
    /// How many came.
    pub viewers_total: u64,
    /// Where it goes.
    pub targets: Vec<TargetView>,
}

/// Codecs and quality; none where it is not known.
#[derive(Clone, Debug, Default)]
pub struct Media {
    /// Codec, pixels across and down, frames per second.
    pub video: Option<(String, u32, u32, f64)>,
    /// Codec, Hz, channels.
    pub audio: Option<(String, u32, u32)>,
}

impl Fact {
    /// What is kept of an event; nothing of most. `now` counts where the event does not say when it was.
    pub fn of_event(kind: &str, data: &Value, now: Timestamp) -> Option<Self> {
        let text = |field: &str| data[field].as_str().map(str::to_owned);
        let number = |field: &str| data[field].as_u64().unwrap_or_default();
        let at = data["at"].as_str().and_then(|at| at.parse().ok()).unwrap_or(now);
        let stream = || text("name").or_else(|| text("stream"));
        let begin = |at| {
            Some(Begin {
                session: text("session").filter(|session| !session.is_empty())?,
                app: text("app")?,
                stream: stream()?,
                kind: text("kind").unwrap_or_else(|| "publisher".into()),
                key_id: text("key_id"),
                at,
            })
        };
        let file = || text("file");
        Some(match kind {
            "stream.started" => Self::Started(begin(at)?),
            "stream.ended" => Self::Ended(End {
                begin: begin(Timestamp::from_millis(at.as_millis().saturating_sub(number("duration_ms"))))?,
                reason: text("reason").unwrap_or_default(),
                bytes_in: number("bytes_in"),
                bytes_out: number("bytes_out"),
                at,
            }),
            "recording.finished" => Self::Recorded(Recorded {
                file: file()?,
                app: text("app")?,
                stream: stream()?,
                session: text("session"),
                bytes: number("bytes"),
                duration_ms: data["duration_ms"].as_u64(),
                at,
            }),
            "recording.uploaded" => {
                Self::Uploaded { file: file()?, upload: text("upload").unwrap_or_default(), at }
            }
            "recording.removed" => Self::Removed { file: file()?, at },
            "chat.counts" => Self::Chat(ChatMinute {
                app: text("app")?,
                stream: stream()?,
                counts: ["messages", "joined", "left", "peak"].map(number),
                at,
            }),
            _ if kind.starts_with("admin.") => Self::Admin {
                kind: kind.to_owned(),
                who: text("who").or_else(|| text("admin")).or_else(|| text("by")),
                data: impersonal(data),
                at,
            },
            _ => return None,
        })
    }
}

/// Without addresses and secrets.
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
    /// What is kept of what is live.
    pub fn of(config: &Config, streams: &[nginx::Stream], at: Timestamp) -> Self {
        let publishes = streams.iter().filter(|stream| !stream.session.is_empty());
        Self { at, streams: publishes.map(|stream| seen(config, stream)).collect() }
    }
}

fn seen(config: &Config, stream: &nginx::Stream) -> Seen {
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
            key_id: stream.publisher.key_id.clone(),
            at: stream.since,
        },
        media: Media {
            video: stream
                .video
                .as_ref()
                .map(|video| (video.codec.clone(), video.width, video.height, video.fps)),
            audio: stream
                .audio
                .as_ref()
                .map(|audio| (audio.codec.clone(), audio.sample_rate, audio.channels)),
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
        let data = json!({ "at": "2026-11-20T18:00:00Z", "admin": "ana", "addr": "192.0.2.1", "app": "live",
            "change": [{ "client_ip": "192.0.2.7", "note": "x", "new_password": "y" }] });
        let fact = Fact::of_event("admin.key_added", &data, Timestamp::default()).unwrap();
        let Fact::Admin { who, data, at, .. } = fact else { panic!("{fact:?}") };
        assert_eq!((who.as_deref(), at.to_string().as_str()), (Some("ana"), "2026-11-20T18:00:00Z"));
        assert_eq!(data, json!({ "admin": "ana", "app": "live", "change": [{ "note": "x" }] }));
        let by_dashboard =
            Fact::of_event("admin.key", &json!({ "who": "bo", "action": "added" }), Timestamp::default());
        assert!(matches!(by_dashboard, Some(Fact::Admin { who: Some(who), .. }) if who == "bo"));
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
