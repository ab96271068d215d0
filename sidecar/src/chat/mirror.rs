//! Messages for the other node of a pair: what people write and moderators delete, numbered, until the other node has it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use weir_model::front::ChatMessage;

use super::room::mark_text;
use crate::clock;
use crate::streams::StreamId;

/// Most messages that wait for the other node, and most deletions. Older ones are left out.
const MOST: usize = 1000;
/// Most words of one letter.
const MOST_IN_LETTER: usize = 200;

/// What happened in the room of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Word {
    /// Application.
    pub app: String,
    /// Name of the stream.
    pub stream: String,
    /// What happened.
    #[serde(flatten)]
    pub deed: Deed,
}

/// What happened to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Deed {
    /// Somebody wrote it, or a moderator restored it.
    Said {
        /// The message.
        message: ChatMessage,
        /// The hash of the author's address in the form of [`mark_text`], if it is known.
        mark: Option<String>,
        /// The stream is or was live, or is an event, so the message is stored.
        #[serde(default)]
        is_known: bool,
    },
    /// A moderator deleted the message with this id.
    Deleted(String),
}

/// Words for the other node.
#[derive(Debug, Default)]
pub(super) struct Mirror(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// The last digits of ids of this node's messages; empty without another node.
    digits: String,
    /// Number of the newest word.
    last: u64,
    words: VecDeque<(u64, Word)>,
}

impl Mirror {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to keep words: there is another node.
    pub(super) fn begin(&self) {
        self.waiting().digits = format!("{:03}", clock::random_u32() % 1000);
    }

    /// Returns the id of a new message. Both nodes may make one in the same millisecond.
    pub(super) fn fresh_id(&self) -> String {
        format!("m{}{}", clock::next_number(), self.waiting().digits)
    }

    /// Keeps a message for the other node.
    pub(super) fn said(&self, id: &StreamId, message: &ChatMessage, mark: Option<[u8; 16]>, is_known: bool) {
        let mark = mark.as_ref().map(mark_text);
        self.put(id, || Deed::Said { message: message.clone(), mark, is_known });
    }

    /// Keeps the deletion of a message for the other node.
    pub(super) fn deleted(&self, id: &StreamId, message: &str) {
        self.put(id, || Deed::Deleted(message.to_owned()));
    }

    fn put(&self, (app, stream): &StreamId, deed: impl FnOnce() -> Deed) {
        let mut waiting = self.waiting();
        if waiting.digits.is_empty() {
            return;
        }
        waiting.last += 1;
        let word = Word { app: app.to_string(), stream: stream.to_string(), deed: deed() };
        let number = waiting.last;
        let is_said = |word: &Word| matches!(word.deed, Deed::Said { .. });
        let (kind, words) = (is_said(&word), &mut waiting.words);
        words.push_back((number, word));
        if words.iter().filter(|(_, word)| is_said(word) == kind).count() > MOST {
            // Many messages must not drive out a deletion.
            let oldest = words.iter().position(|(_, word)| is_said(word) == kind);
            words.remove(oldest.unwrap_or_default());
        }
    }

    /// Returns the first words that the other node does not have, and forgets those up to `seen`, which it has.
    pub(super) fn after(&self, seen: u64) -> Vec<(u64, Word)> {
        let mut waiting = self.waiting();
        waiting.words.retain(|(number, _)| *number > seen);
        waiting.words.iter().take(MOST_IN_LETTER).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use weir_model::Timestamp;

    use super::*;

    #[test]
    fn words_wait_until_the_other_node_has_them() {
        let (mirror, id) = (Mirror::default(), ("live".parse().unwrap(), "show".parse().unwrap()));
        let (name, text) = ("Eve".to_owned(), "hello".to_owned());
        let message = ChatMessage {
            id: "m1".into(),
            name,
            text,
            at: Timestamp::from_millis(1),
            verified: false,
            moderator: true,
        };
        mirror.said(&id, &message, None, true);
        assert_eq!(mirror.after(0), [], "there is no other node");
        mirror.begin();
        mirror.said(&id, &message, Some([7; 16]), true);
        mirror.deleted(&id, "m1");
        let words = mirror.after(0);
        assert_eq!(words.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2]);
        let text = serde_json::to_string(&words).unwrap();
        assert_eq!(serde_json::from_str::<Vec<(u64, Word)>>(&text).unwrap(), words, "{text}");
        assert_eq!(mirror.after(1).len(), 1);
        assert_eq!(mirror.after(0).len(), 1, "what it has is forgotten");
        (0..2 * MOST).for_each(|_| mirror.deleted(&id, "m1"));
        let words = mirror.after(0);
        assert_eq!((words.len(), words[0].0), (MOST_IN_LETTER, MOST as u64 + 3));

        let first = mirror.waiting().last + 1;
        mirror.after(first - 1);
        mirror.deleted(&id, "m1");
        (0..2 * MOST).for_each(|_| mirror.said(&id, &message, None, true));
        let words = mirror.after(0);
        assert_eq!(words[0].0, first, "messages drive out no deletion");
        assert_eq!(words[1].0, first + MOST as u64 + 1);
    }
}
