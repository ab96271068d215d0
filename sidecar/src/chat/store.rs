//! The messages, bans and the key for address hashes on disk. One thread writes them.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use weir_model::Timestamp;

use super::room::{AddressMark, Ban, HISTORY, Message};
use crate::database::{self, Schema};
use crate::streams::StreamId;

/// Most changes that wait for the disk.
const WAITING: usize = 4096;
/// Interval between removals of old messages.
const SWEEP: Duration = Duration::from_secs(3600);

const SCHEMA: Schema = Schema { what: "chat", migrations: &[FIRST, SECOND, THIRD] };
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

/// By which a node of a pair knows the file again.
const THIRD: &str = "CREATE TABLE mark (only INTEGER PRIMARY KEY CHECK (only = 1), value TEXT NOT NULL);";

/// A change to write.
#[derive(Debug)]
pub(super) enum Change {
    Said(StreamId, Message),
    Deleted(StreamId, String),
    /// Removes all messages of a name, in lower case.
    Cleared(StreamId, String),
    Banned(StreamId, Ban, Timestamp),
    Forgiven(StreamId, String),
    /// The file has another mark.
    Marked(String),
}

/// Channel to the writing thread, and a connection for reading.
#[derive(Debug)]
pub(super) struct Store {
    changes: SyncSender<Change>,
    reader: Connection,
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
        let failed = |why| database::Error::Sqlite { path: file.into(), why };
        let database = database::open(file, SCHEMA)?;
        database
            .execute("INSERT OR IGNORE INTO key (only, value) VALUES (1, ?1)", params![fresh.as_slice()])
            .map_err(failed)?;
        let key = database.query_row("SELECT value FROM key", [], |row| row.get(0)).map_err(failed)?;
        let reader = database::open_to_read(file)?;
        let mark = database.query_row("SELECT value FROM mark", [], |row| row.get(0)).optional();
        let mark = Arc::new(Mutex::new(mark.map_err(failed)?));
        let (of_thread, (changes, received)) = (mark.clone(), sync_channel(WAITING));
        let place = file.to_owned();
        std::thread::Builder::new()
            .name("weir-chat".into())
            .spawn(move || write(&database, &received, keep, &place, &of_thread))
            .map_err(|why| database::Error::File { path: file.into(), why })?;
        Ok((Self { changes, reader, mark }, key))
    }

    /// By which a node of a pair knows the file again.
    pub(super) fn mark(&self) -> Option<String> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Queues a change without waiting. If the queue is full, the change is not stored.
    pub(super) fn put(&self, change: Change) {
        let _ = self.changes.try_send(change);
    }

    /// Returns the last messages of a room, the oldest first, and its bans.
    pub(super) fn room(&self, (app, stream): &StreamId) -> rusqlite::Result<(Vec<Message>, Vec<Ban>)> {
        let mut newest = self.reader.prepare_cached(
            "SELECT id, name, text, at, verified, moderator FROM messages WHERE app = ?1 AND stream = ?2 ORDER BY at DESC LIMIT ?3",
        )?;
        let found = newest.query_map(params![app.as_str(), stream.as_str(), HISTORY as i64], |row| {
            Ok(Message {
                id: row.get(0)?,
                name: row.get(1)?,
                text: row.get(2)?,
                at: Timestamp::from_millis(u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default()),
                verified: row.get(4)?,
                moderator: row.get(5)?,
            })
        })?;
        let mut messages: Vec<Message> = found.collect::<Result<_, _>>()?;
        messages.reverse();
        let mut bans = self
            .reader
            .prepare_cached("SELECT name, mark, verified FROM bans WHERE app = ?1 AND stream = ?2")?;
        let bans = bans.query_map(params![app.as_str(), stream.as_str()], ban)?;
        Ok((messages, bans.collect::<Result<_, _>>()?))
    }

    /// Returns all bans of all rooms.
    pub(super) fn bans(&self) -> rusqlite::Result<Vec<(StreamId, Ban)>> {
        let mut all = self.reader.prepare_cached("SELECT name, mark, verified, app, stream FROM bans")?;
        let bans =
            all.query_map([], |row| Ok((row.get::<_, String>(3)?, row.get::<_, String>(4)?, ban(row)?)))?;
        let bans: Vec<_> = bans.collect::<Result<_, _>>()?;
        let of = |(app, stream, ban): (String, String, Ban)| {
            Some(((app.parse().ok()?, stream.parse().ok()?), ban))
        };
        Ok(bans.into_iter().filter_map(of).collect())
    }

    /// Returns the rooms that have bans.
    pub(super) fn rooms_with_bans(&self) -> rusqlite::Result<Vec<StreamId>> {
        let mut rooms = self.reader.prepare_cached("SELECT DISTINCT app, stream FROM bans")?;
        let rooms = rooms.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        let rooms: Vec<_> = rooms.collect::<Result<_, _>>()?;
        let id = |(app, stream): (String, String)| Some((app.parse().ok()?, stream.parse().ok()?));
        Ok(rooms.into_iter().filter_map(id).collect())
    }

    /// Returns whether a message with this id is stored for a room.
    pub(super) fn knows(&self, (app, stream): &StreamId, id: &str) -> rusqlite::Result<bool> {
        let mut one = self
            .reader
            .prepare_cached("SELECT 1 FROM messages WHERE id = ?1 AND app = ?2 AND stream = ?3")?;
        Ok(one.query_row([id, app.as_str(), stream.as_str()], |_| Ok(())).optional()?.is_some())
    }
}

/// Reads a ban from a row that begins with the name, the mark and whether the name is verified.
fn ban(row: &rusqlite::Row<'_>) -> rusqlite::Result<Ban> {
    let mark: Option<Vec<u8>> = row.get(1)?;
    let mark = mark.and_then(|mark| AddressMark::try_from(mark).ok());
    Ok(Ban { name: row.get(0)?, mark, is_verified: row.get(2)? })
}

fn write(
    database: &Connection,
    changes: &Receiver<Change>,
    keep: Duration,
    file: &PathBuf,
    mark: &Mutex<Option<String>>,
) {
    loop {
        let result = match changes.recv_timeout(SWEEP) {
            Ok(Change::Marked(new)) => {
                let sql = "INSERT OR REPLACE INTO mark (only, value) VALUES (1, ?1)";
                database.execute(sql, [&new]).map(|_| {
                    *mark.lock().unwrap_or_else(PoisonError::into_inner) = Some(new);
                })
            }
            Ok(change) => apply(database, &change),
            Err(RecvTimeoutError::Timeout) => sweep(database, keep),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Err(error) = result {
            tracing::error!("chat not written: {error}, file: {file:?}");
        }
    }
}

fn apply(database: &Connection, change: &Change) -> rusqlite::Result<()> {
    let millis = |at: Timestamp| i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
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
        Change::Cleared((app, stream), name) => {
            let mut theirs =
                database.prepare("SELECT id, name FROM messages WHERE app = ?1 AND stream = ?2")?;
            let theirs: Vec<(String, String)> = theirs
                .query_map(params![app.as_str(), stream.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            // SQLite's lower() handles ASCII only.
            for (id, _) in theirs.iter().filter(|(_, by)| by.to_lowercase() == *name) {
                database.execute("DELETE FROM messages WHERE id = ?1", [id])?;
            }
            Ok(0)
        }
        Change::Banned((app, stream), ban, at) => database.execute(
            "INSERT OR REPLACE INTO bans VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                app.as_str(),
                stream.as_str(),
                ban.name,
                ban.mark.map(|mark| mark.to_vec()),
                millis(*at),
                ban.is_verified
            ],
        ),
        Change::Forgiven((app, stream), name) => database.execute(
            "DELETE FROM bans WHERE app = ?1 AND stream = ?2 AND name = ?3",
            params![app.as_str(), stream.as_str(), name],
        ),
        // See `write`.
        Change::Marked(_) => Ok(0),
    }
    .map(drop)
}

fn sweep(database: &Connection, keep: Duration) -> rusqlite::Result<()> {
    let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
    let oldest = crate::clock::now().as_millis().saturating_sub(keep);
    database
        .execute("DELETE FROM messages WHERE at < ?1", [i64::try_from(oldest).unwrap_or(i64::MAX)])
        .map(drop)
}
