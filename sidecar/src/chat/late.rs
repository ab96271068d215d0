//! Messages of the other node of a pair that wait for the end of their authors' bans.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use weir_model::front::ChatMessage;

use super::room::AddressMark;
use crate::streams::StreamId;

/// Time for which a message waits for the end of its author's ban or time-out to arrive, and most such messages.
const LATE: Duration = Duration::from_secs(10);
const MOST_LATE: usize = 500;

/// Messages of the other node by people who are silenced here: the ban or time-out may be over there already, or not be known there yet.
#[derive(Debug, Default)]
pub(super) struct Late(Mutex<VecDeque<Waiting>>);

#[derive(Debug)]
struct Waiting {
    since: Instant,
    id: StreamId,
    message: ChatMessage,
    mark: Option<AddressMark>,
    /// The message is stored.
    is_known: bool,
}

impl Late {
    pub(super) fn put(&self, id: &StreamId, message: ChatMessage, mark: Option<AddressMark>, is_known: bool) {
        let now = Instant::now();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|one| now - one.since < LATE);
        if waiting.len() < MOST_LATE {
            waiting.push_back(Waiting { since: now, id: id.clone(), message, mark, is_known });
        }
    }

    /// Forgets a message that was deleted.
    pub(super) fn forget(&self, id: &StreamId, message: &str) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|one| one.id != *id || one.message.id != message);
    }

    /// Takes the messages of a room, the oldest first.
    pub(super) fn take(&self, id: &StreamId) -> Vec<(ChatMessage, Option<AddressMark>, bool)> {
        let now = Instant::now();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (theirs, rest) = waiting.drain(..).partition::<Vec<_>, _>(|one| one.id == *id);
        *waiting = rest.into();
        let is_recent = |one: &Waiting| now - one.since < LATE;
        theirs.into_iter().filter(is_recent).map(|one| (one.message, one.mark, one.is_known)).collect()
    }
}
