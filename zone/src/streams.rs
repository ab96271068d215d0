//! Live streams: a row a publisher, claimed before nginx-rtmp sees the publish and released when it closes.

use weir_model::{KeyId, Timestamp, verdict::Credential};

use crate::{
    Locked, Mutex, WorkerId, Zone, ZoneFull,
    block::{Block, Index, Kind},
    lock::hash_bytes,
};

const SESSION: usize = 2;
const SINCE: usize = 3;
const KEY: usize = 4;
const SHAPE: usize = 5;
const OWNER: usize = 6;
const LAST_MEDIA: usize = 7;
const BYTES_IN: usize = 8;
const ORDER: usize = 9;

/// A publisher that wants a stream.
#[derive(Debug, Clone)]
pub struct NewStream<'a> {
    /// Application.
    pub app: &'a str,
    /// Public name of the stream.
    pub name: &'a str,
    /// What opened it.
    pub credential: Credential,
    /// Address of the publisher as text.
    pub addr: &'a str,
    /// The worker that has the connection.
    pub worker: WorkerId,
}

/// The row of one publish, told from a later one in the same place by its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamId {
    place: Index,
    session: u64,
}

impl StreamId {
    /// Number of the session, unique as long as the zone lives.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.session
    }
}

/// What a claim found.
#[derive(Debug, Clone)]
pub enum Claim {
    /// The name was free and is now the caller's.
    Taken(StreamId),
    /// Somebody is live under the name.
    Live(LiveStream),
}

/// What the zone knows of a live stream.
#[derive(Debug, Clone)]
pub struct LiveStream {
    /// Its row.
    pub id: StreamId,
    /// Application.
    pub app: String,
    /// Public name.
    pub name: String,
    /// What opened it.
    pub credential: Credential,
    /// Address of the publisher.
    pub addr: String,
    /// Process id of the worker that has the connection.
    pub worker_pid: u32,
    /// When it was claimed.
    pub since: Timestamp,
    /// When its publisher last sent audio or video; `since` before the first.
    pub last_media: Timestamp,
    /// Bytes of audio and video received.
    pub bytes_in: u64,
}

/// The row of one live stream, for the worker that owns it. No lock is taken.
#[derive(Clone, Copy)]
pub struct StreamRow<'z> {
    block: &'z Block,
}

impl StreamRow<'_> {
    /// A message of audio or video arrived.
    pub fn media(&self, now: Timestamp, bytes: u64) {
        self.block.set(LAST_MEDIA, now.as_millis());
        self.block.add(BYTES_IN, bytes);
    }

    /// Its worker was told to close the publisher.
    #[must_use]
    pub fn is_ordered_to_close(&self) -> bool {
        self.block.word(ORDER) != 0
    }
}

impl<'z, M: Mutex> Zone<'z, M> {
    /// The row of a stream that the calling worker owns.
    pub fn row(&self, id: StreamId) -> Option<StreamRow<'z>> {
        let block = self.block(id.place)?;
        (block.kind() == Kind::Stream && block.word(SESSION) == id.session).then_some(StreamRow { block })
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Claims a name, unless somebody alive has it. `alive` asks the kernel about a process id.
    pub fn claim(
        &self,
        new: &NewStream<'_>,
        now: Timestamp,
        alive: impl Fn(u32) -> bool,
    ) -> Result<Claim, ZoneFull> {
        let hash = name_hash(new.app, new.name);
        if let Some((place, row)) = self.find_row(hash, new) {
            match self.zone.owner_pid(owner(row)) {
                Some(pid) if alive(pid) => return Ok(Claim::Live(self.read_stream(place, row, pid))),
                _ => self.remove(hash, place),
            }
        }
        let session = self.next_session();
        let text = [new.app.as_bytes(), new.name.as_bytes(), new.addr.as_bytes()].concat();
        let place = self.insert(Kind::Stream, hash, &text, 0, |row| {
            row.set(SESSION, session);
            row.set(SINCE, now.as_millis());
            row.set(LAST_MEDIA, now.as_millis());
            row.set(OWNER, new.worker.to_word());
            let (kind, key) = credential_words(new.credential);
            row.set(KEY, key);
            let lengths = [new.app.len(), new.name.len(), new.addr.len()];
            row.set(SHAPE, lengths.iter().fold(kind, |shape, len| shape << 8 | (*len as u64 & 0xff)));
        })?;
        Ok(Claim::Taken(StreamId { place, session }))
    }

    /// Gives a name back.
    pub fn release(&self, id: StreamId) {
        if let Some(row) = self.zone.block(id.place)
            && row.kind() == Kind::Stream
            && row.word(SESSION) == id.session
        {
            self.remove(self.stream_hash(row), id.place);
        }
    }

    /// Every live stream of a worker that is alive, by application and name.
    #[must_use]
    pub fn streams(&self, alive: impl Fn(u32) -> bool) -> Vec<LiveStream> {
        let rows = self.records(Kind::Stream).filter_map(|(place, row)| {
            let pid = self.zone.owner_pid(owner(row)).filter(|pid| alive(*pid))?;
            Some(self.read_stream(place, row, pid))
        });
        let mut streams: Vec<LiveStream> = rows.collect();
        streams.sort_by(|a, b| (&a.app, &a.name).cmp(&(&b.app, &b.name)));
        streams
    }

    /// Orders the worker of a stream to close its publisher. Returns whether it was still there.
    pub fn order_close(&self, id: StreamId) -> bool {
        let row = self.zone.row(id);
        if let Some(row) = row {
            row.block.set(ORDER, 1);
            self.order();
        }
        row.is_some()
    }

    /// Orders the workers of all streams that a key opened to close the publisher. Returns how many.
    pub fn order_close_key(&self, id: KeyId) -> usize {
        let wanted = credential_words(Credential::Key(id));
        let rows = self.records(Kind::Stream);
        let own = rows.filter(|(_, row)| (row.word(SHAPE) >> 24, row.word(KEY)) == wanted);
        let ordered = own.map(|(_, row)| row.set(ORDER, 1)).count();
        if ordered > 0 {
            self.order();
        }
        ordered
    }

    pub(crate) fn stream_hash(&self, row: &Block) -> u64 {
        let (app, name, _) = self.row_text(row);
        name_hash(&app, &name)
    }

    fn find_row(&self, hash: u64, new: &NewStream<'_>) -> Option<(Index, &Block)> {
        self.chain(hash).find(|(_, row)| {
            row.kind() == Kind::Stream && {
                let (app, name, _) = self.row_text(row);
                app == new.app && name == new.name
            }
        })
    }

    fn next_session(&self) -> u64 {
        use std::sync::atomic::Ordering::Relaxed;
        self.zone.root.next_session.fetch_add(1, Relaxed) + 1
    }

    fn row_text(&self, row: &Block) -> (String, String, String) {
        let shape = row.word(SHAPE);
        let [app, name, addr] = [16, 8, 0].map(|shift| (shape >> shift & 0xff) as usize);
        let text = self.text(row, app + name + addr);
        let part = |from: usize, len: usize| {
            String::from_utf8_lossy(text.get(from..from + len).unwrap_or_default()).into_owned()
        };
        (part(0, app), part(app, name), part(app + name, addr))
    }

    fn read_stream(&self, place: Index, row: &Block, worker_pid: u32) -> LiveStream {
        let (app, name, addr) = self.row_text(row);
        LiveStream {
            id: StreamId { place, session: row.word(SESSION) },
            app,
            name,
            credential: credential(row),
            addr,
            worker_pid,
            since: Timestamp::from_millis(row.word(SINCE)),
            last_media: Timestamp::from_millis(row.word(LAST_MEDIA)),
            bytes_in: row.word(BYTES_IN),
        }
    }
}

pub(crate) fn owner(row: &Block) -> u64 {
    row.word(OWNER)
}

fn name_hash(app: &str, name: &str) -> u64 {
    hash_bytes(&[app.as_bytes(), name.as_bytes()])
}

fn credential_words(credential: Credential) -> (u64, u64) {
    match credential {
        Credential::Open => (0, 0),
        Credential::Key(id) => (1, id.0),
        Credential::Token => (2, 0),
        Credential::Pull => (3, 0),
    }
}

fn credential(row: &Block) -> Credential {
    match row.word(SHAPE) >> 24 {
        1 => Credential::Key(KeyId(row.word(KEY))),
        2 => Credential::Token,
        3 => Credential::Pull,
        _ => Credential::Open,
    }
}
