//! The chat beside the player: one room per stream.
//!
//! - [`room`] decides who may write a message (pure)
//! - [`orders`]: actions of moderators
//! - [`store`] writes messages and bans to disk; [`read`] finds past messages
//! - [`view`]: rooms as moderators see them
//! - [`shared`]: the state that the nodes of a pair share; `replica`: the changes of the other node; [`mirror`]: the messages of both nodes,
//!   [`late`]: those that wait
//!
//! The chat replaces an address with a keyed hash before any other use. Messages are plain text: no code here turns them into
//! markup.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use hmac::{Hmac, KeyInit, Mac};
use tokio::sync::broadcast;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::{ChatCounts, ChatSaid};
use weir_model::front::{ChatMessage, ChatNames, FrontMessage, Place};
use weir_model::text;

use crate::clock;
use crate::config::Config;
use crate::config::chat::Chat as Settings;
use crate::events::Bus;
use crate::streams::StreamId;

mod late;
pub(crate) mod mirror;
mod orders;
mod pace;
pub(crate) mod read;
mod replica;
pub(crate) mod room;
mod shared;
mod store;
pub(crate) mod view;

use room::{AddressMark, Person, Refusal, Room};
pub(crate) use shared::Common;
use shared::Shared;
use store::{Change, Reader, Store};

/// Number of messages that a client may be behind; a slower client misses messages.
const BEHIND: usize = 256;
/// Interval between counts of people that a room reports to its clients.
const PEOPLE: Duration = Duration::from_secs(2);
/// Most rooms, for an unused room to stay open until its counts of people are reported.
const MOST_COUNTED: usize = 100;
/// Most counts that are reported per [`PEOPLE`] interval.
const PORTION: usize = 50;
/// Most counts that wait to be reported: of rooms of invented streams, and of all.
const MOST_UNKNOWN: usize = 1000;
const MOST_WAITING: usize = 10_000;
/// How long a person waits for the stored messages of a room.
const READING: Duration = Duration::from_secs(5);
/// Number of [`PEOPLE`] intervals between counts for the history.
const MINUTE: u32 = 30;

/// All rooms.
#[derive(Debug)]
pub(crate) struct Chat {
    bus: Arc<Bus>,
    settings: Mutex<Arc<Settings>>,
    rooms: Mutex<BTreeMap<StreamId, Open>>,
    store: Mutex<Option<Store>>,
    /// Held by the one thread that reads the file, so that a disk that hangs does not take all threads.
    reading: Arc<tokio::sync::Mutex<()>>,
    key: Mutex<Vec<u8>>,
    shared: Shared,
    mirror: mirror::Mirror,
    late: late::Late,
    /// Number of changes of the other node of a pair.
    heard: AtomicU64,
    /// Counts of the last minute that are not reported yet.
    counted: Mutex<VecDeque<ChatCounts>>,
    next: AtomicU64,
}

/// A room with people in it.
#[derive(Debug)]
struct Open {
    room: Room,
    told: broadcast::Sender<Utf8Bytes>,
    /// Number of people that was last reported.
    people: usize,
    /// Whether the stream is or was live. Anybody may open the room of an invented stream.
    is_known: bool,
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
    /// Whether the stream is or was live.
    pub stream_is_known: bool,
    /// Whether the person has just left the room to enter it again, perhaps with another name.
    pub is_back: bool,
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
        let of_all = rooms.len();
        if let Some(open) = rooms.get_mut(&self.id) {
            open.room.leave(self.number);
            // Anybody may open any room, so unused rooms are removed. A few stay until their counts are reported.
            let stays = open.is_known && open.room.has_counts() && of_all <= MOST_COUNTED;
            if open.room.is_unused(Instant::now()) && !stays {
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
            reading: Arc::default(),
            key: Mutex::default(),
            shared: Shared::default(),
            mirror: mirror::Mirror::default(),
            late: late::Late::default(),
            heard: AtomicU64::new(0),
            counted: Mutex::default(),
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
                tracing::error!("chat messages are not stored: [chat] file: {error}");
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
    pub(crate) async fn enter(
        self: &Arc<Self>,
        id: &StreamId,
        visitor: Visitor,
        client: IpAddr,
    ) -> Result<Presence, Refusal> {
        let settings = self.settings();
        let name = match &visitor.name {
            Some(written) if visitor.is_verified => Some(room::name_of(written).ok_or(Refusal::NoName)?),
            Some(written) => {
                Some(room::name_of(&room::filtered(written, &settings.words)).ok_or(Refusal::NoName)?)
            }
            None => None,
        };
        let name = name.filter(|_| visitor.has_token || settings.names == ChatNames::Open);
        let Visitor { is_verified, is_moderator, stream_is_known, is_back, .. } = visitor;
        let person = Person { name, is_verified, is_moderator, mark: self.mark(client) };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let came = |open: &mut Open| {
            open.room.enter(number, person.clone())?;
            if is_back {
                open.room.stayed();
            }
            open.is_known |= stream_is_known;
            let welcome = FrontMessage::ChatWelcome {
                place: place(id),
                name: person.name.clone(),
                moderator: person.is_moderator,
                verified: person.is_verified,
                can_write: person.name.is_some(),
                names: settings.names,
                slow_s: open.room.slow().as_secs(),
                people: open.room.people(),
            };
            let history = open.room.messages().map(|message| said(id, message));
            let first =
                std::iter::once(welcome).chain(history).map(|message| message.text().into()).collect();
            Ok((first, open.told.subscribe()))
        };
        let (first, told) = self.with_room(id, came).await?;
        Ok(Presence { chat: self.clone(), id: id.clone(), number, person, first, told })
    }

    /// Uses the room of a stream, which another thread reads from the disk if it is not open. Meanwhile no lock is held, because a disk
    /// may be slow.
    async fn with_room<T>(self: &Arc<Self>, id: &StreamId, action: impl FnOnce(&mut Open) -> T) -> T {
        let mut read = None;
        loop {
            {
                let mut rooms = self.lock();
                match read.take() {
                    Some(messages) => {
                        return action(rooms.entry(id.clone()).or_insert_with(|| self.room(id, messages)));
                    }
                    None => {
                        if let Some(open) = rooms.get_mut(id) {
                            return action(open);
                        }
                    }
                }
            }
            let of = id.clone();
            // A person does not wait for a disk that hangs.
            let kept = timeout(READING, self.read(move |reader| reader.messages(&of))).await.ok().flatten();
            read = Some(kept.unwrap_or_default());
        }
    }

    /// Reads the file in another thread. Returns `None` if there is no file, or if it cannot be read.
    async fn read<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Reader) -> rusqlite::Result<T> + Send + 'static,
    ) -> Option<T> {
        let reader = self.store.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Store::reader)?;
        let turn = self.reading.clone().lock_owned().await;
        let read = move || {
            let read = what(&reader);
            drop(turn);
            read
        };
        let done = tokio::task::spawn_blocking(read).await.ok()?;
        done.inspect_err(|error| tracing::error!("chat not read: {error}")).ok()
    }

    fn room(&self, id: &StreamId, messages: Vec<ChatMessage>) -> Open {
        let settings = self.settings();
        let mut room = Room::of(messages, self.shared.slow(id).unwrap_or(settings.slow));
        let (bans, time_outs) = self.shared.silenced(id);
        bans.into_iter().for_each(|ban| room.ban(ban));
        let (clock, now) = (clock::now(), Instant::now());
        for (ban, until) in time_outs {
            room.time_out(ban, now + shared::left(until, clock));
        }
        Open { room, told: broadcast::channel(BEHIND).0, people: 0, is_known: false }
    }

    fn keep(&self, change: Change) {
        if let Some(store) = &*self.store.lock().unwrap_or_else(PoisonError::into_inner) {
            store.put(change);
        }
    }

    /// Reports the number of people to the rooms and the counts of a minute to the history, and removes empty rooms.
    fn count(&self, is_minute: bool) {
        let mut rooms = self.lock();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, open) in rooms.iter_mut() {
            let people = open.room.people();
            if people != open.people {
                open.people = people;
                open.tell(&FrontMessage::ChatPeople { place: place(id), people });
            }
            // The people who wait for a stream count when it is live, or when somebody has written.
            let counts = open.is_known || (open.room.has_messages() && counted.len() < MOST_UNKNOWN);
            if is_minute && open.room.has_counts() && counts && counted.len() < MOST_WAITING {
                let [messages, joined, left, peak] = open.room.take_counts();
                let (app, stream) = names(id);
                counted.push_back(ChatCounts { at: clock::now(), app, joined, left, messages, peak, stream });
            }
        }
        // Listeners of the bus keep up: a portion at a time.
        let portion = counted.len().min(PORTION);
        for counts in counted.drain(..portion) {
            self.bus.tell(&DaemonEvent::ChatCounts(counts));
        }
        if is_minute {
            let now = Instant::now();
            self.shared.tidy(clock::now());
            rooms.retain(|_, open| {
                open.room.tidy(now);
                !open.room.is_idle(now)
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
                id: self.chat.mirror.fresh_id(),
                name: person.name.unwrap_or_default(),
                text: shown.trim().to_owned(),
                at: clock::now(),
                verified: person.is_verified,
                moderator: person.is_moderator,
            };
            open.room.say(message.clone(), person.mark);
            self.chat.mirror.said(&self.id, &message, Some(person.mark));
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
    pub(crate) async fn moderate(&self, order: Order) -> Result<(), Refusal> {
        if !self.person.is_moderator {
            return Err(Refusal::Forbidden);
        }
        self.chat.moderate(&self.id, self.person.name.as_deref().unwrap_or("moderator"), order).await
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

#[cfg(test)]
mod tests;
