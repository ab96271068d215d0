//! What a person in a room does.

use std::net::IpAddr;
use std::sync::PoisonError;

use tokio::time::Instant;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::ChatSaid;
use weir_model::front::{ChatMessage, ChatNames};
use weir_model::text;

use super::room::{self, Person, Refusal};
use super::store::Change;
use super::{Chat, MOST_COUNTED, Order, Outcome, Presence, names, said, shown_name};
use crate::clock;
use crate::streams::StreamId;

impl Drop for Presence {
    fn drop(&mut self) {
        let mut rooms = self.chat.lock();
        let of_all = rooms.len();
        if let Some(open) = rooms.get_mut(&self.id) {
            open.room.leave(self.number);
            // Anybody may open any room, so unused rooms are removed. A few stay until their counts are reported.
            let stays = open.is_known && open.room.has_counts() && of_all <= MOST_COUNTED;
            let now = Instant::now();
            if open.room.is_unused(now) && open.undo.is_empty(now) && !stays {
                rooms.remove(&self.id);
            }
        }
    }
}

impl Chat {
    /// Returns whether a person with this address is banned or has a time-out.
    pub(crate) fn is_silenced(
        &self,
        id: &StreamId,
        name: Option<&str>,
        is_verified: bool,
        client: IpAddr,
    ) -> bool {
        let (mark, earlier) = self.mark(client);
        let name = name.and_then(|written| shown_name(written, is_verified, &self.settings()));
        let person = Person { name, is_verified, is_moderator: false, mark, earlier };
        let now = Instant::now();
        match self.lock().get(id) {
            Some(open) => open.room.is_silenced(&person, now),
            None => self.room(id, Vec::new()).room.is_silenced(&person, now),
        }
    }
}

impl Presence {
    /// Writes a message in the room. `stream_is_known` is as for a [`Visitor`](super::Visitor).
    pub(crate) fn say(&self, written: &str, stream_is_known: bool) -> Result<(), Refusal> {
        let settings = self.chat.settings();
        let shown = room::filtered(&text::clean_emoji(written), &settings.words);
        let message = {
            let mut rooms = self.chat.lock();
            let open = rooms.get_mut(&self.id).ok_or(Refusal::NotFound)?;
            let now = Instant::now();
            let mut addresses = self.chat.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let is_too_fast = !self.person.is_verified && !addresses.may_write(&self.person.mark, now);
            let person =
                open.room.may_write(self.number, &shown, is_too_fast, now).map_err(|why| match why {
                    Refusal::NoName if settings.names == ChatNames::Token => Refusal::NeedsToken,
                    other => other,
                })?;
            if !person.is_verified {
                addresses.wrote(person.mark, now);
            }
            if stream_is_known || open.is_known || self.chat.is_of_the_first(&self.id) {
                self.chat.learn(&self.id, open);
            }
            let message = ChatMessage {
                id: self.chat.mirror.fresh_id(),
                name: person.name.unwrap_or_default(),
                text: shown.trim().to_owned(),
                at: clock::now(),
                verified: person.is_verified,
                moderator: person.is_moderator,
            };
            open.room.say(message.clone(), person.mark);
            self.chat.mirror.said(&self.id, &message, Some(person.mark), open.is_known);
            open.tell(&said(&self.id, &message));
            if open.is_known {
                self.chat.keep(Change::Said(self.id.clone(), message.clone()));
            }
            message
        };
        let (app, stream) = names(&self.id);
        let ChatMessage { id, name: from, text, at, verified, moderator } = message;
        self.chat.bus.tell(&DaemonEvent::ChatMessage(ChatSaid {
            at,
            app,
            from,
            id,
            moderator,
            stream,
            text,
            verified,
        }));
        Ok(())
    }

    /// Applies an action if the person is a moderator.
    pub(crate) async fn moderate(&self, order: Order) -> Result<Outcome, Refusal> {
        if !self.person.is_moderator {
            return Err(Refusal::Forbidden);
        }
        self.chat.moderate(&self.id, self.person.name.as_deref().unwrap_or("moderator"), order).await
    }
}
