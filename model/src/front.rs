//! Text messages from the daemon to front ends over WebSocket: [`FrontMessage`] on `/v1/ws`, [`MediaMessage`] beside the media of a
//! stream.

use serde::{Deserialize, Serialize};

use crate::event::EndReason;
use crate::event::hooks::RenditionSource;
use crate::snapshot::Viewers;
use crate::time::Timestamp;

/// A message of `/v1/ws`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum FrontMessage {
    /// A publisher has begun.
    #[serde(rename = "stream.started")]
    StreamStarted(StreamNews),
    /// Viewers can play the stream in all its renditions.
    #[serde(rename = "stream.ready")]
    StreamReady(StreamNews),
    /// The connection of the publisher broke, or a slate replaces it.
    #[serde(rename = "stream.interrupted")]
    StreamInterrupted(StreamNews),
    /// The publisher has returned.
    #[serde(rename = "stream.resumed")]
    StreamResumed(StreamNews),
    /// The stream has ended, or is not live.
    #[serde(rename = "stream.ended")]
    StreamEnded(StreamNews),
    /// The numbers of viewers.
    #[serde(rename = "viewers")]
    Viewers {
        /// The stream.
        #[serde(flatten)]
        place: Place,
        /// The numbers.
        viewers: Viewers,
    },
    /// The last message of the client had no effect.
    #[serde(rename = "error")]
    Error {
        /// The reason, for programs.
        code: String,
        /// The reason, in words.
        message: String,
        /// Seconds until the end of a time-out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// The client is in the chat of a stream.
    #[serde(rename = "chat.welcome")]
    ChatWelcome {
        /// The stream.
        #[serde(flatten)]
        place: Place,
        /// The name of the person; `None` for a person who only reads.
        name: Option<String>,
        /// The person is a moderator.
        moderator: bool,
        /// A token gives the name.
        verified: bool,
        /// The person may write.
        can_write: bool,
        /// Who may write.
        names: ChatNames,
        /// The time between two messages of one person, in seconds.
        slow_s: u64,
        /// The number of people.
        people: usize,
    },
    /// Somebody wrote.
    #[serde(rename = "chat")]
    Chat {
        /// The stream.
        #[serde(flatten)]
        place: Place,
        /// The message.
        #[serde(flatten)]
        message: ChatMessage,
    },
    /// The number of people in a chat.
    #[serde(rename = "chat.people")]
    ChatPeople {
        /// The stream.
        #[serde(flatten)]
        place: Place,
        /// The number.
        people: usize,
    },
    /// The client was too slow for the chat.
    #[serde(rename = "chat.missed")]
    ChatMissed {
        /// The number of messages that it does not get.
        count: u64,
    },
    /// A message is no longer to be shown.
    #[serde(rename = "chat.deleted")]
    ChatDeleted {
        /// The stream.
        #[serde(flatten)]
        place: Place,
        /// The id of the message.
        id: String,
    },
    /// The messages of a person are no longer to be shown.
    #[serde(rename = "chat.cleared")]
    ChatCleared {
        /// The stream.
        #[serde(flatten)]
        place: Place,
        /// The name, or the hash of an address.
        name: String,
        /// Whether only messages are meant whose author's name was given by a token (true), or freely chosen (false); `None` for both.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verified: Option<bool>,
        /// The duration of a time-out, in seconds; `None` for a ban.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// A message is to be shown again.
    #[serde(rename = "chat.restored")]
    ChatRestored {
        /// The stream.
        #[serde(flatten)]
        place: Place,
        /// The message.
        message: ChatMessage,
    },
    /// The slow mode has changed.
    #[serde(rename = "chat.slow")]
    ChatSlow {
        /// The stream.
        #[serde(flatten)]
        place: Place,
        /// The time between two messages of one person.
        seconds: u64,
    },
    /// A ban or a time-out is lifted.
    #[serde(rename = "chat.forgiven")]
    ChatForgiven {
        /// The stream.
        #[serde(flatten)]
        place: Place,
        /// The name, or the hash of an address.
        name: String,
        /// The message is for this client alone, which was told of the ban or time-out and may write again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        you: bool,
    },
}

/// What a stream is. A node of another version may leave it out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Nature {
    /// The kind of the stream.
    pub kind: FrontKind,
    /// The stream that a rendition shows.
    pub source: Option<RenditionSource>,
    /// Viewers see a slate, because the publisher is lost.
    pub slate: bool,
}

/// The kind of a stream for front ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FrontKind {
    /// A publisher sends the stream.
    #[default]
    Publisher,
    /// The daemon makes the stream from another one.
    Rendition,
    /// The daemon shows a slate in place of a lost publisher.
    Slate,
}

impl Nature {
    /// Returns what a stream is. `source` is the stream that it shows, if it is a rendition.
    pub fn of(source: Option<RenditionSource>, slate: bool) -> Self {
        let kind = match (&source, slate) {
            (Some(_), _) => FrontKind::Rendition,
            (None, true) => FrontKind::Slate,
            (None, false) => FrontKind::Publisher,
        };
        Self { kind, source, slate }
    }
}

/// The state of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamNews {
    /// The stream.
    #[serde(flatten)]
    pub place: Place,
    /// What the stream is.
    #[serde(flatten)]
    pub nature: Nature,
    /// The time.
    pub at: Timestamp,
    /// Why the last publisher is gone, in `stream.ended`; `None` if the daemon does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<EndReason>,
}

/// The stream that a message is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The application.
    pub app: String,
    /// The public name.
    pub stream: String,
}

/// Who may write in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatNames {
    /// Everybody with a nickname.
    Open,
    /// Only bearers of a chat token.
    Token,
}

/// A message of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Id, for example `m1795204508599`.
    pub id: String,
    /// Name of the author.
    pub name: String,
    /// Text of the message.
    pub text: String,
    /// Time of the message.
    pub at: Timestamp,
    /// A token gives the author's name.
    pub verified: bool,
    /// The author is a moderator.
    pub moderator: bool,
}

/// A text message beside the media of a stream. A node that relays a stream reads it from nodes of other versions, so a missing field is no
/// error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum MediaMessage {
    /// An initialization segment follows.
    Init {
        /// The codecs, for Media Source Extensions.
        #[serde(default)]
        codecs: String,
        /// The stream has video.
        #[serde(default)]
        video: bool,
        /// The stream has audio.
        #[serde(default)]
        audio: bool,
        /// The width in pixels.
        #[serde(default)]
        width: Option<u32>,
        /// The height in pixels.
        #[serde(default)]
        height: Option<u32>,
        /// The nodes through which the stream came, the nearest first.
        #[serde(default)]
        via: Vec<String>,
    },
    /// The viewer was too slow.
    Skipped {
        /// The number of fragments that are left out.
        #[serde(default)]
        fragments: u64,
    },
    /// The publisher is gone, and may return.
    Ended,
    /// The publisher has returned.
    Discontinuity,
    /// The answer to `ping`.
    Pong,
}

impl FrontMessage {
    /// Returns the text, a JSON object.
    pub fn text(&self) -> String {
        // Only a map with keys that are not text could fail, and no message has one.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns a message of each type, and both forms of `chat.cleared`.
    pub fn one_of_each() -> Vec<FrontMessage> {
        let place = || Place { app: "live".to_owned(), stream: "show".to_owned() };
        let at = Timestamp::from_millis(1_795_197_600_000);
        let news = || StreamNews { place: place(), nature: Nature::default(), at, reason: None };
        let (ana, ben, id) = (|| "Ana".to_owned(), || "Ben".to_owned(), || "m1".to_owned());
        let text = "hello".to_owned();
        let message = ChatMessage { id: id(), name: ana(), text, at, verified: false, moderator: false };
        let viewers = Viewers { rtmp: 2, hls: 14, dash: 0, llhls: 0, ws: 3, webrtc: 0 };
        vec![
            Self::StreamStarted(news()),
            Self::StreamReady(news()),
            Self::StreamInterrupted(news()),
            Self::StreamResumed(news()),
            Self::StreamEnded(StreamNews { reason: Some(EndReason::Disconnected), ..news() }),
            Self::Viewers { place: place(), viewers },
            Self::Error { code: "forbidden".to_owned(), message: "...".to_owned(), seconds: None },
            Self::ChatWelcome {
                place: place(),
                name: Some(ana()),
                moderator: false,
                verified: false,
                can_write: true,
                names: ChatNames::Open,
                slow_s: 0,
                people: 12,
            },
            Self::Chat { place: place(), message: message.clone() },
            Self::ChatPeople { place: place(), people: 13 },
            Self::ChatMissed { count: 40 },
            Self::ChatDeleted { place: place(), id: id() },
            Self::ChatCleared { place: place(), name: ben(), verified: None, seconds: None },
            Self::ChatCleared { place: place(), name: ben(), verified: Some(false), seconds: Some(300) },
            Self::ChatRestored { place: place(), message },
            Self::ChatSlow { place: place(), seconds: 30 },
            Self::ChatForgiven { place: place(), name: ben(), you: false },
        ]
    }
}

impl MediaMessage {
    /// Returns the text, a JSON object.
    pub fn text(&self) -> String {
        // Only a map with keys that are not text could fail, and no message has one.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns a message of each type.
    pub fn one_of_each() -> [MediaMessage; 5] {
        [
            Self::Init {
                codecs: "avc1.64001f,mp4a.40.2".to_owned(),
                video: true,
                audio: true,
                width: Some(1280),
                height: Some(720),
                via: vec!["5f0c1d2e3a4b5c6d".to_owned()],
            },
            Self::Skipped { fragments: 25 },
            Self::Ended,
            Self::Discontinuity,
            Self::Pong,
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_type_is_read_as_it_was_written() {
        for message in FrontMessage::one_of_each() {
            let value = json!(message);
            assert_eq!(serde_json::from_value::<FrontMessage>(value).unwrap(), message);
        }
        for message in MediaMessage::one_of_each() {
            let value = json!(message);
            assert_eq!(serde_json::from_value::<MediaMessage>(value).unwrap(), message);
        }
    }

    #[test]
    fn place_and_message_are_beside_the_type() {
        let all: Vec<_> = FrontMessage::one_of_each().into_iter().map(|message| json!(message)).collect();
        let of = |kind: &str| all.iter().find(|message| message["type"] == kind).unwrap().clone();
        let at = "2026-11-20T18:00:00Z";
        assert_eq!(
            of("stream.ready"),
            json!({ "type": "stream.ready", "app": "live", "stream": "show", "kind": "publisher", "source": null,
                "slate": false, "at": at })
        );
        let (app, name, rung) = ("live".to_owned(), "show".to_owned(), "low".to_owned());
        let source = RenditionSource { app, name, rung };
        assert_eq!(
            json!(Nature::of(Some(source), true)),
            json!({ "kind": "rendition", "source": { "app": "live", "name": "show", "rung": "low" }, "slate": true })
        );
        assert_eq!(json!(Nature::of(None, true))["kind"], "slate");
        assert_eq!(
            of("chat"),
            json!({ "type": "chat", "app": "live", "stream": "show", "id": "m1", "name": "Ana", "text": "hello",
                "at": at, "verified": false, "moderator": false })
        );
        assert_eq!(
            of("chat.cleared"),
            json!({ "type": "chat.cleared", "app": "live", "stream": "show", "name": "Ben" })
        );
        assert_eq!(json!(MediaMessage::Ended), json!({ "type": "ended" }));
    }
}
