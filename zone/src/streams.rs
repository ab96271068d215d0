//! Live streams: one row per publisher, claimed before nginx-rtmp reads the publish and released when the publisher
//! closes.

mod row;

use std::{collections::HashSet, fmt, sync::atomic::Ordering::Relaxed};

use weir_model::{
    KeyId, Server, Timestamp,
    event::{EndReason, Event, StreamEnded, StreamKind, StreamStarted},
    media::{AudioFacts, VideoFacts},
    verdict::Credential,
};

use crate::arena::{Locked, Mutex, Zone};
use crate::block::{Block, BlockKind, Index};
use crate::error::ZoneFull;
use crate::hash::hash_bytes;
use crate::workers::WorkerId;
pub use row::StreamRow;

// The first words of a stream's row and of a player's have the same meaning.
pub(crate) const SESSION: usize = 2;
pub(crate) const SINCE: usize = 3;
pub(crate) const SHAPE: usize = 4;
pub(crate) const OWNER: usize = 5;
pub(crate) const ORDER: usize = 6;
pub(crate) const BYTES_OUT: usize = 7;
pub(crate) const DROPPED: usize = 8;
const KEY: usize = 9;
const LAST_MEDIA: usize = 10;
const BYTES_IN: usize = 11;
/// Bits per second: the total in the lower half, the audio in the upper.
const RATES: usize = 12;
const VIDEO: usize = 13;
const AUDIO: usize = 14;
/// Frame rate in the lower half, audio lag behind the video in the upper.
const FPS: usize = 15;

/// Bits of the word `ORDER`: the session must be closed; the stream was seen live.
pub(crate) const CLOSE: u64 = 1;
const STARTED: u64 = 2;
const UNPUBLISHED: u64 = 4;
const TOO_FAST: u64 = 8;

/// The most folders of a row.
pub const MAX_FOLDERS: usize = 2;

/// Position of the credential in a row's word `SHAPE`. Below it, with one byte each: the number of folders, and the
/// lengths of the server's addresses, application, name and address.
const CREDENTIAL_FROM: u32 = 40;

/// A publisher that wants a stream.
#[derive(Debug, Clone)]
pub struct NewStream<'a> {
    /// The `server` block of its connection.
    pub server: &'a Server,
    /// The folders that its application writes the files of streams to, as one number each; at most [`MAX_FOLDERS`].
    pub folders: &'a [u64],
    /// Application.
    pub app: &'a str,
    /// Public name of the stream.
    pub name: &'a str,
    /// The credential of the publish.
    pub credential: Credential,
    /// Address of the publisher as text.
    pub addr: &'a str,
    /// The worker of the connection.
    pub worker: WorkerId,
}

/// The id of the row of one publish or play. The session distinguishes it from a later row in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamId {
    pub(crate) place: Index,
    pub(crate) session: u64,
}

impl fmt::Display for StreamId {
    /// Prints the form for people: `s` and the number in hex.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{:x}", self.session)
    }
}

impl StreamId {
    /// Returns the number of the session, unique while the zone exists.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.session
    }
}

/// The result of a claim.
#[derive(Debug, Clone)]
pub enum Claim {
    /// The name was free and is now the caller's.
    Taken(StreamId),
    /// Another publisher uses the name; or, at another `server` block, a name whose files are in the same folder.
    Live(Box<LiveStream>),
}

/// The zone's facts about a live stream.
#[derive(Debug, Clone)]
pub struct LiveStream {
    /// Its row.
    pub id: StreamId,
    /// The `server` block of its connection.
    pub server: Server,
    /// Application.
    pub app: String,
    /// Public name.
    pub name: String,
    /// The credential of the publish.
    pub credential: Credential,
    /// Address of the publisher.
    pub addr: String,
    /// Process id of the worker of the connection.
    pub worker_pid: u32,
    /// The time when it was claimed.
    pub since: Timestamp,
    /// The time of the publisher's last audio or video; `since` before the first.
    pub last_media: Timestamp,
    /// Bytes of audio and video received.
    pub bytes_in: u64,
    /// Bytes sent to players that have left.
    pub bytes_out: u64,
    /// Messages that were dropped for players that have left.
    pub dropped: u64,
    /// Bits per second received, in total and of audio.
    pub rates: Rates,
    /// The video, once its header has arrived, with the measured frame rate.
    pub video: Option<VideoFacts>,
    /// The audio, once its header has arrived.
    pub audio: Option<AudioFacts>,
    /// How far the audio lags behind the video, in milliseconds.
    pub avsync_ms: i32,
}

/// Bits per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Audio and video.
    pub all: u64,
    /// Audio alone.
    pub audio: u64,
}

impl<'z, M: Mutex> Zone<'z, M> {
    pub(crate) fn own_block(&self, kind: BlockKind, id: StreamId) -> Option<&'z Block> {
        let block = self.block(id.place)?;
        (block.kind() == kind && block.word(SESSION) == id.session).then_some(block)
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Claims a name, unless a live publisher has it. `alive` asks the kernel about a process id.
    pub fn claim(
        &self,
        new: &NewStream<'_>,
        now: Timestamp,
        alive: impl Fn(u32) -> bool,
    ) -> Result<Claim, ZoneFull> {
        if let Some(live) = self.occupant(new.server, new.folders, new.app, new.name, &alive) {
            return Ok(Claim::Live(Box::new(live)));
        }
        if let Some((place, row)) = self.find_stream(new.server, new.app, new.name) {
            self.end(place, row, now);
        }
        self.watch(new, now).map(Claim::Taken)
    }

    /// Returns the live stream with this name at a `server` block, or at another block with files in one of these
    /// folders.
    #[must_use]
    pub fn occupant(
        &self,
        server: &Server,
        folders: &[u64],
        app: &str,
        name: &str,
        alive: impl Fn(u32) -> bool,
    ) -> Option<LiveStream> {
        self.named(app, name).into_iter().find_map(|(place, row)| {
            let pid = self.zone.owner_pid(owner(row)).filter(|pid| alive(*pid))?;
            let text = self.row_text(row);
            let taken = text.server.is_same(server) || text.folders.iter().any(|own| folders.contains(own));
            taken.then(|| self.read_stream(place, row, pid))
        })
    }

    /// Adds a row for a stream whose name is not claimed, because nginx-rtmp manages names and duplicates of its
    /// application.
    pub fn watch(&self, new: &NewStream<'_>, now: Timestamp) -> Result<StreamId, ZoneFull> {
        self.insert_row(BlockKind::Stream, new, now, 0, |row| {
            row.set(LAST_MEDIA, now.as_millis());
            row.set(KEY, credential_words(new.credential).1);
        })
    }

    /// Records that nginx-rtmp publishes a stream. The first call of a session adds the event.
    pub fn started(&self, id: StreamId, now: Timestamp) {
        let Some(row) = self.zone.own_block(BlockKind::Stream, id) else { return };
        if row.word(ORDER) & STARTED != 0 {
            return;
        }
        row.set(ORDER, row.word(ORDER) | STARTED);
        let text = self.row_text(row);
        self.begin_audience(&text.app, &text.name);
        let stream = self.read_stream(id.place, row, self.zone.owner_pid(owner(row)).unwrap_or_default());
        let key_id = match stream.credential {
            Credential::Key(id) => Some(id),
            Credential::Open | Credential::Token | Credential::Stopgap | Credential::Pull => None,
        };
        let event = Event::StreamStarted(StreamStarted {
            addr: stream.addr,
            app: stream.app,
            key_id,
            kind: kind_of(stream.credential),
            name: stream.name,
            server: stream.server.to_string(),
            session: id.to_string(),
            worker_pid: stream.worker_pid,
        });
        self.push_event(&event, now);
    }

    /// Records that the publisher itself has ended the stream.
    pub fn unpublished(&self, id: StreamId) {
        if let Some(row) = self.zone.own_block(BlockKind::Stream, id) {
            row.set(ORDER, row.word(ORDER) | UNPUBLISHED);
        }
    }

    /// Records that the publisher is closed because it sends more than its application allows.
    pub fn too_fast(&self, id: StreamId) {
        if let Some(row) = self.zone.own_block(BlockKind::Stream, id) {
            row.set(ORDER, row.word(ORDER) | TOO_FAST);
        }
    }

    /// Releases a name. If the stream was live, it has ended.
    pub fn release(&self, id: StreamId, now: Timestamp) {
        if let Some(row) = self.zone.own_block(BlockKind::Stream, id) {
            self.end(id.place, row, now);
        }
    }

    /// Frees a stream's row, whichever worker owns it.
    pub(crate) fn end(&self, place: Index, row: &Block, now: Timestamp) {
        let stream = self.read_stream(place, row, 0);
        let orders = row.word(ORDER);
        let started = orders & STARTED != 0;
        let reason = match orders {
            orders if orders & TOO_FAST != 0 => EndReason::Bitrate,
            orders if orders & CLOSE != 0 => EndReason::Dropped,
            orders if orders & UNPUBLISHED != 0 => EndReason::Unpublished,
            _ => EndReason::Disconnected,
        };
        self.remove(self.row_hash(row), place);
        if started {
            let event = Event::StreamEnded(StreamEnded {
                app: stream.app,
                bytes_in: stream.bytes_in,
                bytes_out: stream.bytes_out,
                duration_ms: now.millis_since(stream.since),
                kind: kind_of(stream.credential),
                name: stream.name,
                reason,
                server: stream.server.to_string(),
                session: stream.id.to_string(),
            });
            self.push_event(&event, now);
        }
    }

    /// Returns every live stream of a live worker, by application and name.
    #[must_use]
    pub fn streams(&self, alive: impl Fn(u32) -> bool) -> Vec<LiveStream> {
        let rows = self.records(BlockKind::Stream).filter_map(|(place, row)| {
            let pid = self.zone.owner_pid(owner(row)).filter(|pid| alive(*pid))?;
            Some(self.read_stream(place, row, pid))
        });
        let mut streams: Vec<LiveStream> = rows.collect();
        streams.sort_by(|a, b| (&a.app, &a.name, a.id.session).cmp(&(&b.app, &b.name, b.id.session)));
        streams
    }

    /// Returns the live streams of this name, one per `server` block, the oldest first.
    #[must_use]
    pub fn streams_named(&self, app: &str, name: &str, alive: impl Fn(u32) -> bool) -> Vec<LiveStream> {
        let rows = self.named(app, name).into_iter().filter_map(|(place, row)| {
            let pid = self.zone.owner_pid(owner(row)).filter(|pid| alive(*pid))?;
            Some(self.read_stream(place, row, pid))
        });
        let mut streams: Vec<LiveStream> = rows.collect();
        streams.sort_by_key(|stream| stream.id.session);
        streams
    }

    /// Orders the worker of a stream to close its publisher. Returns whether the stream was still there.
    pub fn order_close(&self, id: StreamId) -> bool {
        let row = self.zone.own_block(BlockKind::Stream, id);
        if let Some(row) = row {
            row.set(ORDER, row.word(ORDER) | CLOSE);
            self.order();
        }
        row.is_some()
    }

    /// Orders the workers of all streams that were published with one of these keys to close the publisher. Returns
    /// their number.
    pub fn order_close_keys(&self, ids: &HashSet<KeyId>) -> usize {
        self.order_close_some(ids, 0, usize::MAX)
    }

    /// The same for the blocks from `from` to `to`.
    pub(crate) fn order_close_some(&self, ids: &HashSet<KeyId>, from: usize, to: usize) -> usize {
        let is_wanted = |row: &&Block| matches!(credential(row), Credential::Key(id) if ids.contains(&id));
        let rows = self.records_from(BlockKind::Stream, from, to).map(|(_, row)| row).filter(is_wanted);
        let ordered = rows.map(|row| row.set(ORDER, row.word(ORDER) | CLOSE)).count();
        if ordered > 0 {
            self.order();
        }
        ordered
    }

    pub(crate) fn next_session(&self) -> u64 {
        self.zone.root.next_session.fetch_add(1, Relaxed) + 1
    }

    /// Adds the common part of a row of a stream or a player.
    pub(crate) fn insert_row(
        &self,
        kind: BlockKind,
        new: &NewStream<'_>,
        now: Timestamp,
        keep_free: usize,
        fill: impl FnOnce(&Block),
    ) -> Result<StreamId, ZoneFull> {
        let session = self.next_session();
        let part = |text| clip(text, 255);
        let new = NewStream { app: part(new.app), name: part(new.name), addr: part(new.addr), ..new.clone() };
        let server = new.server.to_text();
        let folders: Vec<u8> =
            new.folders.iter().take(MAX_FOLDERS).flat_map(|folder| folder.to_le_bytes()).collect();
        let parts =
            [new.app.as_bytes(), new.name.as_bytes(), server.as_bytes(), new.addr.as_bytes(), &folders];
        let place = self.insert(kind, row_hash(new.app, new.name), &parts.concat(), keep_free, |row| {
            row.set(SESSION, session);
            row.set(SINCE, now.as_millis());
            row.set(OWNER, new.worker.to_word());
            let lengths = [
                folders.len() / size_of::<u64>(),
                server.len(),
                new.app.len(),
                new.name.len(),
                new.addr.len(),
            ];
            let kind = credential_words(new.credential).0;
            row.set(SHAPE, lengths.iter().fold(kind, |shape, len| shape << 8 | (*len as u64 & 0xff)));
            fill(row);
        })?;
        Ok(StreamId { place, session })
    }

    /// Returns the row of a stream, whether its worker is alive or not.
    pub(crate) fn find_stream(&self, server: &Server, app: &str, name: &str) -> Option<(Index, &Block)> {
        self.named(app, name).into_iter().find(|(_, row)| self.row_text(row).server.is_same(server))
    }

    /// Returns whether a row has the name.
    pub(crate) fn is_named(&self, app: &str, name: &str) -> bool {
        !self.named(app, name).is_empty()
    }

    /// Returns the rows of the streams of this name, of all `server` blocks.
    fn named(&self, app: &str, name: &str) -> Vec<(Index, &Block)> {
        let wanted = [app.as_bytes(), name.as_bytes()].concat();
        let rows = self.chain(row_hash(app, name)).filter(|(_, row)| {
            let lengths = row.word(SHAPE) >> 8 & 0xffff;
            row.kind() == BlockKind::Stream
                && lengths == ((app.len() as u64 & 0xff) << 8 | (name.len() as u64 & 0xff))
                && self.text(row, wanted.len()) == wanted
        });
        rows.collect()
    }

    pub(crate) fn row_hash(&self, row: &Block) -> u64 {
        let text = self.row_text(row);
        row_hash(&text.app, &text.name)
    }

    pub(crate) fn row_text(&self, row: &Block) -> RowText {
        let shape = row.word(SHAPE);
        let [folders, server, app, name, addr] =
            [32, 24, 16, 8, 0].map(|shift| (shape >> shift & 0xff) as usize);
        let folders = folders.min(MAX_FOLDERS) * size_of::<u64>();
        let text = self.text(row, app + name + server + addr + folders);
        let mut rest = text.as_slice();
        let mut next = |len: usize| {
            let (part, after) = rest.split_at(len.min(rest.len()));
            rest = after;
            part
        };
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        RowText {
            app: text(next(app)),
            name: text(next(name)),
            server: Server::from_text(&text(next(server))),
            addr: text(next(addr)),
            folders: next(folders).chunks_exact(size_of::<u64>()).map(number).collect(),
        }
    }

    fn read_stream(&self, place: Index, row: &Block, worker_pid: u32) -> LiveStream {
        let text = self.row_text(row);
        let rates = row.word(RATES);
        LiveStream {
            id: StreamId { place, session: row.word(SESSION) },
            server: text.server,
            app: text.app,
            name: text.name,
            credential: credential(row),
            addr: text.addr,
            worker_pid,
            since: Timestamp::from_millis(row.word(SINCE)),
            last_media: Timestamp::from_millis(row.word(LAST_MEDIA)),
            bytes_in: row.word(BYTES_IN),
            bytes_out: row.word(BYTES_OUT),
            dropped: row.word(DROPPED),
            rates: Rates { all: rates & 0xffff_ffff, audio: rates >> 32 },
            video: VideoFacts::from_words(row.word(VIDEO))
                .map(|video| VideoFacts { fps_milli: row.word(FPS) as u32, ..video }),
            audio: AudioFacts::from_words(row.word(AUDIO)),
            avsync_ms: ((row.word(FPS) >> 32) as u32).cast_signed(),
        }
    }
}

/// Returns the source of a stream's media, for events.
fn kind_of(credential: Credential) -> StreamKind {
    match credential {
        Credential::Open | Credential::Key(_) | Credential::Token => StreamKind::Publisher,
        Credential::Stopgap => StreamKind::Slate,
        Credential::Pull => StreamKind::Pull,
    }
}

/// The texts of a row.
pub(crate) struct RowText {
    pub(crate) app: String,
    pub(crate) name: String,
    pub(crate) server: Server,
    pub(crate) addr: String,
    folders: Vec<u64>,
}

/// Cuts a text, because a row stores lengths in one byte each. Longer names come only from applications where Weir does
/// not check them.
pub(crate) fn clip(text: &str, most: usize) -> &str {
    let end = (0..=text.len().min(most)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

pub(crate) fn owner(row: &Block) -> u64 {
    row.word(OWNER)
}

pub(crate) fn row_hash(app: &str, name: &str) -> u64 {
    hash_bytes(&[app.as_bytes(), name.as_bytes()])
}

fn credential_words(credential: Credential) -> (u64, u64) {
    match credential {
        Credential::Open => (0, 0),
        Credential::Key(id) => (1, id.0),
        Credential::Token => (2, 0),
        Credential::Pull => (3, 0),
        Credential::Stopgap => (4, 0),
    }
}

fn credential(row: &Block) -> Credential {
    match row.word(SHAPE) >> CREDENTIAL_FROM {
        1 => Credential::Key(KeyId(row.word(KEY))),
        2 => Credential::Token,
        3 => Credential::Pull,
        4 => Credential::Stopgap,
        _ => Credential::Open,
    }
}
