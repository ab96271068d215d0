//! The keys as a list: which there are is found out first, and what they are is read in parts, so that nobody
//! holds the lock for long.

use weir_model::{AppName, KeyId, StreamKey, StreamName, Timestamp, key::KeySecret};

use super::{AT_ONCE, CREATED, ID, KeyRecord, Stage, stage};
use crate::arena::{Locked, Mutex};
use crate::block::BlockKind;

/// Age and id of a key, which make the order of the list.
pub type KeyPlace = (Timestamp, KeyId);

/// A walk over the zone that finds the valid keys, in steps between which the lock is free.
///
/// A key that is valid during the whole walk is found once. One that is created or revoked meanwhile is found or not.
pub struct KeyWalk {
    after: Option<KeyPlace>,
    most: usize,
    /// The block with which it goes on.
    at: usize,
    found: Vec<KeyPlace>,
}

impl KeyWalk {
    /// For the keys behind `after`, or all: the first `most` of them, the oldest first.
    #[must_use]
    pub fn new(after: Option<KeyPlace>, most: usize) -> KeyWalk {
        KeyWalk { after, most, at: 0, found: Vec::new() }
    }

    /// What was found, in order. Needs no lock.
    #[must_use]
    pub fn places(mut self) -> Vec<KeyPlace> {
        self.keep_first();
        self.found
    }

    fn keep_first(&mut self) {
        // They stand in about this order already.
        self.found.sort();
        // A rotated key has two secrets.
        self.found.dedup();
        self.found.truncate(self.most);
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Takes one step of a walk. Returns whether it is over.
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

    /// The keys with these places that are valid still.
    #[must_use]
    pub fn keys_at(&self, places: &[KeyPlace]) -> Vec<StreamKey> {
        places.iter().filter_map(|(_, id)| self.stream_key(*id)).collect()
    }

    /// The valid key with this id, with its secrets.
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
