//! The messages, bans and the key for address hashes on disk. One thread writes them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};
use weir_model::Timestamp;
use weir_model::front::ChatMessage;

use super::room::{Ban, HISTORY};
use crate::clock;
use crate::database::{self, Schema};
use crate::streams::StreamId;

/// Most changes that wait for the disk, if the next one is a message. A change of a moderator is always stored.
pub(super) const WAITING: usize = 4096;
/// Time after which the writer tries a moderator's change again that the disk refused.
const AGAIN: Duration = Duration::from_secs(5);
/// Interval between removals of old messages.
const SWEEP: Duration = Duration::from_secs(3600);

const SCHEMA: Schema = Schema { what: "chat", migrations: &[FIRST, SECOND, THIRD, FOURTH] };
const FIRST: &str = "
CREATE TABLE messages (
    id TEXT PRIMARY KEY, app TEXT NOT NULL, stream TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, at INTEGER NOT NULL,
    verified INTEGER NOT NULL, moderator INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX messages_by_room ON messages (app, stream, at);
CREATE INDEX messages_by_time ON messages (at);
CREATE TABLE bans (
    app TEXT NOT NULL, stream TEXT NOT NULL, name TEXT NOT NULL, mark BLOB, at INTEGER NOT NULL,
    PRIMARY KEY (app, stream, name)
) WITHOUT ROWID;
CREATE TABLE key (only INTEGER PRIMARY KEY CHECK (only = 1), value BLOB NOT NULL);
";

/// 1 for a name given by a token, 0 for a freely chosen name, NULL in bans of older versions.
const SECOND: &str = "ALTER TABLE bans ADD COLUMN verified INTEGER;";

/// Mark by which a node of a pair recognizes the file.
const THIRD: &str = "CREATE TABLE mark (only INTEGER PRIMARY KEY CHECK (only = 1), value TEXT NOT NULL);";

/// Time-outs, with the milliseconds since 1970 of their end, and the slow modes that moderators have set, in seconds.
const FOURTH: &str = "
CREATE TABLE timeouts (
    app TEXT NOT NULL, stream TEXT NOT NULL, name TEXT NOT NULL, mark BLOB, verified INTEGER, until INTEGER NOT NULL,
    PRIMARY KEY (app, stream, name)
) WITHOUT ROWID;
CREATE TABLE slow (app TEXT NOT NULL, stream TEXT NOT NULL, seconds INTEGER NOT NULL, PRIMARY KEY (app, stream)) WITHOUT ROWID;
";

/// A change to write.
#[derive(Debug)]
pub(super) enum Change {
    Said(StreamId, ChatMessage),
    Deleted(StreamId, String),
    /// Removes all messages of those whom the ban fits by name.
    Cleared(StreamId, Ban),
    Banned(StreamId, Ban, Timestamp),
    Forgiven(StreamId, String),
    /// A time-out, with its end.
    TimedOut(StreamId, Ban, Timestamp),
    /// The end of a time-out.
    Heard(StreamId, String),
    /// A minimum time between two messages, or `None` for that of the settings.
    Slowed(StreamId, Option<Duration>),
    /// The file has another mark. All earlier changes of moderators are in the file before it.
    Marked(String),
}

/// Channel to the writing thread, and a connection for reading.
#[derive(Debug)]
pub(super) struct Store {
    changes: Sender<Change>,
    /// Number of changes that wait for the disk.
    waiting: Arc<AtomicUsize>,
    reader: Reader,
    /// As it is on the disk.
    mark: Arc<Mutex<Option<String>>>,
}

impl Store {
    /// Opens the file. Also returns the key for address hashes.
    pub(super) fn open(
        file: &Path,
        keep: Duration,
        fresh: [u8; 32],
    ) -> Result<(Self, Vec<u8>), database::Error> {
        Self::open_with(file, keep, SWEEP, fresh)
    }

    fn open_with(
        file: &Path,
        keep: Duration,
        interval: Duration,
        fresh: [u8; 32],
    ) -> Result<(Self, Vec<u8>), database::Error> {
        let failed = |why| database::Error::Sqlite { path: file.into(), why };
        let database = database::open(file, SCHEMA)?;
        let reader = Reader(Arc::new(Mutex::new(database::open_to_read(file)?)));
        // The file may be locked or the disk full: only a new file needs to be written to at once.
        let key = match reader.key().optional().map_err(failed)? {
            Some(key) => key,
            None => {
                let sql = "INSERT OR IGNORE INTO key (only, value) VALUES (1, ?1)";
                database.execute(sql, params![fresh.as_slice()]).map_err(failed)?;
                reader.key().map_err(failed)?
            }
        };
        let mark = Arc::new(Mutex::new(reader.mark().map_err(failed)?));
        let (changes, received) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = Writer {
            database,
            file: file.to_owned(),
            mark: mark.clone(),
            waiting: waiting.clone(),
            keep,
            interval,
            refused: VecDeque::new(),
            next_try: Instant::now(),
        };
        std::thread::Builder::new()
            .name("weir-chat".into())
            .spawn(move || writer.run(&received))
            .map_err(|why| database::Error::File { path: file.into(), why })?;
        Ok((Self { changes, waiting, reader, mark }, key))
    }

    /// Opens a file that cannot be written to, such as one on a full disk.
    pub(super) fn look(file: &Path) -> Result<Reader, database::Error> {
        Ok(Reader(Arc::new(Mutex::new(database::open_still(file)?))))
    }

    /// Returns a reader for another thread.
    pub(super) fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Mark by which a node of a pair recognizes the file.
    pub(super) fn mark(&self) -> Option<String> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Queues a change without waiting. If too many changes wait, a message is not stored.
    pub(super) fn put(&self, change: Change) {
        if matches!(change, Change::Said(..)) && self.waiting.load(Ordering::Relaxed) >= WAITING {
            return;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // The writer ends with this sender.
        let _ = self.changes.send(change);
    }
}

/// Reads the file. Each call blocks while the disk is read.
#[derive(Clone, Debug)]
pub(super) struct Reader(Arc<Mutex<Connection>>);

impl Reader {
    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the key for address hashes.
    pub(super) fn key(&self) -> rusqlite::Result<Vec<u8>> {
        self.lock().query_row("SELECT value FROM key", [], |row| row.get(0))
    }

    /// Returns the mark by which a node of a pair recognizes the file.
    pub(super) fn mark(&self) -> rusqlite::Result<Option<String>> {
        self.lock().query_row("SELECT value FROM mark", [], |row| row.get(0)).optional()
    }

    /// Returns the last messages of a room, the oldest first.
    pub(super) fn messages(&self, (app, stream): &StreamId) -> rusqlite::Result<Vec<ChatMessage>> {
        let reader = self.lock();
        let mut newest = reader.prepare_cached(
            "SELECT id, name, text, at, verified, moderator FROM messages WHERE app = ?1 AND stream = ?2 ORDER BY at DESC, id DESC LIMIT ?3",
        )?;
        let found = newest.query_map(params![app.as_str(), stream.as_str(), HISTORY as i64], message_of)?;
        let mut messages: Vec<ChatMessage> = found.collect::<Result<_, _>>()?;
        messages.reverse();
        Ok(messages)
    }

    /// Returns all bans of all rooms.
    pub(super) fn bans(&self) -> rusqlite::Result<Vec<(StreamId, Ban)>> {
        let reader = self.lock();
        let mut all = reader.prepare_cached("SELECT name, mark, verified, app, stream FROM bans")?;
        let bans =
            all.query_map([], |row| Ok((row.get::<_, String>(3)?, row.get::<_, String>(4)?, ban(row)?)))?;
        let bans: Vec<_> = bans.collect::<Result<_, _>>()?;
        let of = |(app, stream, ban): (String, String, Ban)| {
            Some(((app.parse().ok()?, stream.parse().ok()?), ban))
        };
        Ok(bans.into_iter().filter_map(of).collect())
    }

    /// Returns the time-outs that end after `now`, with their ends.
    pub(super) fn time_outs(&self, now: Timestamp) -> rusqlite::Result<Vec<(StreamId, Ban, Timestamp)>> {
        let sql = "SELECT name, mark, verified, app, stream, until FROM timeouts WHERE until > ?1";
        let reader = self.lock();
        let mut all = reader.prepare_cached(sql)?;
        let found = all.query_map([millis(now)], |row| {
            let until = u64::try_from(row.get::<_, i64>(5)?).unwrap_or_default();
            Ok((row.get::<_, String>(3)?, row.get::<_, String>(4)?, ban(row)?, until))
        })?;
        let found: Vec<_> = found.collect::<Result<_, _>>()?;
        let of = |(app, stream, ban, until): (String, String, Ban, u64)| {
            Some(((app.parse().ok()?, stream.parse().ok()?), ban, Timestamp::from_millis(until)))
        };
        Ok(found.into_iter().filter_map(of).collect())
    }

    /// Returns the slow modes that moderators have set.
    pub(super) fn slow(&self) -> rusqlite::Result<Vec<(StreamId, Duration)>> {
        let reader = self.lock();
        let mut all = reader.prepare_cached("SELECT app, stream, seconds FROM slow")?;
        let found = all.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
        })?;
        let found: Vec<_> = found.collect::<Result<_, _>>()?;
        let of = |(app, stream, seconds): (String, String, i64)| {
            let seconds = seconds.clamp(0, u32::MAX.into()).unsigned_abs();
            Some(((app.parse().ok()?, stream.parse().ok()?), Duration::from_secs(seconds)))
        };
        Ok(found.into_iter().filter_map(of).collect())
    }

    /// Returns the message with this id, if it is stored for a room.
    pub(super) fn message(
        &self,
        (app, stream): &StreamId,
        id: &str,
    ) -> rusqlite::Result<Option<ChatMessage>> {
        let reader = self.lock();
        let mut one = reader.prepare_cached(
            "SELECT id, name, text, at, verified, moderator FROM messages WHERE id = ?1 AND app = ?2 AND stream = ?3",
        )?;
        one.query_row([id, app.as_str(), stream.as_str()], message_of).optional()
    }
}

/// Reads a ban from a row that begins with the name, the marks, one after another, and whether the name is verified.
fn ban(row: &rusqlite::Row<'_>) -> rusqlite::Result<Ban> {
    let marks: Vec<u8> = row.get::<_, Option<_>>(1)?.unwrap_or_default();
    Ok(Ban { name: row.get(0)?, marks: marks.as_chunks().0.to_vec(), is_verified: row.get(2)? })
}

/// Returns the marks of a ban as they are in the file.
fn marks(ban: &Ban) -> Option<Vec<u8>> {
    (!ban.marks.is_empty()).then(|| ban.marks.concat())
}

/// The thread that writes.
struct Writer {
    database: Connection,
    file: PathBuf,
    mark: Arc<Mutex<Option<String>>>,
    waiting: Arc<AtomicUsize>,
    /// Time for which messages are stored.
    keep: Duration,
    /// Interval between removals of old messages.
    interval: Duration,
    /// Changes of moderators that the disk refused, the oldest first, and the messages that wait for them.
    refused: VecDeque<Change>,
    /// Time of the next attempt to write them.
    next_try: Instant,
}

impl Writer {
    fn run(mut self, changes: &Receiver<Change>) {
        let mut next_sweep = Instant::now() + self.interval;
        loop {
            let next = if self.refused.is_empty() { next_sweep } else { next_sweep.min(self.next_try) };
            match changes.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(change) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    let done = self.take(change);
                    self.check(done);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // In a busy chat, the wait never times out.
            let now = Instant::now();
            if !self.refused.is_empty() && now >= self.next_try {
                let done = self.again();
                self.check(done);
            }
            if now >= next_sweep {
                next_sweep = now + self.interval;
                self.check(sweep(&self.database, self.keep));
            }
        }
    }

    fn check(&self, done: rusqlite::Result<()>) {
        if let Err(error) = done {
            tracing::error!("chat not written: {error}, file: {:?}", self.file);
        }
    }

    /// Writes a change. Changes of moderators keep their order, because a mark says that all earlier ones are in the file. A message waits
    /// for an earlier change that would remove it.
    fn take(&mut self, change: Change) -> rusqlite::Result<()> {
        if let Change::Said(id, message) = &change {
            if !self.refused.iter().any(|earlier| removes(earlier, id, message)) {
                return apply(&self.database, &change);
            }
            if self.refused.len() >= WAITING {
                return Ok(());
            }
        }
        self.refused.push_back(change);
        self.again()
    }

    fn again(&mut self) -> rusqlite::Result<()> {
        self.next_try = Instant::now() + AGAIN;
        while let Some(change) = self.refused.front() {
            apply(&self.database, change)?;
            if let Some(Change::Marked(new)) = self.refused.pop_front() {
                *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = Some(new);
            }
        }
        Ok(())
    }
}

/// Reads the columns `id, name, text, at, verified, moderator`.
fn message_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<ChatMessage> {
    Ok(ChatMessage {
        id: row.get(0)?,
        name: row.get(1)?,
        text: row.get(2)?,
        at: Timestamp::from_millis(u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default()),
        verified: row.get(4)?,
        moderator: row.get(5)?,
    })
}

/// Returns whether a change removes this message from the file.
fn removes(change: &Change, of: &StreamId, message: &ChatMessage) -> bool {
    match change {
        Change::Deleted(id, which) => id == of && *which == message.id,
        Change::Cleared(id, ban) => id == of && ban.is_of(message),
        _ => false,
    }
}

/// Returns a time as it is in the file.
fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

fn apply(database: &Connection, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Said((app, stream), message) => database
            .prepare_cached("INSERT OR IGNORE INTO messages VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
            .execute(params![
                message.id,
                app.as_str(),
                stream.as_str(),
                message.name,
                message.text,
                millis(message.at),
                message.verified,
                message.moderator
            ]),
        Change::Deleted((app, stream), id) => database.execute(
            "DELETE FROM messages WHERE id = ?1 AND app = ?2 AND stream = ?3",
            [id, app.as_str(), stream.as_str()],
        ),
        Change::Cleared((app, stream), ban) => {
            let columns = "SELECT id, name, text, at, verified, moderator";
            let mut all =
                database.prepare(&format!("{columns} FROM messages WHERE app = ?1 AND stream = ?2"))?;
            let all: Vec<ChatMessage> =
                all.query_map([app.as_str(), stream.as_str()], message_of)?.collect::<Result<_, _>>()?;
            // SQLite's lower() handles ASCII only.
            for message in all.iter().filter(|message| ban.is_of(message)) {
                database.execute("DELETE FROM messages WHERE id = ?1", [&message.id])?;
            }
            Ok(0)
        }
        Change::Banned((app, stream), ban, at) => database.execute(
            "INSERT OR REPLACE INTO bans VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![app.as_str(), stream.as_str(), ban.name, marks(ban), millis(*at), ban.is_verified],
        ),
        Change::Forgiven((app, stream), name) => database.execute(
            "DELETE FROM bans WHERE app = ?1 AND stream = ?2 AND name = ?3",
            params![app.as_str(), stream.as_str(), name],
        ),
        Change::TimedOut((app, stream), ban, until) => database.execute(
            "INSERT OR REPLACE INTO timeouts VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![app.as_str(), stream.as_str(), ban.name, marks(ban), ban.is_verified, millis(*until)],
        ),
        Change::Heard((app, stream), name) => database.execute(
            "DELETE FROM timeouts WHERE app = ?1 AND stream = ?2 AND name = ?3",
            params![app.as_str(), stream.as_str(), name],
        ),
        Change::Slowed((app, stream), Some(span)) => database.execute(
            "INSERT OR REPLACE INTO slow VALUES (?1, ?2, ?3)",
            params![app.as_str(), stream.as_str(), i64::try_from(span.as_secs()).unwrap_or(i64::MAX)],
        ),
        Change::Slowed((app, stream), None) => database.execute(
            "DELETE FROM slow WHERE app = ?1 AND stream = ?2",
            params![app.as_str(), stream.as_str()],
        ),
        Change::Marked(new) => {
            database.execute("INSERT OR REPLACE INTO mark (only, value) VALUES (1, ?1)", [new])
        }
    }
    .map(drop)
}

fn sweep(database: &Connection, keep: Duration) -> rusqlite::Result<()> {
    let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
    let now = clock::now();
    let oldest = Timestamp::from_millis(now.as_millis().saturating_sub(keep));
    database.execute("DELETE FROM timeouts WHERE until <= ?1", [millis(now)])?;
    database.execute("DELETE FROM messages WHERE at < ?1", [millis(oldest)]).map(drop)
}

#[cfg(test)]
mod tests;
