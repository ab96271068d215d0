//! The actions of moderators.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::{ChatMessageChanged, ChatPersonChanged, ChatSlowed, ChatTimedOut};
use weir_model::front::FrontMessage;

use super::room::{Ban, Refusal, mark_of};
use super::store::Change;
use super::{Chat, Open, Order, names, place, shared};
use crate::clock;
use crate::streams::StreamId;

impl Chat {
    /// Applies the action of an administrator or moderator, named `by`, in the room of a stream.
    pub(crate) async fn moderate(
        self: &Arc<Self>,
        id: &StreamId,
        by: &str,
        order: Order,
    ) -> Result<(), Refusal> {
        let is_stored = match &order {
            Order::Delete(message) => self.has_kept(id, message).await,
            _ => false,
        };
        self.with_room(id, |open| self.apply(id, open, by, order, is_stored)).await
    }

    /// `is_stored` means that the message to delete is in the file.
    fn apply(
        &self,
        id: &StreamId,
        open: &mut Open,
        by: &str,
        order: Order,
        is_stored: bool,
    ) -> Result<(), Refusal> {
        let (at, by) = (clock::now(), by.to_owned());
        let (place, (app, stream)) = (place(id), names(id));
        let (told, event) = match order {
            Order::Delete(message) => {
                if !open.room.delete(&message, Instant::now()) && !is_stored {
                    return Err(Refusal::NotFound);
                }
                self.keep(Change::Deleted(id.clone(), message.clone()));
                self.mirror.deleted(id, &message);
                let deleted = ChatMessageChanged { at, app, by, id: message.clone(), stream };
                (FrontMessage::ChatDeleted { place, id: message }, DaemonEvent::ChatDeleted(deleted))
            }
            Order::Restore(what) => return self.restore(id, open, &by, &what),
            Order::TimeOut(who, span) => {
                let verified = self.silence(id, open, &who, Some(span));
                let seconds = span.as_secs();
                let event = ChatTimedOut { at, app, by, from: who.clone(), seconds, stream };
                let told = FrontMessage::ChatCleared { place, name: who, verified, seconds: Some(seconds) };
                (told, DaemonEvent::ChatTimedOut(event))
            }
            Order::Ban(who) => {
                let verified = self.silence(id, open, &who, None);
                let banned = ChatPersonChanged { at, app, by, from: who.clone(), stream };
                let told = FrontMessage::ChatCleared { place, name: who, verified, seconds: None };
                (told, DaemonEvent::ChatBanned(banned))
            }
            Order::Unban(who) => {
                if !open.room.forgive(&who) {
                    return Err(Refusal::NotFound);
                }
                let name = who.to_lowercase();
                self.shared.note_ban(id, &name, None);
                self.shared.note_time_out(id, &name, None);
                self.keep(Change::Forgiven(id.clone(), name.clone()));
                self.keep(Change::Heard(id.clone(), name));
                let unbanned = ChatPersonChanged { at, app, by, from: who.clone(), stream };
                (FrontMessage::ChatForgiven { place, name: who }, DaemonEvent::ChatUnbanned(unbanned))
            }
            Order::Slow(span) => {
                open.room.set_slow(span);
                self.shared.note_slow(id, Some(span));
                self.keep(Change::Slowed(id.clone(), Some(span)));
                let seconds = span.as_secs();
                let slow = ChatSlowed { at, app, by, seconds, stream };
                (FrontMessage::ChatSlow { place, seconds }, DaemonEvent::ChatSlow(slow))
            }
        };
        open.tell(&told);
        self.bus.tell(&event);
        Ok(())
    }

    /// Stops a person from writing, for a time or permanently. Returns [`Ban::is_verified`].
    fn silence(&self, id: &StreamId, open: &mut Open, who: &str, span: Option<Duration>) -> Option<bool> {
        let now = Instant::now();
        let (ban, gone) = open.room.silence(who, span.map(|span| now + span), now);
        // The other node of a pair may not know the addresses of its messages.
        if mark_of(&ban.name).is_some() {
            gone.iter().for_each(|message| self.mirror.deleted(id, message));
        }
        self.clear(id, open, &ban, gone);
        let is_verified = ban.is_verified;
        match span {
            Some(span) => {
                let until = shared::later(clock::now(), span);
                self.shared.note_time_out(id, &ban.name, Some((ban.clone(), until)));
                self.keep(Change::TimedOut(id.clone(), ban, until));
            }
            None => {
                self.shared.note_ban(id, &ban.name, Some(ban.clone()));
                self.keep(Change::Banned(id.clone(), ban, clock::now()));
            }
        }
        is_verified
    }

    /// Removes the messages of a banned or timed-out person.
    pub(super) fn clear(&self, id: &StreamId, open: &Open, ban: &Ban, gone: Vec<String>) {
        for message in gone {
            // For an address without a name, clients do not know which messages are meant, so each message is named.
            open.tell(&FrontMessage::ChatDeleted { place: place(id), id: message.clone() });
            self.keep(Change::Deleted(id.clone(), message));
        }
        self.keep(Change::Cleared(id.clone(), ban.clone()));
    }

    fn restore(&self, id: &StreamId, open: &mut Open, by: &str, what: &str) -> Result<(), Refusal> {
        let back = open.room.restore(what, Instant::now());
        if back.is_empty() {
            return Err(Refusal::NotFound);
        }
        for message in back {
            open.tell(&FrontMessage::ChatRestored { place: place(id), message: message.clone() });
            let ((app, stream), by, at) = (names(id), by.to_owned(), clock::now());
            let restored = ChatMessageChanged { at, app, by, id: message.id.clone(), stream };
            self.bus.tell(&DaemonEvent::ChatRestored(restored));
            let mark =
                open.room.marked().find(|(one, _)| one.id == message.id).and_then(|(_, mark)| mark.copied());
            self.mirror.said(id, &message, mark);
            self.keep(Change::Said(id.clone(), message));
        }
        Ok(())
    }

    /// Returns whether the file has a message. Does not read it for a message of an open room.
    async fn has_kept(&self, id: &StreamId, message: &str) -> bool {
        let is_there = |open: &Open| open.room.messages().any(|one| one.id == *message);
        if self.lock().get(id).is_some_and(is_there) {
            return true;
        }
        let (of, message) = (id.clone(), message.to_owned());
        self.read(move |reader| reader.knows(&of, &message)).await.unwrap_or(false)
    }
}
