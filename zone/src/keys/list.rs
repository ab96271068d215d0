//! The list of keys. A first pass finds the keys and later calls read them in parts, so that no call holds the lock for
//! long.

use weir_model::{AppName, KeyId, StreamKey, StreamName, Timestamp, key::KeySecret};

use super::{AT_ONCE, CREATED, ID, KeyRecord, Stage, stage};
use crate::arena::{Locked, Mutex};
use crate::block::BlockKind;

/// Age and id of a key, which define the order of the list.
pub type KeyPlace = (Timestamp, KeyId);

/// A walk over the zone that finds the valid keys, in steps between which the lock is free.
///
/// The walk finds each key once that is valid during the whole walk. It may find or miss a key that is created or
/// revoked meanwhile.
pub struct KeyWalk {
    after: Option<KeyPlace>,
    most: usize,
    /// The block at which the next step starts.
    at: usize,
    found: Vec<KeyPlace>,
}

impl KeyWalk {
    /// Returns a walk for the first `most` keys after `after`, or from the beginning, the oldest first.
    #[must_use]
    pub fn new(after: Option<KeyPlace>, most: usize) -> KeyWalk {
        KeyWalk { after, most, at: 0, found: Vec::new() }
    }

    /// Returns the result in order. Needs no lock.
    #[must_use]
    pub fn places(mut self) -> Vec<KeyPlace> {
        self.keep_first();
        self.found
    }

    fn keep_first(&mut self) {
        // The keys are almost in this order already.
        self.found.sort();
        // A rotated key has two secrets.
        self.found.dedup();
        self.found.truncate(self.most);
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Takes one step of a walk. Returns whether the walk is complete.
    #[must_use]
    pub fn walk_keys(&self, walk: &mut KeyWalk) -> bool {
        let end = walk.at.saturating_add(AT_ONCE);
        let records = self.records_from(BlockKind::Key, walk.at, end);
        let valid = records.filter(|(_, block)| stage(block) == Stage::Valid);
        let places =
            valid.map(|(_, block)| (Timestamp::from_millis(block.word(CREATED)), KeyId(block.word(ID))));
        walk.found.extend(places.filter(|place| walk.after.is_none_or(|after| *place > after)));
        walk.at = end;
        if walk.found.len() / 2 > walk.most.saturating_add(AT_ONCE) {
            walk.keep_first();
        }
        end >= self.touched()
    }

    /// Returns the keys at these places that are still valid.
    #[must_use]
    pub fn keys_at(&self, places: &[KeyPlace]) -> Vec<StreamKey> {
        places.iter().filter_map(|(_, id)| self.stream_key(*id)).collect()
    }

    /// Returns the valid key with this id, with its secrets.
    #[must_use]
    pub fn stream_key(&self, id: KeyId) -> Option<StreamKey> {
        let mut records: Vec<KeyRecord> =
            self.valid_with(id).map(|(_, block)| self.read_key(block)).collect();
        // The current one first.
        records.sort_by_key(|record| !record.current);
        let secrets = records.iter().take(2);
        let secrets =
            secrets.map(|record| KeySecret { digest: record.digest, expires_at: record.expires_at });
        let secrets = secrets.collect();
        stream_key(records.into_iter().next()?, secrets)
    }
}

fn stream_key(record: KeyRecord, secrets: Vec<KeySecret>) -> Option<StreamKey> {
    Some(StreamKey {
        id: record.id,
        app: AppName::parse(record.app.as_bytes()).ok()?,
        stream: StreamName::parse(record.stream.as_bytes()).ok()?,
        server: record.server,
        note: record.note,
        created_at: record.created_at,
        publish_from: record.publish_from,
        secrets,
    })
}
