//! The actions of moderators.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use weir_model::Timestamp;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::{ChatMessageChanged, ChatPersonChanged, ChatSlowed, ChatTimedOut};
use weir_model::front::{ChatMessage, FrontMessage};

use super::room::{Ban, Refusal, mark_of};
use super::store::Change;
use super::undo::{State, Step};
use super::{Chat, Open, Order, Outcome, Whom, names, place, shared};
use crate::clock;
use crate::streams::StreamId;

impl Chat {
    /// Applies the action of an administrator or moderator, named `by`, in the room of a stream.
    pub(crate) async fn moderate(
        self: &Arc<Self>,
        id: &StreamId,
        by: &str,
        order: Order,
    ) -> Result<Outcome, Refusal> {
        let stored = match &order {
            Order::Delete(message) => self.stored(id, message).await,
            Order::TimeOut(whom, _) | Order::Ban(whom) if !whom.message.is_empty() => {
                self.stored(id, &whom.message).await
            }
            _ => None,
        };
        self.with_room(id, |open| self.apply(id, open, by, order, stored.as_ref())).await
    }

    /// `stored` is the message that the order concerns, if it is in the room or in the file.
    fn apply(
        &self,
        id: &StreamId,
        open: &mut Open,
        by: &str,
        order: Order,
        stored: Option<&ChatMessage>,
    ) -> Result<Outcome, Refusal> {
        let (at, by) = (clock::now(), by.to_owned());
        let (place, (app, stream)) = (place(id), names(id));
        let mut outcome = Outcome::default();
        let (told, event) = match order {
            Order::Delete(message) => {
                if !open.room.delete(&message, Instant::now()) && stored.is_none() {
                    return Err(Refusal::NotFound);
                }
                self.keep(Change::Deleted(id.clone(), message.clone()));
                self.mirror.deleted(id, &message);
                let deleted = ChatMessageChanged { at, app, by, id: message.clone(), stream };
                (FrontMessage::ChatDeleted { place, id: message }, DaemonEvent::ChatDeleted(deleted))
            }
            Order::Restore(what) => {
                let back = open.room.restore(&what, Instant::now());
                if back.is_empty() {
                    return Err(Refusal::NotFound);
                }
                self.bring_back(id, open, &by, back);
                return Ok(outcome);
            }
            Order::Undo(step) => return self.undo(id, open, &by, &step),
            Order::TimeOut(whom, span) => {
                let (who, ban) = person(open, &whom, stored)?;
                let verified = ban.is_verified;
                outcome = self.silence(id, open, &who, ban, Some(span));
                let seconds = span.as_secs();
                let event = ChatTimedOut { at, app, by, from: who.clone(), seconds, stream };
                let told = FrontMessage::ChatCleared { place, name: who, verified, seconds: Some(seconds) };
                (told, DaemonEvent::ChatTimedOut(event))
            }
            Order::Ban(whom) => {
                let (who, ban) = person(open, &whom, stored)?;
                let verified = ban.is_verified;
                outcome = self.silence(id, open, &who, ban, None);
                let banned = ChatPersonChanged { at, app, by, from: who.clone(), stream };
                let told = FrontMessage::ChatCleared { place, name: who, verified, seconds: None };
                (told, DaemonEvent::ChatBanned(banned))
            }
            Order::Unban(who) => {
                let name = who.to_lowercase();
                let (was_banned, was_timed_out) = (open.room.lift_ban(&name), open.room.lift_time_out(&name));
                if !was_banned && !was_timed_out {
                    return Err(Refusal::NotFound);
                }
                self.put_in_force(id, open, &name, &State::Ban(None));
                self.put_in_force(id, open, &name, &State::TimeOut(None));
                let unbanned = ChatPersonChanged { at, app, by, from: who.clone(), stream };
                (
                    FrontMessage::ChatForgiven { place, name: who, you: false },
                    DaemonEvent::ChatUnbanned(unbanned),
                )
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
        Ok(outcome)
    }

    /// Stops a person from writing, for a time or permanently. What an earlier order has set for the name stays in force.
    fn silence(
        &self,
        id: &StreamId,
        open: &mut Open,
        who: &str,
        ban: Ban,
        span: Option<Duration>,
    ) -> Outcome {
        let (at, now) = (Instant::now(), clock::now());
        let gone = open.room.clear(&ban, at);
        // The other node of a pair may not know the addresses of its messages.
        if mark_of(&ban.name).is_some() {
            gone.iter().for_each(|message| self.mirror.deleted(id, message));
        }
        self.clear(id, open, &ban, gone.clone());
        let name = ban.name.clone();
        let before = self.in_force(id, &name, span.is_none(), now);
        let after = match (span, &before) {
            (Some(span), State::TimeOut(Some((earlier, end)))) => {
                State::TimeOut(Some((ban.joined(earlier), shared::later(now, span).max(*end))))
            }
            (Some(span), _) => State::TimeOut(Some((ban, shared::later(now, span)))),
            (None, State::Ban(Some(earlier))) => State::Ban(Some(ban.joined(earlier))),
            (None, _) => State::Ban(Some(ban)),
        };
        self.put_in_force(id, open, &name, &after);
        let step = format!("u{}", clock::next_number());
        let outcome = Outcome { who: Some(who.to_owned()), undo: Some(step.clone()) };
        open.undo.add(Step { id: step, at, who: who.to_owned(), name, before, after, gone });
        outcome
    }

    /// Returns the ban or the time-out of a name.
    fn in_force(&self, id: &StreamId, name: &str, is_ban: bool, now: Timestamp) -> State {
        match is_ban {
            true => State::Ban(self.shared.ban(id, name)),
            false => State::TimeOut(self.shared.time_out(id, name, now)),
        }
    }

    /// Replaces the ban or the time-out of a name.
    fn put_in_force(&self, id: &StreamId, open: &mut Open, name: &str, state: &State) {
        match state.clone() {
            State::Ban(ban) => {
                self.shared.note_ban(id, name, ban.clone());
                open.room.lift_ban(name);
                match ban {
                    Some(ban) => {
                        open.room.ban(ban.clone());
                        self.keep(Change::Banned(id.clone(), ban, clock::now()));
                    }
                    None => self.keep(Change::Forgiven(id.clone(), name.to_owned())),
                }
            }
            State::TimeOut(time_out) => {
                self.shared.note_time_out(id, name, time_out.clone());
                open.room.lift_time_out(name);
                match time_out {
                    Some((ban, until)) => {
                        let left = shared::left(until, clock::now());
                        open.room.time_out(ban.clone(), Instant::now() + left);
                        self.keep(Change::TimedOut(id.clone(), ban, until));
                    }
                    None => self.keep(Change::Heard(id.clone(), name.to_owned())),
                }
            }
        }
    }

    /// Undoes a ban or time-out, unless a moderator has changed it since. The messages come back in any case.
    fn undo(&self, id: &StreamId, open: &mut Open, by: &str, step: &str) -> Result<Outcome, Refusal> {
        let (now, at) = (Instant::now(), clock::now());
        let (step, is_last) = open.undo.take(step, now).ok_or(Refusal::NotFound)?;
        let Step { who, name, before, after, gone, .. } = step;
        let is_ban = matches!(after, State::Ban(_));
        if is_last && self.in_force(id, &name, is_ban, at) == after {
            self.put_in_force(id, open, &name, &before);
        }
        let back = open.room.restore_these(&gone, now);
        self.bring_back(id, open, by, back);
        let (app, stream) = names(id);
        let (by, from) = (by.to_owned(), who.clone());
        // Programs hear what is in force now.
        let (ban, time_out) = (self.shared.ban(id, &name), self.shared.time_out(id, &name, at));
        self.bus.tell(&match (is_ban, &ban, &time_out) {
            (true, Some(_), _) => DaemonEvent::ChatBanned(ChatPersonChanged { at, app, by, from, stream }),
            (false, _, Some((_, until))) => {
                let seconds = shared::left(*until, at).as_secs();
                DaemonEvent::ChatTimedOut(ChatTimedOut { at, app, by, from, seconds, stream })
            }
            _ => DaemonEvent::ChatUnbanned(ChatPersonChanged { at, app, by, from, stream }),
        });
        if ban.is_none() && time_out.is_none() {
            open.tell(&FrontMessage::ChatForgiven { place: place(id), name: who.clone(), you: false });
        }
        Ok(Outcome { who: Some(who), undo: None })
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

    /// Tells everybody that messages are restored, and stores them.
    fn bring_back(&self, id: &StreamId, open: &Open, by: &str, back: Vec<ChatMessage>) {
        for message in back {
            open.tell(&FrontMessage::ChatRestored { place: place(id), message: message.clone() });
            let ((app, stream), by, at) = (names(id), by.to_owned(), clock::now());
            let restored = ChatMessageChanged { at, app, by, id: message.id.clone(), stream };
            self.bus.tell(&DaemonEvent::ChatRestored(restored));
            let mark =
                open.room.marked().find(|(one, _)| one.id == message.id).and_then(|(_, mark)| mark.copied());
            self.mirror.said(id, &message, mark, open.is_known);
            if open.is_known {
                self.keep(Change::Said(id.clone(), message));
            }
        }
    }

    /// Returns a message of the room, or else of the file.
    async fn stored(&self, id: &StreamId, message: &str) -> Option<ChatMessage> {
        let of_room = |open: &Open| open.room.messages().find(|one| one.id == *message).cloned();
        if let Some(found) = self.lock().get(id).and_then(of_room) {
            return Some(found);
        }
        let (of, message) = (id.clone(), message.to_owned());
        self.read(move |reader| reader.message(&of, &message)).await.flatten()
    }
}

/// Returns the name or hash that an order concerns, and its ban.
fn person(open: &Open, whom: &Whom, stored: Option<&ChatMessage>) -> Result<(String, Ban), Refusal> {
    if whom.message.is_empty() || mark_of(&whom.name).is_some() {
        return Ok((whom.name.clone(), open.room.meant(&whom.name)));
    }
    open.room.author(&whom.message, stored).ok_or(Refusal::NotFound)
}
