//! Bans, time-outs and slow modes of all rooms, which the nodes of a pair share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use weir_model::{Digest, Timestamp};

use super::room::Ban;
use super::store::Store;
use crate::clock;
use crate::streams::StreamId;

/// State of the rooms that is the same on both nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Common {
    /// Bans by stream and [`Ban::name`].
    pub bans: BTreeMap<(StreamId, String), Ban>,
    /// Time-outs, with their ends.
    pub time_outs: BTreeMap<(StreamId, String), (Ban, Timestamp)>,
    /// Minimum time between two messages of one person, where a moderator has set it.
    pub slow: BTreeMap<StreamId, Duration>,
}

/// State that both nodes share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Key with which both nodes hash addresses.
    key: OnceLock<[u8; 32]>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Mark of the file; empty if no file is open, or if it was not read.
    mark: String,
    common: Common,
}

/// Returns the time until the end of a time-out.
pub(super) fn left(until: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(until.as_millis().saturating_sub(now.as_millis()))
}

/// Returns the end of a time-out that begins now.
pub(super) fn later(now: Timestamp, span: Duration) -> Timestamp {
    let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_add(span))
}

/// Stores a value, or removes it.
fn set<K: Ord, V>(all: &mut BTreeMap<K, V>, at: K, value: Option<V>) {
    match value {
        Some(value) => drop(all.insert(at, value)),
        None => drop(all.remove(&at)),
    }
}

impl Shared {
    /// Reads the state when a file is open.
    pub(super) fn begin(&self, own_key: &[u8], store: Option<&Store>) {
        let Some(store) = store else { return };
        match read(store) {
            Ok(common) => {
                let mark = Digest::of(own_key).to_hex().chars().take(16).collect();
                *self.lock() = Known { mark, common };
            }
            // Without a mark, the other node does not take the missing bans for lifted ones.
            Err(error) => tracing::error!("chat not read: {error}"),
        }
    }

    pub(super) fn key(&self) -> Option<&[u8; 32]> {
        self.key.get()
    }

    /// Stores a ban, or the end of a ban.
    pub(super) fn note_ban(&self, id: &StreamId, name: &str, ban: Option<Ban>) {
        set(&mut self.lock().common.bans, (id.clone(), name.to_owned()), ban);
    }

    /// Stores a time-out, or the end of a time-out.
    pub(super) fn note_time_out(&self, id: &StreamId, name: &str, time_out: Option<(Ban, Timestamp)>) {
        set(&mut self.lock().common.time_outs, (id.clone(), name.to_owned()), time_out);
    }

    /// Stores the slow mode of a room, or `None` for that of the settings.
    pub(super) fn note_slow(&self, id: &StreamId, slow: Option<Duration>) {
        set(&mut self.lock().common.slow, id.clone(), slow);
    }

    /// Returns the slow mode that a moderator has set for a room.
    pub(super) fn slow(&self, id: &StreamId) -> Option<Duration> {
        self.lock().common.slow.get(id).copied()
    }

    /// Returns the bans and the time-outs of a room.
    pub(super) fn silenced(&self, id: &StreamId) -> (Vec<Ban>, Vec<(Ban, Timestamp)>) {
        let known = self.lock();
        let first = (id.clone(), String::new());
        let of_room = |of: &StreamId| of == id;
        let bans = known.common.bans.range(first.clone()..).take_while(|((of, _), _)| of_room(of));
        let time_outs = known.common.time_outs.range(first..).take_while(|((of, _), _)| of_room(of));
        (bans.map(|(_, ban)| ban.clone()).collect(), time_outs.map(|(_, one)| one.clone()).collect())
    }

    /// Returns the rooms with bans, time-outs or a slow mode.
    pub(super) fn rooms(&self) -> BTreeSet<StreamId> {
        let known = self.lock();
        let Common { bans, time_outs, slow } = &known.common;
        let silenced = bans.keys().chain(time_outs.keys()).map(|(id, _)| id);
        let slow = slow.iter().filter(|(_, slow)| !slow.is_zero()).map(|(id, _)| id);
        silenced.chain(slow).cloned().collect()
    }

    /// Forgets the time-outs that have ended.
    pub(super) fn tidy(&self, now: Timestamp) {
        self.lock().common.time_outs.retain(|_, (_, until)| *until > now);
    }

    /// Sets the key for the hashes of addresses.
    pub(super) fn set_key(&self, key: [u8; 32]) {
        // An error means that the key is set already, and the key is always the same.
        let _ = self.key.set(key);
    }

    /// Returns the state, and the mark of its file, or `None` if there is no file.
    pub(super) fn common(&self, now: Timestamp) -> Option<(String, Common)> {
        let known = self.lock();
        let mut common = known.common.clone();
        common.time_outs.retain(|_, (_, until)| *until > now);
        (!known.mark.is_empty()).then(|| (known.mark.clone(), common))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(store: &Store) -> rusqlite::Result<Common> {
    let bans = store.reader().bans()?.into_iter().map(|(id, ban)| ((id, ban.name.clone()), ban));
    let time_outs = store.reader().time_outs(clock::now())?.into_iter();
    let time_outs = time_outs.map(|(id, ban, until)| ((id, ban.name.clone()), (ban, until)));
    let slow = store.reader().slow()?.into_iter();
    Ok(Common { bans: bans.collect(), time_outs: time_outs.collect(), slow: slow.collect() })
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::chat::store::Change;

    /// If the bans of an unreadable file were shared as an empty list, the other node would lift all of them.
    #[test]
    fn a_file_that_cannot_be_read_shares_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chat.db");
        let (store, key) = Store::open(&file, Duration::from_secs(3600), [1; 32]).unwrap();
        let id: StreamId = ("live".parse().unwrap(), "show".parse().unwrap());
        let ban = Ban { name: "eve".into(), mark: None, is_verified: None };
        store.put(Change::Banned(id.clone(), ban.clone(), clock::now()));
        let begin = std::time::Instant::now();
        while store.reader().bans().unwrap().is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(60), "no ban");
            std::thread::sleep(Duration::from_millis(20));
        }
        let shared = Shared::default();
        shared.begin(&key, Some(&store));
        let (mark, common) = shared.common(clock::now()).unwrap();
        assert_eq!((mark.len(), common.bans), (16, [((id, "eve".to_owned()), ban)].into()));
        Connection::open(&file)
            .unwrap()
            .execute_batch("INSERT INTO slow VALUES ('live', 'show', 'much')")
            .unwrap();
        assert!(store.reader().slow().is_err());
        let shared = Shared::default();
        shared.begin(&key, Some(&store));
        assert_eq!(shared.common(clock::now()), None);
    }
}
