//! The keys as a list: where each stands is found at once, and what they are is read in parts, so that nobody
//! holds the lock for long.

use weir_model::{AppName, KeyId, StreamKey, StreamName, Timestamp, key::KeySecret};

use super::{CREATED, ID, KeyRecord, Stage, is_current, stage};
use crate::arena::{Locked, Mutex};
use crate::block::{Block, BlockKind, Index};

/// Where a valid key stands, in the list and in the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPlace {
    created: u64,
    id: u64,
    current: Index,
    /// The secret before a rotation.
    previous: Option<Index>,
}

impl KeyPlace {
    /// Age and id, which make the order of the list.
    #[must_use]
    pub fn order(&self) -> (Timestamp, KeyId) {
        (Timestamp::from_millis(self.created), KeyId(self.id))
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Where the valid keys stand, the oldest first: those behind `after`, or all.
    #[must_use]
    pub fn key_places(&self, after: Option<(Timestamp, KeyId)>) -> Vec<KeyPlace> {
        let after = after.map(|(created, id)| (created.as_millis(), id.0));
        let valid = self.records(BlockKind::Key).filter(|(_, block)| stage(block) == Stage::Valid);
        let mut secrets: Vec<(u64, u64, bool, Index)> = valid
            .map(|(at, block)| (block.word(CREATED), block.word(ID), !is_current(block), at))
            .filter(|(created, id, ..)| after.is_none_or(|after| (*created, *id) > after))
            .collect();
        // They stand in about this order already.
        secrets.sort();
        let mut places: Vec<KeyPlace> = Vec::with_capacity(secrets.len());
        for (created, id, _, at) in secrets {
            match places.last_mut().filter(|place| place.id == id) {
                Some(place) => place.previous = Some(at),
                None => places.push(KeyPlace { created, id, current: at, previous: None }),
            }
        }
        places
    }

    /// The keys that stand there still.
    #[must_use]
    pub fn keys_at(&self, places: &[KeyPlace]) -> Vec<StreamKey> {
        places.iter().filter_map(|place| self.key_at(place)).collect()
    }

    /// Every key that is valid, with its secrets, the oldest first.
    #[must_use]
    pub fn keys(&self) -> Vec<StreamKey> {
        self.keys_at(&self.key_places(None))
    }

    /// The valid key with this id, with its secrets.
    #[must_use]
    pub fn stream_key(&self, id: KeyId) -> Option<StreamKey> {
        let mut place: Option<KeyPlace> = None;
        let valid = |(_, block): &(Index, &Block)| block.word(ID) == id.0 && stage(block) == Stage::Valid;
        for (at, block) in self.records(BlockKind::Key).filter(valid) {
            let created = block.word(CREATED);
            let known = place.get_or_insert(KeyPlace { created, id: id.0, current: at, previous: None });
            if known.current != at {
                (known.current, known.previous) =
                    if is_current(block) { (at, Some(known.current)) } else { (known.current, Some(at)) };
            }
        }
        self.key_at(&place?)
    }

    fn key_at(&self, place: &KeyPlace) -> Option<StreamKey> {
        let read = |at: Index| {
            let block = self.zone.block(at).filter(|block| block.kind() == BlockKind::Key)?;
            let same = block.word(ID) == place.id && stage(block) == Stage::Valid;
            same.then(|| self.read_key(block))
        };
        let record = read(place.current)?;
        let secret = KeySecret { digest: record.digest, expires_at: record.expires_at };
        let mut key = stream_key(record.id, record, secret)?;
        let previous = place.previous.and_then(read);
        let before =
            previous.map(|record| KeySecret { digest: record.digest, expires_at: record.expires_at });
        key.secrets.extend(before);
        Some(key)
    }
}

fn stream_key(id: KeyId, record: KeyRecord, secret: KeySecret) -> Option<StreamKey> {
    Some(StreamKey {
        id,
        app: AppName::parse(record.app.as_bytes()).ok()?,
        stream: StreamName::parse(record.stream.as_bytes()).ok()?,
        server: record.server,
        note: record.note,
        created_at: record.created_at,
        publish_from: record.publish_from,
        secrets: vec![secret],
    })
}
