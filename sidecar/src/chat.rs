//! The chat beside the player: one room per stream.
//!
//! - [`room`] decides who may write a message (pure)
//! - [`orders`]: actions of moderators; [`undo`]: what was in force before them
//! - [`store`] writes messages and bans to disk; [`opening`] opens it, [`keeping`] holds what waits for it; [`read`] finds past messages
//! - [`view`]: rooms as moderators see them
//! - [`shared`]: the state that the nodes of a pair share; `replica`: the changes of the other node; [`mirror`]: the messages of both nodes,
//!   [`late`]: those that wait
//!
//! The chat replaces an address with a keyed hash before any other use. Messages are plain text: no code here turns them into
//! markup.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use hmac::{Hmac, KeyInit, Mac};
use tokio::sync::broadcast;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::ChatCounts;
use weir_model::front::{ChatMessage, ChatNames, FrontMessage, Place};

use crate::clock;
use crate::config::Config;
use crate::config::chat::Chat as Settings;
use crate::events::Bus;
use crate::streams::StreamId;

mod keeping;
mod late;
pub(crate) mod mirror;
mod opening;
mod orders;
mod pace;
mod presence;
pub(crate) mod read;
mod replica;
pub(crate) mod room;
mod shared;
mod store;
mod undo;
pub(crate) mod view;

use keeping::Keeping;
use pace::Addresses;
use room::{AddressMark, Person, Refusal, Room};
use shared::Shared;
pub(crate) use shared::{Common, LONGEST};
use store::{Change, Reader, Store};
use undo::Undo;

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
/// Most streams that were never live and whose messages are stored, since the start of the daemon.
const MOST_STORED: usize = 100;
/// Most rooms of streams that were never live.
const MOST_INVENTED: usize = 1000;
/// How long a person waits for the stored messages of a room.
const READING: Duration = Duration::from_secs(5);
/// Number of [`PEOPLE`] intervals between counts for the history, and between attempts to open the file.
const MINUTE: u32 = 30;
const AGAIN: u32 = 5;

/// All rooms.
#[derive(Debug)]
pub(crate) struct Chat {
    bus: Arc<Bus>,
    settings: Mutex<Arc<Settings>>,
    rooms: Mutex<BTreeMap<StreamId, Open>>,
    keeping: Mutex<Keeping>,
    /// Why the file is closed. Held during an attempt to open it.
    trouble: Mutex<Option<String>>,
    /// Held by the one thread that reads the file, so that a disk that hangs does not take all threads.
    reading: Arc<tokio::sync::Mutex<()>>,
    keys: Mutex<Keys>,
    /// Recent messages by address. Locked after the rooms.
    addresses: Mutex<Addresses>,
    /// Streams that were never live, whose messages are stored nevertheless. Locked after the rooms.
    others: Mutex<HashSet<StreamId>>,
    shared: Shared,
    mirror: mirror::Mirror,
    late: late::Late,
    /// Number of changes of the other node of a pair.
    heard: AtomicU64,
    /// Counts of the last minute that are not reported yet.
    counted: Mutex<VecDeque<ChatCounts>>,
    next: AtomicU64,
}

/// Keys with which this node hashes addresses, unless it shares a key with the other node of a pair.
#[derive(Debug, Default)]
struct Keys {
    own: Vec<u8>,
    /// The key in use before the file could be opened. Bans since the start may have its hashes.
    earlier: Option<Vec<u8>>,
}

/// A room with people in it.
#[derive(Debug)]
struct Open {
    room: Room,
    undo: Undo,
    told: broadcast::Sender<Utf8Bytes>,
    /// Number of people that was last reported.
    people: usize,
    /// Whether messages are stored: the stream is or was live, or is an event, or somebody with a chat token came, or it is one of the first
    /// [`MOST_STORED`] others. Anybody may open the room of an invented stream.
    is_known: bool,
}

/// Whom an order concerns: a name or the hash of an address, in the form of [`room::mark_text`], or the author of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whom {
    /// The name or hash.
    pub name: String,
    /// Id of a message, whose author has precedence over a name; empty for none.
    pub message: String,
}

/// What an order has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The name or hash that the order concerned.
    pub who: Option<String>,
    /// Id for [`Order::Undo`].
    pub undo: Option<String>,
}

/// Action of a moderator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Deletes a message.
    Delete(String),
    /// Restores recently deleted messages: one by its id, or those of a name or address.
    Restore(String),
    /// Stops a person or address from writing for a time.
    TimeOut(Whom, Duration),
    /// Keeps a person or address out of the room.
    Ban(Whom),
    /// Lifts the time-out and the ban of a name or address.
    Unban(String),
    /// Undoes a recent ban or time-out: what was in force before it is in force again, and the messages come back.
    Undo(String),
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
    /// Whether the stream is or was live, or is an event.
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

impl Chat {
    /// Starts the chat as configured, with the stored messages.
    pub(crate) fn start(config: &Config, bus: &Arc<Bus>) -> Arc<Self> {
        let chat = Arc::new(Self {
            bus: bus.clone(),
            settings: Mutex::new(Arc::new(config.chat.clone())),
            rooms: Mutex::default(),
            keeping: Mutex::default(),
            trouble: Mutex::default(),
            reading: Arc::default(),
            keys: Mutex::default(),
            addresses: Mutex::default(),
            others: Mutex::default(),
            shared: Shared::default(),
            mirror: mirror::Mirror::default(),
            late: late::Late::default(),
            heard: AtomicU64::new(0),
            counted: Mutex::default(),
            next: AtomicU64::new(0),
        });
        chat.open();
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
                if round % AGAIN == 0 {
                    chat.open_later();
                }
            }
        });
        chat
    }

    /// Applies other settings. The chat keeps its file until a restart, once it is open.
    pub(crate) fn configure(self: &Arc<Self>, config: &Config) {
        let before = std::mem::replace(
            &mut *self.settings.lock().unwrap_or_else(PoisonError::into_inner),
            Arc::new(config.chat.clone()),
        );
        let is_open = self.keeping().store().is_some();
        if config.chat.enabled && !before.enabled {
            self.open();
        } else if config.chat.enabled && is_open && config.chat.file != before.file {
            tracing::warn!("file of [chat] has changed: restart weir serve to apply it");
        }
        self.open_later();
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

    /// Returns a keyed hash of an address, which reveals nothing without the key, and the hash with the earlier key, if there was one. For
    /// an IPv6 address, the hash covers the /64.
    fn mark(&self, client: IpAddr) -> (AddressMark, Option<AddressMark>) {
        let bytes = match client.to_canonical() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets()[..8].to_vec(),
        };
        let hash = |key: &[u8]| {
            let mac =
                Hmac::<sha2::Sha256>::new_from_slice(key).map(|mac| mac.chain_update(&bytes).finalize());
            let digest = mac.map(|mac| mac.into_bytes()).unwrap_or_default();
            digest.first_chunk().copied().unwrap_or_default()
        };
        if let Some(key) = self.shared.key() {
            return (hash(key), None);
        }
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        (hash(&keys.own), keys.earlier.as_deref().map(hash))
    }

    /// Adds a person to the room of a stream.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        id: &StreamId,
        visitor: Visitor,
        client: IpAddr,
    ) -> Result<Presence, Refusal> {
        let settings = self.settings();
        let shown = |written| shown_name(written, visitor.is_verified, &settings).ok_or(Refusal::NoName);
        let name = visitor.name.as_deref().map(shown).transpose()?;
        let name = name.filter(|_| visitor.has_token || settings.names == ChatNames::Open);
        let Visitor { has_token, is_verified, is_moderator, stream_is_known, is_back, .. } = visitor;
        let is_known = stream_is_known || has_token;
        if !is_known && self.has_too_many(id) {
            return Err(Refusal::Full);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let came = |open: &mut Open| {
            let (mark, earlier) = self.mark(client);
            let person = Person { name, is_verified, is_moderator, mark, earlier };
            open.room.enter(number, person.clone())?;
            if is_back {
                open.room.stayed();
            }
            if is_known {
                self.learn(id, open);
            }
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
            Ok((first, open.told.subscribe(), person))
        };
        let (first, told, person) = self.with_room(id, came).await?;
        Ok(Presence { chat: self.clone(), id: id.clone(), number, person, first, told })
    }

    /// Returns whether the room is not open, and too many rooms of invented streams are.
    fn has_too_many(&self, id: &StreamId) -> bool {
        let rooms = self.lock();
        !rooms.contains_key(id) && rooms.values().filter(|open| !open.is_known).count() >= MOST_INVENTED
    }

    /// Returns whether a stream that was never live is one of the first, whose messages are stored.
    fn is_of_the_first(&self, id: &StreamId) -> bool {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.contains(id) || (others.len() < MOST_STORED && others.insert(id.clone()))
    }

    /// Notes that a stream is not invented: the messages of its room are stored, also the earlier ones.
    fn learn(&self, id: &StreamId, open: &mut Open) {
        if !std::mem::replace(&mut open.is_known, true) {
            open.room.messages().for_each(|message| self.keep(Change::Said(id.clone(), message.clone())));
        }
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
        let reader = self.keeping().store().map(Store::reader)?;
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
        // Only the messages of streams that were known are stored.
        let is_known = !messages.is_empty();
        let mut room = Room::of(messages, self.shared.slow(id).unwrap_or(settings.slow));
        let (bans, time_outs) = self.shared.silenced(id);
        bans.into_iter().for_each(|ban| room.ban(ban));
        let (clock, now) = (clock::now(), Instant::now());
        for (ban, until) in time_outs {
            room.time_out(ban, now + shared::left(until, clock));
        }
        Open { room, undo: Undo::default(), told: broadcast::channel(BEHIND).0, people: 0, is_known }
    }

    /// Reports the number of people to the rooms and the counts of a minute to the history, and removes empty rooms.
    fn count(&self, is_minute: bool) {
        let now = Instant::now();
        let mut rooms = self.lock();
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).tidy(now);
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
            self.shared.tidy(clock::now());
            rooms.retain(|_, open| {
                open.room.tidy(now);
                !(open.room.is_idle(now) && open.undo.is_empty(now))
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

/// Returns a name as the room shows it, or `None` if it is not fit to display.
fn shown_name(written: &str, is_verified: bool, settings: &Settings) -> Option<String> {
    match is_verified {
        true => room::name_of(written),
        false => room::name_of(&room::filtered(&room::without_badges(written), &settings.words)),
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
