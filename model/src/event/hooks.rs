//! What hooks receive in addition to the events of the module and of the daemon.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

events! {
    /// An event that only hooks receive. It has these fields, and those of the module's event that it replaces.
    #[derive(Clone, Debug, PartialEq, Eq)]
    HookEvent {
        /// A publisher is lost, and may return. Replaces `stream.ended`.
        "stream.interrupted" StreamInterrupted(StreamInterrupted),
        /// A lost publisher has returned. Replaces `stream.started`.
        "stream.resumed" StreamResumed(StreamResumed),
    }
}

/// Fields of `stream.interrupted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamInterrupted {
    /// The time within which the publisher may return, in milliseconds.
    pub linger_ms: u64,
}

/// Fields of `stream.resumed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamResumed {
    /// The id of the lost publish.
    pub interrupted_session: String,
}

/// `kind` of an event about a rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RenditionKind {
    /// The stream is a rendition that the daemon publishes.
    Rendition,
}

/// Fields that replace or complete those of an event about a rendition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfRendition {
    /// Always the same; the module reports a publisher.
    pub kind: RenditionKind,
    /// The stream that the rendition shows.
    pub rendition_of: RenditionSource,
}

/// The stream that a rendition shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionSource {
    /// The application.
    pub app: String,
    /// The public name.
    pub name: String,
    /// The name of the rung.
    pub rung: String,
}

impl HookEvent {
    /// Returns an event of each kind.
    pub fn one_of_each() -> [HookEvent; HookEvent::KINDS.len()] {
        [
            HookEvent::StreamInterrupted(StreamInterrupted { linger_ms: 10_000 }),
            HookEvent::StreamResumed(StreamResumed { interrupted_session: "s1a1fa86ebb70001".to_owned() }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn each_kind_is_read_as_it_was_written() {
        let all = HookEvent::one_of_each();
        assert_eq!(all.each_ref().map(HookEvent::kind), HookEvent::KINDS);
        for event in all {
            let value: Value = serde_json::to_value(&event).unwrap();
            assert_eq!(HookEvent::read(event.kind(), &value).unwrap(), event);
        }
    }

    #[test]
    fn a_rendition_names_its_source() {
        let rendition_of = RenditionSource { app: "hall".into(), name: "cam".into(), rung: "480p".into() };
        let of = OfRendition { kind: RenditionKind::Rendition, rendition_of };
        let text =
            json!({ "kind": "rendition", "rendition_of": { "app": "hall", "name": "cam", "rung": "480p" } });
        assert_eq!(json!(of), text);
        assert_eq!(serde_json::from_value::<OfRendition>(text).unwrap(), of);
    }
}
