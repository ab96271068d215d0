//! Bans, time-outs and slow modes of all rooms, which the nodes of a pair share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use weir_model::{Digest, Timestamp};

use super::room::Ban;
use super::store::{Change, Reader};
use crate::clock;
use crate::streams::StreamId;

/// Longest time-out.
pub(crate) const LONGEST: Duration = Duration::from_secs(86_400);

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

impl Common {
    /// Applies a change of a moderator.
    pub(super) fn apply(&mut self, change: &Change) {
        let at = |id: &StreamId, name: &str| (id.clone(), name.to_owned());
        match change {
            Change::Banned(id, ban, _) => set(&mut self.bans, at(id, &ban.name), Some(ban.clone())),
            Change::Forgiven(id, name) => set(&mut self.bans, at(id, name), None),
            Change::TimedOut(id, ban, until) => {
                set(&mut self.time_outs, at(id, &ban.name), Some((ban.clone(), *until)));
            }
            Change::Heard(id, name) => set(&mut self.time_outs, at(id, name), None),
            Change::Slowed(id, slow) => set(&mut self.slow, id.clone(), *slow),
            Change::Said(..) | Change::Deleted(..) | Change::Cleared(..) | Change::Marked(_) => {}
        }
    }
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
    /// Mark of the file; empty if it was not read.
    mark: String,
    common: Common,
}

/// Returns the time until the end of a time-out. The clock may have been set back since its begin.
pub(super) fn left(until: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(until.as_millis().saturating_sub(now.as_millis())).min(LONGEST)
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
    /// Takes the state of a file that was read. Returns whether another state was in force.
    pub(super) fn begin(&self, mark: String, common: Common) -> bool {
        self.tidy(clock::now());
        let mut known = self.lock();
        let is_other = known.common != common;
        *known = Known { mark, common };
        is_other
    }

    /// Returns whether the file was read. Without it, the other node of a pair does not take the missing bans for lifted ones.
    pub(super) fn was_read(&self) -> bool {
        !self.lock().mark.is_empty()
    }

    pub(super) fn key(&self) -> Option<&[u8; 32]> {
        self.key.get()
    }

    /// Returns the ban of a name.
    pub(super) fn ban(&self, id: &StreamId, name: &str) -> Option<Ban> {
        self.lock().common.bans.get(&(id.clone(), name.to_owned())).cloned()
    }

    /// Returns the time-out of a name that has not ended.
    pub(super) fn time_out(&self, id: &StreamId, name: &str, now: Timestamp) -> Option<(Ban, Timestamp)> {
        let known = self.lock();
        let time_out = known.common.time_outs.get(&(id.clone(), name.to_owned()));
        time_out.filter(|(_, until)| *until > now).cloned()
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

/// Returns the mark of a file without one, from its key.
pub(super) fn mark_of_key(key: &[u8]) -> String {
    Digest::of(key).to_hex().chars().take(16).collect()
}

/// Reads the state of a file.
pub(super) fn read(reader: &Reader) -> rusqlite::Result<Common> {
    let now = clock::now();
    let bans = reader.bans()?.into_iter().map(|(id, ban)| ((id, ban.name.clone()), ban));
    // If the clock was set back, the file has ends that are too late.
    let latest = later(now, LONGEST);
    let time_outs = reader.time_outs(now)?.into_iter();
    let time_outs = time_outs.map(|(id, ban, until)| ((id, ban.name.clone()), (ban, until.min(latest))));
    let slow = reader.slow()?.into_iter();
    Ok(Common { bans: bans.collect(), time_outs: time_outs.collect(), slow: slow.collect() })
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::chat::store::Store;

    /// A clock that was set back makes no time-out longer.
    #[test]
    fn a_time_out_is_never_longer_than_the_longest_one() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) =
            Store::open(&folder.path().join("chat.db"), Duration::from_secs(3600), [1; 32]).unwrap();
        let id: StreamId = ("live".parse().unwrap(), "show".parse().unwrap());
        let ban = Ban { name: "eve".into(), marks: Vec::new(), is_verified: None };
        let far = later(clock::now(), LONGEST * 30);
        store.put(Change::TimedOut(id.clone(), ban, far));
        let begin = std::time::Instant::now();
        while store.reader().time_outs(clock::now()).unwrap().is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(60), "no time-out");
            std::thread::sleep(Duration::from_millis(20));
        }
        let common = read(&store.reader()).unwrap();
        let (_, until) = &common.time_outs[&(id, "eve".to_owned())];
        assert!(*until <= later(clock::now(), LONGEST), "{until:?}");
        assert_eq!(left(far, clock::now()), LONGEST);
    }

    /// If the bans of an unreadable file were shared as an empty list, the other node would lift all of them.
    #[test]
    fn a_file_that_cannot_be_read_shares_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chat.db");
        let (store, key) = Store::open(&file, Duration::from_secs(3600), [1; 32]).unwrap();
        let id: StreamId = ("live".parse().unwrap(), "show".parse().unwrap());
        let ban = Ban { name: "eve".into(), marks: Vec::new(), is_verified: None };
        store.put(Change::Banned(id.clone(), ban.clone(), clock::now()));
        let begin = std::time::Instant::now();
        while store.reader().bans().unwrap().is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(60), "no ban");
            std::thread::sleep(Duration::from_millis(20));
        }
        let shared = Shared::default();
        assert!(shared.begin(mark_of_key(&key), read(&store.reader()).unwrap()));
        let (mark, common) = shared.common(clock::now()).unwrap();
        assert_eq!((mark.len(), common.bans), (16, [((id, "eve".to_owned()), ban)].into()));
        Connection::open(&file)
            .unwrap()
            .execute_batch("INSERT INTO slow VALUES ('live', 'show', 'much')")
            .unwrap();
        assert!(read(&store.reader()).is_err());
        assert_eq!(Shared::default().common(clock::now()), None);
    }
}
