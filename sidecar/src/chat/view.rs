//! The rooms as moderators see them: people, bans and time-outs, with hashes of addresses instead of addresses.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;
use weir_model::front::{ChatMessage, ChatNames};

use super::Chat;
use super::room::{Ban, Room, mark_text};
use crate::streams::StreamId;

/// Summary of a room.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Summary {
    /// nginx-rtmp application.
    pub app: String,
    /// Public name.
    pub stream: String,
    /// Number of people.
    pub people: usize,
    /// Minimum time between two messages of one person, in seconds.
    pub slow_s: u64,
}

/// Full view of a room.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct View {
    people: usize,
    slow_s: u64,
    /// The people with a name.
    named: Vec<Named>,
    messages: Vec<Said>,
    bans: Vec<Barred>,
    timed_out: Vec<Barred>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Named {
    name: String,
    verified: bool,
    moderator: bool,
    address: String,
}

#[derive(Clone, Debug, Serialize)]
struct Said {
    #[serde(flatten)]
    message: ChatMessage,
    /// Hash of the author's address, if it is known.
    address: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Barred {
    name: String,
    /// Hash of the first address, and the number of addresses.
    address: Option<String>,
    addresses: usize,
    /// Seconds left; `None` for a permanent ban.
    left_s: Option<u64>,
}

impl Barred {
    fn of(ban: &Ban, left_s: Option<u64>) -> Self {
        let address = ban.marks.first().map(mark_text);
        Self { name: ban.name.clone(), address, addresses: ban.marks.len(), left_s }
    }
}

impl Chat {
    /// Returns all rooms that have people, bans, time-outs or a slow mode.
    pub(crate) fn summaries(&self) -> Vec<Summary> {
        let mut all: BTreeMap<StreamId, Summary> = BTreeMap::new();
        let slow = self.settings().slow.as_secs();
        let summary = |(app, stream): &StreamId, people, slow_s| Summary {
            app: app.to_string(),
            stream: stream.to_string(),
            people,
            slow_s,
        };
        for id in self.shared.rooms() {
            let slow = self.shared.slow(&id).map_or(slow, |slow| slow.as_secs());
            all.insert(id.clone(), summary(&id, 0, slow));
        }
        for (id, open) in &*self.lock() {
            all.insert(id.clone(), summary(id, open.room.people(), open.room.slow().as_secs()));
        }
        all.into_values().collect()
    }

    /// Returns the room of a stream.
    pub(crate) async fn look(self: &Arc<Self>, id: &StreamId) -> View {
        self.with_room(id, |open| View::of(&open.room)).await
    }

    /// Returns the words that the filter replaces with stars.
    pub(crate) fn words(&self) -> Vec<String> {
        self.settings().words.clone()
    }

    /// Returns whether everybody with a nickname may write.
    pub(crate) fn is_open(&self) -> bool {
        self.settings().names == ChatNames::Open
    }

    /// Returns the file with messages, for [`read`](super::read), or `None` if no messages are stored.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.keeping().store().map(|_| self.settings().file.clone())
    }
}

impl View {
    fn of(room: &Room) -> Self {
        let now = Instant::now();
        let named = room.all().filter_map(|person| {
            Some(Named {
                name: person.name.clone()?,
                verified: person.is_verified,
                moderator: person.is_moderator,
                address: mark_text(&person.mark),
            })
        });
        let mut named: Vec<Named> = named.collect();
        named.sort();
        named.dedup();
        let said = room
            .marked()
            .map(|(message, mark)| Said { message: message.clone(), address: mark.map(mark_text) });
        View {
            people: room.people(),
            slow_s: room.slow().as_secs(),
            named,
            messages: said.collect(),
            bans: room.bans().iter().map(|ban| Barred::of(ban, None)).collect(),
            timed_out: room
                .silenced(now)
                .map(|(ban, left)| Barred::of(ban, Some(left.as_secs() + 1)))
                .collect(),
        }
    }
}
