//! The cost of deleted servers: the provider's list no longer has them, but the budget counts them.
//!
//! There is one file per event. It is also the lock, so that two runs cannot spend the same money. If the file is lost, only the record
//! of the spent money is lost.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use weir_model::Timestamp;

use super::error::Error;
use super::price::{Money, Price};
use super::server::Server;
use crate::files::{self, PRIVATE, durable};

/// A server of the event, existing or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    name: String,
    created: Timestamp,
    /// Time at which the server was last seen.
    until: Timestamp,
    /// A run of `weir fleet` has drained the edge, because it will delete the server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    leaving: bool,
}

/// All servers of an event so far, by the provider's ids.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
    /// The file could not be read, and is not overwritten: it may have the costs so far.
    is_damaged: bool,
    _lock: Option<File>,
}

impl Ledger {
    /// Reads the file of an event without locking it.
    pub(super) fn read(folder: &Path, event: &str, since: Timestamp) -> Result<Self, Error> {
        let path = costs_file(folder, event);
        let failed = |why: String| Error::File { path: path.clone(), why };
        let mut text = String::new();
        match File::open(&path) {
            Ok(mut file) => _ = file.read_to_string(&mut text).map_err(|error| failed(error.to_string()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error.to_string())),
        }
        let mut entries: BTreeMap<String, Entry> = match text.trim() {
            "" => BTreeMap::new(),
            text => {
                serde_json::from_str(text).map_err(|error| failed(format!("{error}: remove the file")))?
            }
        };
        // Older entries belong to an earlier event with this name.
        entries.retain(|_, entry| entry.until >= since);
        Ok(Self { path, entries, is_damaged: false, _lock: None })
    }

    /// Reads the file of an event, and locks it against other runs.
    pub(super) fn lock(folder: &Path, event: &str, since: Timestamp) -> Result<Self, Error> {
        let lock = take(folder, event)?;
        Ok(Self { _lock: Some(lock), ..Self::read(folder, event, since)? })
    }

    /// Locks the file of an event for a run that only deletes servers. A file that cannot be read or created must not keep servers running, so
    /// it causes only a warning.
    ///
    /// # Errors
    ///
    /// Another run has the lock, or may have it.
    pub(super) fn lock_to_delete(folder: &Path, event: &str, since: Timestamp) -> Result<Self, Error> {
        let lock = match take(folder, event) {
            Ok(lock) => Some(lock),
            // No run has a lock that does not exist.
            Err(error @ Error::File { .. }) if matches!(lock_file(folder, event).try_exists(), Ok(false)) => {
                tracing::warn!("{error}");
                None
            }
            Err(error) => return Err(error),
        };
        let read = Self::read(folder, event, since).unwrap_or_else(|error| {
            tracing::warn!("the costs so far are unknown: {error}");
            Self { path: costs_file(folder, event), entries: BTreeMap::new(), is_damaged: true, _lock: None }
        });
        Ok(Self { _lock: lock, ..read })
    }

    /// Records the existing servers. It is called before a server is deleted, so that no server is forgotten, and after it, because
    /// another hour may have begun.
    pub(super) fn observe(&mut self, servers: &[Server], now: Timestamp) -> Result<(), Error> {
        for server in servers {
            let leaving = self.is_leaving(&server.id);
            // The first name stays, for DNS.
            let name = self.name(&server.id).unwrap_or(&server.name).to_owned();
            let entry = Entry { name, created: server.created, until: now, leaving };
            self.entries.insert(server.id.clone(), entry);
        }
        self.write()
    }

    /// Returns the first name of a server.
    pub(super) fn name(&self, id: &str) -> Option<&str> {
        self.entries.get(id).map(|entry| entry.name.as_str())
    }

    /// Records that the edge of a server is drained, because the server will be deleted, or that it is not.
    pub(super) fn set_leaving(&mut self, id: &str, leaving: bool) -> Result<(), Error> {
        match self.entries.get_mut(id) {
            Some(entry) if entry.leaving != leaving => entry.leaving = leaving,
            _ => return Ok(()),
        }
        self.write()
    }

    /// Returns whether a run has drained the edge of a server. A drain by somebody else does not count.
    pub(super) fn is_leaving(&self, id: &str) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.leaving)
    }

    fn write(&self) -> Result<(), Error> {
        if self.is_damaged {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(&self.entries).unwrap_or_default() + "\n";
        let unfinished = self.path.with_extension("json.new");
        match durable::replace(&self.path, &unfinished, PRIVATE.file, text.as_bytes()) {
            Ok(sure) => files::warn_if_uncertain(sure, "the costs of servers", &self.path),
            Err(error) => return Err(Error::File { path: self.path.clone(), why: error.to_string() }),
        }
        Ok(())
    }

    /// Returns the cost of the servers that no longer exist.
    pub(super) fn spent(&self, price: Price, servers: &[Server]) -> Money {
        let is_there = |id: &String| servers.iter().any(|server| server.id == *id);
        let gone = self.entries.iter().filter(|(id, _)| !is_there(id));
        gone.map(|(_, entry)| price.of(entry.created, entry.until)).sum()
    }
}

fn costs_file(folder: &Path, event: &str) -> PathBuf {
    folder.join(format!("{event}.json"))
}

fn lock_file(folder: &Path, event: &str) -> PathBuf {
    folder.join(format!("{event}.lock"))
}

/// Takes the lock of an event.
fn take(folder: &Path, event: &str) -> Result<File, Error> {
    let path = lock_file(folder, event);
    let failed = |error: std::io::Error| Error::File { path: path.clone(), why: error.to_string() };
    let created = PRIVATE.make_folder(folder).and_then(|()| PRIVATE.open_or_create(&path));
    // A file on a disk that has become read-only can still be locked.
    let lock = created.or_else(|error| File::open(&path).map_err(|_| failed(error)))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::Locked(path)),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + hours * 3_600_000)
    }

    #[test]
    fn what_is_gone_is_still_paid_for() {
        let folder = tempfile::tempdir().unwrap();
        let price = Price { hourly: Money(1000), monthly: Money(1_000_000), traffic: None };
        let server = |id: &str| Server {
            id: id.into(),
            name: format!("gala-{id}"),
            created: at(0),
            state: String::new(),
            address: None,
        };
        let mut ledger = Ledger::lock(folder.path(), "gala", at(0)).unwrap();
        ledger.observe(&[server("1"), server("2")], at(2)).unwrap();
        ledger.observe(&[server("1")], at(3)).unwrap();
        assert_eq!(ledger.spent(price, &[server("1")]), Money(2000));
        assert!(matches!(Ledger::lock(folder.path(), "gala", at(0)), Err(Error::Locked(_))));
        drop(ledger);
        let mut again = Ledger::lock(folder.path(), "gala", at(0)).unwrap();
        assert_eq!(again.spent(price, &[]), Money(5000));
        // A later run knows which edges the earlier one has drained.
        again.set_leaving("1", true).unwrap();
        again.observe(&[server("1"), server("2")], at(4)).unwrap();
        drop(again);
        let mut third = Ledger::lock(folder.path(), "gala", at(0)).unwrap();
        assert_eq!(["1", "2", "3"].map(|id| third.is_leaving(id)), [true, false, false]);
        third.set_leaving("1", false).unwrap();
        assert!(!Ledger::read(folder.path(), "gala", at(0)).unwrap().is_leaving("1"));
        assert_eq!(Ledger::read(folder.path(), "gala", at(100)).unwrap().spent(price, &[]), Money(0));
        // The file of the costs is damaged.
        std::fs::write(folder.path().join("gala.json"), "{").unwrap();
        let said = Ledger::read(folder.path(), "gala", at(0)).unwrap_err().to_string();
        assert!(said.contains("gala.json") && said.contains("remove the file"), "{said}");
    }

    #[test]
    fn a_run_that_deletes_needs_no_file_but_respects_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let lock = || Ledger::lock_to_delete(folder.path(), "gala", at(0));
        std::fs::write(folder.path().join("gala.json"), "{").unwrap();
        let mut deleting = lock().unwrap();
        let server = |name: &str| Server {
            id: "1".into(),
            name: name.into(),
            created: at(0),
            state: "running".into(),
            address: None,
        };
        deleting.observe(&[server("gala-1")], at(1)).unwrap();
        deleting.observe(&[server("old-1")], at(2)).unwrap();
        assert_eq!(deleting.name("1"), Some("gala-1"), "the first name stays");
        let text = std::fs::read_to_string(folder.path().join("gala.json")).unwrap();
        assert_eq!(text, "{", "a damaged file is not overwritten");
        assert!(matches!(lock(), Err(Error::Locked(_))));
        drop(deleting);
        // A link into a missing folder can neither be opened nor created, as on a full disk.
        std::fs::remove_file(folder.path().join("gala.lock")).unwrap();
        std::os::unix::fs::symlink("missing/lock", folder.path().join("gala.lock")).unwrap();
        assert!(matches!(Ledger::lock(folder.path(), "gala", at(0)), Err(Error::File { .. })));
        assert!(lock().is_ok());
    }
}
