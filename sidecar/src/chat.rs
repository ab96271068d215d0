//! The chat beside the player: one room per stream.
//!
//! - [`room`] decides who may write a message (pure)
//! - [`store`] writes messages and bans to disk; [`read`] finds past messages
//! - [`view`]: rooms as moderators see them
//! - [`shared`]: the state that the nodes of a pair share; `replica`: the changes of the other node
//!
//! The chat replaces an address with a keyed hash before any other use. Messages are plain text: no code here turns them into
//! markup.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use hmac::{Hmac, KeyInit, Mac};
use tokio::sync::broadcast;
use tokio::time::{Instant, MissedTickBehavior, interval};
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::{
    ChatCounts, ChatMessageChanged, ChatPersonChanged, ChatSaid, ChatSlowed, ChatTimedOut,
};
use weir_model::front::{ChatMessage, ChatNames, FrontMessage, Place};
use weir_model::text;

use crate::clock;
use crate::config::Config;
use crate::config::chat::Chat as Settings;
use crate::events::Bus;
use crate::streams::StreamId;

mod pace;
pub(crate) mod read;
mod replica;
pub(crate) mod room;
mod shared;
mod store;
pub(crate) mod view;

use room::{AddressMark, Ban, Person, Refusal, Room};
pub(crate) use shared::Common;
use shared::Shared;
use store::{Change, Store};

/// Number of messages that a client may be behind; a slower client misses messages.
const BEHIND: usize = 256;
/// Interval between counts of people that a room reports to its clients.
const PEOPLE: Duration = Duration::from_secs(2);
/// Number of [`PEOPLE`] intervals between counts for the history.
const MINUTE: u32 = 30;

/// All rooms.
#[derive(Debug)]
pub(crate) struct Chat {
    bus: Arc<Bus>,
    settings: Mutex<Arc<Settings>>,
    rooms: Mutex<BTreeMap<StreamId, Open>>,
    store: Mutex<Option<Store>>,
    key: Mutex<Vec<u8>>,
    shared: Shared,
    next: AtomicU64,
}

/// A room with people in it.
#[derive(Debug)]
struct Open {
    room: Room,
    told: broadcast::Sender<Utf8Bytes>,
    /// Number of people that was last reported.
    people: usize,
}

/// Action of a moderator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Deletes a message.
    Delete(String),
    /// Restores recently deleted messages: one by its id, or those of a name or address.
    Restore(String),
    /// Stops this name or address from writing for a time. An address is in the form of [`room::mark_text`].
    TimeOut(String, Duration),
    /// Keeps this name or address out of the room.
    Ban(String),
    /// Lifts a time-out or a ban.
    Unban(String),
    /// Sets the minimum time between two messages of one person.
    Slow(Duration),
}

/// A person who enters a room, as described by a token or by that person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visitor {
    /// Name that the person asks for.
    pub name: Option<String>,
    /// Whether the person has a chat token.
    pub has_token: bool,
    /// Whether a token states the name.
    pub is_verified: bool,
    /// Whether a token states that the person is a moderator.
    pub is_moderator: bool,
}

/// A person in a room. Dropping it removes the person from the room.
#[derive(Debug)]
pub(crate) struct Presence {
    chat: Arc<Chat>,
    id: StreamId,
    number: u64,
    /// The name of the person and the rights in the room.
    pub person: Person,
    /// Messages to send to the person first.
    pub first: Vec<Utf8Bytes>,
    /// Receiver of later messages.
    pub told: broadcast::Receiver<Utf8Bytes>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut rooms = self.chat.lock();
        if let Some(open) = rooms.get_mut(&self.id) {
            open.room.leave(self.number);
            // Anybody may open any room, so unused rooms are removed.
            if open.room.is_unused() {
                rooms.remove(&self.id);
            }
        }
    }
}

impl Chat {
    /// Starts the chat as configured, with the stored messages.
    pub(crate) fn start(config: &Config, bus: &Arc<Bus>) -> Arc<Self> {
        let chat = Arc::new(Self {
            bus: bus.clone(),
            settings: Mutex::new(Arc::new(config.chat.clone())),
            rooms: Mutex::default(),
            store: Mutex::default(),
            key: Mutex::default(),
            shared: Shared::default(),
            next: AtomicU64::new(0),
        });
        chat.open(&config.chat);
        let of = Arc::downgrade(&chat);
        tokio::spawn(async move {
            let mut tick = interval(PEOPLE);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut round = 0;
            loop {
                tick.tick().await;
                round += 1;
                let Some(chat) = of.upgrade() else { return };
                chat.count(round % MINUTE == 0);
            }
        });
        chat
    }

    /// Applies other settings. The chat keeps its file until a restart.
    pub(crate) fn configure(&self, config: &Config) {
        let before = std::mem::replace(
            &mut *self.settings.lock().unwrap_or_else(PoisonError::into_inner),
            Arc::new(config.chat.clone()),
        );
        if config.chat.enabled && !before.enabled {
            self.open(&config.chat);
        } else if config.chat.enabled && config.chat.file != before.file {
            tracing::warn!("file of [chat] has changed: restart weir serve to apply it");
        }
    }

    fn open(&self, settings: &Settings) {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if !settings.enabled || store.is_some() {
            return;
        }
        let mut fresh = [0; 32];
        if let Err(error) = getrandom::fill(&mut fresh) {
            tracing::error!("chat: no random bytes: {error}");
        }
        let key = match Store::open(&settings.file, settings.keep, fresh) {
            Ok((opened, key)) => {
                *store = Some(opened);
                key
            }
            Err(error) => {
                tracing::error!("chat messages are not stored: {error}");
                fresh.to_vec()
            }
        };
        self.shared.begin(&key, store.as_ref());
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }

    fn settings(&self) -> Arc<Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StreamId, Open>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the chat is enabled.
    pub(crate) fn is_on(&self) -> bool {
        self.settings().enabled
    }

    /// Returns a keyed hash of an address, which reveals nothing without the key. For an IPv6 address, the hash covers the /64.
    fn mark(&self, client: IpAddr) -> AddressMark {
        let bytes = match client.to_canonical() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets()[..8].to_vec(),
        };
        let own = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.shared.key().map_or(own.as_slice(), |key| key.as_slice());
        let mac = Hmac::<sha2::Sha256>::new_from_slice(key).map(|mac| mac.chain_update(bytes).finalize());
        let digest = mac.map(|mac| mac.into_bytes()).unwrap_or_default();
        digest.first_chunk().copied().unwrap_or_default()
    }

    /// Adds a person to the room of a stream.
    pub(crate) fn enter(
        self: &Arc<Self>,
        id: &StreamId,
        visitor: Visitor,
        client: IpAddr,
    ) -> Result<Presence, Refusal> {
        let settings = self.settings();
        let name = match &visitor.name {
            Some(written) => Some(room::name_of(written).ok_or(Refusal::NoName)?),
            None => None,
        };
        let name = name.filter(|_| visitor.has_token || settings.names == ChatNames::Open);
        let Visitor { is_verified, is_moderator, .. } = visitor;
        let person = Person { name, is_verified, is_moderator, mark: self.mark(client) };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut rooms = self.lock();
        let open = rooms.entry(id.clone()).or_insert_with(|| self.room(id, &settings));
        open.room.enter(number, person.clone())?;
        let slow = open.room.slow().as_secs();
        let welcome = FrontMessage::ChatWelcome {
            place: place(id),
            name: person.name.clone(),
            moderator: person.is_moderator,
            verified: person.is_verified,
            can_write: person.name.is_some(),
            names: settings.names,
            slow_s: slow,
            people: open.room.people(),
        };
        let history = open.room.messages().map(|message| said(id, message));
        let first = std::iter::once(welcome).chain(history).map(|message| message.text().into()).collect();
        let told = open.told.subscribe();
        Ok(Presence { chat: self.clone(), id: id.clone(), number, person, first, told })
    }

    fn room(&self, id: &StreamId, settings: &Settings) -> Open {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = store.as_ref().map(|store| store.messages(id)).transpose();
        let messages = kept
            .inspect_err(|error| tracing::error!("chat not read: {error}"))
            .unwrap_or_default()
            .unwrap_or_default();
        let mut room = Room::of(messages, self.shared.slow(id).unwrap_or(settings.slow));
        let (bans, time_outs) = self.shared.silenced(id);
        bans.into_iter().for_each(|ban| room.ban(ban));
        let (clock, now) = (clock::now(), Instant::now());
        for (ban, until) in time_outs {
            room.time_out(ban, now + shared::left(until, clock));
        }
        Open { room, told: broadcast::channel(BEHIND).0, people: 0 }
    }

    fn keep(&self, change: Change) {
        if let Some(store) = &*self.store.lock().unwrap_or_else(PoisonError::into_inner) {
            store.put(change);
        }
    }

    /// Applies the action of an administrator or moderator, named `by`, in the room of a stream.
    pub(crate) fn moderate(&self, id: &StreamId, by: &str, order: Order) -> Result<(), Refusal> {
        let settings = self.settings();
        let mut rooms = self.lock();
        let open = rooms.entry(id.clone()).or_insert_with(|| self.room(id, &settings));
        let (at, by) = (clock::now(), by.to_owned());
        let (place, (app, stream)) = (place(id), names(id));
        let (told, event) = match order {
            Order::Delete(message) => {
                if !open.room.delete(&message, Instant::now()) && !self.has_kept(id, &message) {
                    return Err(Refusal::NotFound);
                }
                self.keep(Change::Deleted(id.clone(), message.clone()));
                let deleted = ChatMessageChanged { at, app, by, id: message.clone(), stream };
                (FrontMessage::ChatDeleted { place, id: message }, DaemonEvent::ChatDeleted(deleted))
            }
            Order::Restore(what) => return self.restore(id, open, &by, &what),
            Order::TimeOut(who, span) => {
                self.silence(id, open, &who, Some(span));
                let seconds = span.as_secs();
                let event = ChatTimedOut { at, app, by, from: who.clone(), seconds, stream };
                let told = FrontMessage::ChatCleared { place, name: who, seconds: Some(seconds) };
                (told, DaemonEvent::ChatTimedOut(event))
            }
            Order::Ban(who) => {
                self.silence(id, open, &who, None);
                let banned = ChatPersonChanged { at, app, by, from: who.clone(), stream };
                let told = FrontMessage::ChatCleared { place, name: who, seconds: None };
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

    /// Stops a person from writing, for a time or permanently.
    fn silence(&self, id: &StreamId, open: &mut Open, who: &str, span: Option<Duration>) {
        let now = Instant::now();
        let (ban, gone) = open.room.silence(who, span.map(|span| now + span), now);
        self.clear(id, open, &ban, gone);
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
    }

    /// Removes the messages of a banned or timed-out person.
    fn clear(&self, id: &StreamId, open: &Open, ban: &Ban, gone: Vec<String>) {
        for message in gone {
            // For an address without a name, clients do not know which messages are meant, so each message is named.
            open.tell(&FrontMessage::ChatDeleted { place: place(id), id: message.clone() });
            self.keep(Change::Deleted(id.clone(), message));
        }
        self.keep(Change::Cleared(id.clone(), ban.name.clone()));
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
            self.keep(Change::Said(id.clone(), message));
        }
        Ok(())
    }

    fn has_kept(&self, id: &StreamId, message: &str) -> bool {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.as_ref().is_some_and(|store| store.knows(id, message).unwrap_or(false))
    }

    /// Reports the number of people to the rooms and the counts of a minute to the history, and removes empty rooms.
    fn count(&self, is_minute: bool) {
        let mut rooms = self.lock();
        for (id, open) in rooms.iter_mut() {
            let people = open.room.people();
            if people != open.people {
                open.people = people;
                open.tell(&FrontMessage::ChatPeople { place: place(id), people });
            }
            if is_minute {
                let [messages, joined, left, peak] = open.room.take_counts();
                if messages > 0 {
                    let (app, stream) = names(id);
                    let counts = ChatCounts { at: clock::now(), app, joined, left, messages, peak, stream };
                    self.bus.tell(&DaemonEvent::ChatCounts(counts));
                }
            }
        }
        if is_minute {
            let now = Instant::now();
            self.shared.tidy(clock::now());
            rooms.retain(|_, open| {
                open.room.tidy(now);
                open.room.people() > 0
            });
        }
    }
}

impl Open {
    /// Sends a message to everybody in the room.
    fn tell(&self, message: &FrontMessage) {
        // Sending fails if the room is empty.
        let _ = self.told.send(message.text().into());
    }
}

impl Presence {
    /// Writes a message in the room.
    pub(crate) fn say(&self, written: &str) -> Result<(), Refusal> {
        let settings = self.chat.settings();
        let shown = room::filtered(&text::clean_emoji(written), &settings.words);
        let message = {
            let mut rooms = self.chat.lock();
            let open = rooms.get_mut(&self.id).ok_or(Refusal::NotFound)?;
            let person =
                open.room.may_write(self.number, &shown, Instant::now()).map_err(|why| match why {
                    Refusal::NoName if settings.names == ChatNames::Token => Refusal::NeedsToken,
                    other => other,
                })?;
            let message = ChatMessage {
                id: format!("m{}", clock::next_number()),
                name: person.name.unwrap_or_default(),
                text: shown.trim().to_owned(),
                at: clock::now(),
                verified: person.is_verified,
                moderator: person.is_moderator,
            };
            open.room.say(message.clone(), person.mark);
            open.tell(&said(&self.id, &message));
            message
        };
        let (app, stream) = names(&self.id);
        let ChatMessage { id, name: from, text, at, verified, moderator } = message.clone();
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
        self.chat.keep(Change::Said(self.id.clone(), message));
        Ok(())
    }

    /// Applies an action if the person is a moderator.
    pub(crate) fn moderate(&self, order: Order) -> Result<(), Refusal> {
        match self.person.is_moderator {
            true => self.chat.moderate(&self.id, self.person.name.as_deref().unwrap_or("moderator"), order),
            false => Err(Refusal::Forbidden),
        }
    }
}

fn said(id: &StreamId, message: &ChatMessage) -> FrontMessage {
    FrontMessage::Chat { place: place(id), message: message.clone() }
}

fn names((app, stream): &StreamId) -> (String, String) {
    (app.to_string(), stream.to_string())
}

fn place(id: &StreamId) -> Place {
    let (app, stream) = names(id);
    Place { app, stream }
}
