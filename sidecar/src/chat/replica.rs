//! The chat for the other node of a pair: what both nodes share, and the changes of the other node.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use weir_model::Timestamp;
use weir_model::front::{ChatMessage, FrontMessage};

use super::mirror::{Deed, Word};
use super::room::heard::Heard;
use super::room::{AddressMark, Ban, MOST_CHARACTERS, MOST_NAME, Person, mark_of};
use super::shared::{Common, left};
use super::store::{Change, Store};
use super::{Chat, Open, place, said};
use crate::clock;
use crate::streams::StreamId;

/// Longest id of a message, in bytes.
const MOST_ID: usize = 32;

impl Chat {
    /// Hashes addresses with the key that the other node of a pair also uses, so that the bans match on both nodes, and keeps the messages
    /// for that node.
    pub(crate) fn share_addresses(&self, key: [u8; 32]) {
        self.shared.set_key(key);
        self.mirror.begin();
    }

    /// Returns the state that both nodes share, and the mark of the file that holds it; `None` if the chat is off.
    pub(crate) fn common(&self) -> Option<(String, Common)> {
        let (own, common) = self.is_on().then(|| self.shared.common(clock::now())).flatten()?;
        Some((self.keeping().store().and_then(Store::mark).unwrap_or(own), common))
    }

    /// Gives the file another mark, when all earlier changes of moderators are in it.
    pub(crate) fn mark_file(&self, mark: String) {
        self.keep(Change::Marked(mark));
    }

    /// Applies a ban of the other node, or the end of a ban (`None`).
    pub(crate) fn take_over_ban(&self, id: &StreamId, name: &str, ban: Option<Ban>) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        let mut rooms = self.lock();
        let known = self.shared.ban(id, name);
        self.shared.note_ban(id, name, ban.clone());
        let open = rooms.get_mut(id);
        let Some(ban) = ban else {
            self.keep(Change::Forgiven(id.clone(), name.to_owned()));
            if let Some(open) = open {
                open.room.lift_ban(name);
                open.tell(&FrontMessage::ChatForgiven {
                    place: place(id),
                    name: name.to_owned(),
                    you: false,
                });
            }
            drop(rooms);
            self.hear_late(id);
            return;
        };
        let told = FrontMessage::ChatCleared {
            place: place(id),
            name: name.to_owned(),
            verified: ban.is_verified,
            seconds: None,
        };
        let is_undone = known.is_some_and(|known| ban.clone().joined(&known) == known);
        self.silence_all(id, open, (&ban, is_undone), &told, |open| open.room.ban(ban.clone()));
        self.keep(Change::Banned(id.clone(), ban, clock::now()));
    }

    /// Applies a time-out of the other node, or the end of a time-out (`None`).
    pub(crate) fn take_over_time_out(&self, id: &StreamId, name: &str, time_out: Option<(Ban, Timestamp)>) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        let (mut rooms, now) = (self.lock(), clock::now());
        let known = self.shared.time_out(id, name, now);
        self.shared.note_time_out(id, name, time_out.clone());
        let open = rooms.get_mut(id);
        let Some((ban, until)) = time_out else {
            self.keep(Change::Heard(id.clone(), name.to_owned()));
            if let Some(open) = open {
                open.room.lift_time_out(name);
                open.tell(&FrontMessage::ChatForgiven {
                    place: place(id),
                    name: name.to_owned(),
                    you: false,
                });
            }
            drop(rooms);
            self.hear_late(id);
            return;
        };
        let left = left(until, now);
        let (name, seconds) = (name.to_owned(), Some(left.as_secs()));
        let told = FrontMessage::ChatCleared { place: place(id), name, verified: ban.is_verified, seconds };
        let is_undone = known.is_some_and(|(known, end)| until <= end && ban.clone().joined(&known) == known);
        self.silence_all(id, open, (&ban, is_undone), &told, |open| {
            open.room.time_out(ban.clone(), Instant::now() + left);
        });
        self.keep(Change::TimedOut(id.clone(), ban, until));
    }

    /// Applies a slow mode of the other node, or `None` for that of the settings.
    pub(crate) fn take_over_slow(&self, id: &StreamId, slow: Option<Duration>) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        let settings = self.settings();
        let mut rooms = self.lock();
        self.shared.note_slow(id, slow);
        self.keep(Change::Slowed(id.clone(), slow));
        if let Some(open) = rooms.get_mut(id) {
            let slow = slow.unwrap_or(settings.slow);
            open.room.set_slow(slow);
            open.tell(&FrontMessage::ChatSlow { place: place(id), seconds: slow.as_secs() });
        }
    }

    /// Silences a person in the room, if it is open, and removes the messages of the person from the room and from the file. `is_undone`
    /// means that a moderator has undone a later order, so nothing is removed.
    fn silence_all(
        &self,
        id: &StreamId,
        open: Option<&mut Open>,
        (ban, is_undone): (&Ban, bool),
        told: &FrontMessage,
        silence: impl FnOnce(&mut Open),
    ) {
        let Some(open) = open else {
            if !is_undone {
                self.keep(Change::Cleared(id.clone(), ban.clone()));
            }
            return;
        };
        if is_undone {
            return silence(open);
        }
        let gone = open.room.clear(ban, Instant::now());
        silence(open);
        self.clear(id, open, ban, gone);
        open.tell(told);
    }

    /// Returns the number of changes of the other node so far.
    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Returns the words after this number, for the other node of a pair.
    pub(crate) fn words_after(&self, seen: u64) -> Vec<(u64, Word)> {
        self.mirror.after(seen)
    }

    /// Applies words of the other node, in their order.
    pub(crate) fn take_over_words(&self, words: impl IntoIterator<Item = Word>) {
        if !self.is_on() {
            return;
        }
        for Word { app, stream, deed } in words {
            self.heard.fetch_add(1, Ordering::Relaxed);
            let (Ok(app), Ok(stream)) = (app.parse(), stream.parse()) else { continue };
            let id: StreamId = (app, stream);
            match deed {
                Deed::Said { message, mark, is_known } => {
                    self.hear(&id, message, mark.as_deref().and_then(mark_of), is_known);
                }
                Deed::Deleted(message) => self.hear_deleted(&id, message),
            }
        }
    }

    /// `is_known` means that the stream is known at the other node.
    fn hear(&self, id: &StreamId, message: ChatMessage, mark: Option<AddressMark>, is_known: bool) {
        let ChatMessage { id: number, name, text, verified, moderator, .. } = &message;
        let is_long = text.chars().count() > MOST_CHARACTERS || name.chars().count() > MOST_NAME;
        if is_long || number.len() > MOST_ID {
            return;
        }
        let author = Person {
            name: Some(name.clone()),
            is_verified: *verified,
            is_moderator: *moderator,
            mark: mark.unwrap_or_default(),
            earlier: None,
        };
        let now = Instant::now();
        let mut rooms = self.lock();
        let is_stored = match rooms.get_mut(id) {
            Some(open) if open.room.is_silenced(&author, now) => {
                return self.late.put(id, message, mark, is_known);
            }
            Some(open) => {
                match open.room.hear(message.clone(), mark) {
                    Heard::Known => return,
                    Heard::New => open.tell(&said(id, &message)),
                    Heard::Restored => {
                        open.tell(&FrontMessage::ChatRestored { place: place(id), message: message.clone() });
                    }
                }
                if is_known {
                    self.learn(id, open);
                }
                open.is_known
            }
            None if self.room(id, Vec::new()).room.is_silenced(&author, now) => {
                return self.late.put(id, message, mark, is_known);
            }
            None => is_known,
        };
        if is_stored {
            self.keep(Change::Said(id.clone(), message));
        }
    }

    /// Takes the messages that came before the end of a ban or time-out.
    fn hear_late(&self, id: &StreamId) {
        for (message, mark, is_known) in self.late.take(id) {
            self.hear(id, message, mark, is_known);
        }
    }

    fn hear_deleted(&self, id: &StreamId, message: String) {
        let mut rooms = self.lock();
        self.late.forget(id, &message);
        if let Some(open) = rooms.get_mut(id)
            && open.room.delete(&message, Instant::now())
        {
            open.tell(&FrontMessage::ChatDeleted { place: place(id), id: message.clone() });
        }
        self.keep(Change::Deleted(id.clone(), message));
    }
}
