//! SQLite files of the daemon: opens a file, migrates it to the newest schema, and moves a damaged file aside.
//!
//! One thread writes to a file; readers have their own connections. `kill -9` loses uncommitted data and damages nothing
//! (write-ahead log, <https://sqlite.org/wal.html>).
//!
//! - [`rows`]: results of queries; [`csv`]: results as a table for other programs
//!
//! A connection of rusqlite waits 5 seconds for another program that locks the file, such as a backup. Debian 12 has SQLite 3.40,
//! which lacks `sqlite3_set_clientdata`: `busy_timeout`, hooks and traces of rusqlite need that function, so Weir does not use
//! them.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::{clock, files};

pub(crate) mod csv;
pub(crate) mod rows;

/// Suffixes of the files that belong to a database.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// Schema of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    /// Name for log lines, such as `history`.
    pub what: &'static str,
    /// SQL that migrates from each version to the next; the first entry creates the tables. New entries are only appended.
    pub migrations: &'static [&'static str],
}

/// Error that makes a file unusable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The operating system refused an operation.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Message of the operating system.
        why: io::Error,
    },
    /// SQLite returned an error.
    #[error("{}: {why}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        why: rusqlite::Error,
    },
    /// The pages of the file are inconsistent.
    #[error("{}: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// First inconsistency that SQLite found.
        why: String,
    },
    /// A newer Weir wrote the file.
    #[error("{}: a newer weir wrote it: schema {found}, this weir knows {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Schema version of the file.
        found: usize,
        /// Newest schema version that this Weir knows.
        known: usize,
    },
}

impl Error {
    fn is_damage(&self) -> bool {
        match self {
            Self::Sqlite { why, .. } => is_damage(why),
            Self::Damaged { .. } => true,
            Self::File { .. } | Self::Newer { .. } => false,
        }
    }
}

/// Returns whether SQLite found that the file is damaged or is no database.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Opens a file for its writer, and creates it if it does not exist. A damaged file is moved aside, with one line in the log.
pub(crate) fn open(path: &Path, schema: Schema) -> Result<Connection, Error> {
    let failed = |why| Error::File { path: path.into(), why };
    if let Some(folder) = path.parent() {
        files::SHARED.make_folder(folder).map_err(failed)?;
    }
    match open_whole(path, schema) {
        Err(error) if error.is_damage() => {
            let aside = set_aside(path).map_err(failed)?;
            tracing::error!(
                "{} damaged: {error}; the file is now {}, and a new {} begins",
                schema.what,
                aside.display(),
                schema.what
            );
            open_whole(path, schema)
        }
        opened => opened,
    }
}

/// Opens a file for a reader.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, Error> {
    let failed = |why| Error::Sqlite { path: path.into(), why };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(failed)
}

/// Opens a file for a reader, also if nobody can write to its folder or the disk is full.
pub(crate) fn open_still(path: &Path) -> Result<Connection, Error> {
    let failed = |why| Error::Sqlite { path: path.into(), why };
    let database = open_to_read(path)?;
    let read = database.pragma_query_value(None, "schema_version", |row| row.get::<_, i64>(0));
    let Err(why) = read else { return Ok(database) };
    // SQLite cannot create the `-shm` file. Without changes in a `-wal` file, a reader does not need it (https://sqlite.org/wal.html#readonly).
    let is_unwritable = matches!(
        why.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::DiskFull)
    );
    let has_changes = std::fs::metadata(with(path, "-wal")).is_ok_and(|log| log.len() > 0);
    if !is_unwritable || has_changes {
        return Err(failed(why));
    }
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.push(char::from(*byte))
            }
            byte => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(uri, flags).map_err(failed)
}

fn open_whole(path: &Path, schema: Schema) -> Result<Connection, Error> {
    // The contents are private; SQLite gives the `-wal` and `-shm` files the same mode.
    files::PRIVATE.open_or_create(path).map_err(|why| Error::File { path: path.into(), why })?;
    let failed = |why| Error::Sqlite { path: path.into(), why };
    let mut database = Connection::open(path).map_err(failed)?;
    prepare(&mut database, path, schema).map_err(|error| match error {
        Prepare::Sqlite(why) => failed(why),
        Prepare::Other(error) => error,
    })?;
    Ok(database)
}

enum Prepare {
    Sqlite(rusqlite::Error),
    Other(Error),
}

impl From<rusqlite::Error> for Prepare {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn prepare(database: &mut Connection, path: &Path, schema: Schema) -> Result<(), Prepare> {
    let version: u32 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let version = version as usize;
    if version == 0 {
        // SQLite accepts this setting only before the first table exists.
        database.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    database.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    database.pragma_update(None, "synchronous", "NORMAL")?;
    let found: String = database.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(Prepare::Other(Error::Damaged { path: path.into(), why: found }));
    }
    let known = schema.migrations.len();
    if version > known {
        return Err(Prepare::Other(Error::Newer { path: path.into(), found: version, known }));
    }
    for (number, migration) in (1_u32..).zip(schema.migrations).skip(version) {
        let step = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step.execute_batch(migration)?;
        step.pragma_update(None, "user_version", number)?;
        step.commit()?;
    }
    Ok(())
}

/// Returns the path of a file that belongs to a database.
fn with(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    PathBuf::from(name)
}

/// Moves a file and its `-wal` and `-shm` files; returns the new name.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = with(path, &format!(".damaged-{}", clock::next_number()));
    for part in PARTS {
        match std::fs::rename(with(path, part), with(&aside, part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Schema = Schema { what: "test", migrations: &["CREATE TABLE a (x INTEGER)"] };
    const TWO: Schema = Schema {
        what: "test",
        migrations: &["CREATE TABLE a (x INTEGER)", "ALTER TABLE a ADD COLUMN y TEXT"],
    };

    fn files_in(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_is_brought_to_the_newest_version_and_keeps_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/file.db");
        open(&path, ONE).unwrap().execute("INSERT INTO a VALUES (7)", []).unwrap();
        let database = open(&path, TWO).unwrap();
        let row = database.query_row("SELECT x, y FROM a", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
        });
        assert_eq!(row.unwrap(), (7, None));
        drop(database);
        let newer = open(&path, ONE).unwrap_err();
        assert!(matches!(newer, Error::Newer { found: 2, known: 1, .. }), "{newer}");
        let count: i64 =
            open_to_read(&path).unwrap().query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 1);
    }

    #[test]
    fn a_file_without_a_place_for_its_parts_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a file?.db");
        open(&path, ONE).unwrap().execute("INSERT INTO a VALUES (7)", []).unwrap();
        // SQLite cannot create this file, as in a folder that nobody can write to.
        let part = with(&path, "-shm");
        std::os::unix::fs::symlink(folder.path().join("none/shm"), &part).unwrap();
        assert!(open(&path, ONE).is_err());
        let read = |database: &Connection| database.query_row("SELECT x FROM a", [], |row| row.get(0));
        assert_eq!(read(&open_still(&path).unwrap()), Ok(7));
        std::fs::remove_file(&part).unwrap();
        let writer = open(&path, ONE).unwrap();
        writer.execute("UPDATE a SET x = 8", []).unwrap();
        assert_eq!(read(&open_still(&path).unwrap()), Ok(8), "a file in use");
        assert!(open_still(&folder.path().join("none.db")).is_err());
    }

    #[test]
    fn a_damaged_file_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.db");
        std::fs::write(&path, "this is no database, and long enough to be looked at as one".repeat(100))
            .unwrap();
        open(&path, ONE).unwrap().execute("INSERT INTO a VALUES (1)", []).unwrap();
        assert_eq!(files_in(folder.path()), 2);
        // Damages pages in the middle of a good file.
        {
            let database = open(&path, ONE).unwrap();
            for n in 0..5000 {
                database.execute("INSERT INTO a VALUES (?1)", [n]).unwrap();
            }
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        let database = open(&path, ONE).unwrap();
        let count: i64 = database.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0);
    }
}
