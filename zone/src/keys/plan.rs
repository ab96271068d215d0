//! Changes the keys of the zone to those of a state file in steps, so that no step holds the lock for long.

use std::collections::{BTreeSet, HashMap, HashSet};

use weir_model::{KeyId, StreamKey, Timestamp};

use super::{
    CREATED, EXPIRES, ID, KeyRecord, SHAPE, STAGE_FROM, Stage, digest_of, key_hash, shape_of, stage,
};
use crate::arena::{Locked, Mutex};
use crate::block::{Block, BlockKind, Index};
use crate::error::ZoneFull;

/// The changes that make the valid keys those of a state file. Keys that were revoked here stay revoked, and correct
/// records are not touched.
pub(crate) struct KeyPlan {
    wanted: HashMap<[u8; 32], Wanted>,
    ids: HashSet<KeyId>,
    stale: Vec<Stale>,
    /// The block at which the comparison continues.
    at: usize,
    /// The number of stale records that are removed already.
    removed: usize,
    /// The records to add after the comparison.
    missing: Vec<[u8; 32]>,
}

/// A record that the state file requires, in the form of a block.
struct Wanted {
    record: KeyRecord,
    shape: u64,
    text: Vec<u8>,
    /// Whether the zone has the record.
    is_here: bool,
}

struct Stale {
    at: Index,
    hash: u64,
    id: KeyId,
    blocks: usize,
}

impl KeyPlan {
    /// Returns a plan that has compared nothing yet. Takes time if there are many keys, and needs no zone.
    pub(crate) fn new(keys: &[StreamKey]) -> KeyPlan {
        let lay_out = |record: KeyRecord| {
            let (shape, text) = (shape_of(&record), record.text());
            (*record.digest.bytes(), Wanted { record, shape, text, is_here: false })
        };
        KeyPlan {
            wanted: keys.iter().flat_map(|key| KeyRecord::of(key, Stage::Valid)).map(lay_out).collect(),
            ids: keys.iter().map(|key| key.id).collect(),
            stale: Vec::new(),
            at: 0,
            removed: 0,
            missing: Vec::new(),
        }
    }

    /// Returns the number of keys in the state file.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns how many records must be added.
    pub(crate) fn left(&self) -> usize {
        self.missing.len()
    }

    /// Returns how many blocks the removal of stale records frees.
    pub(crate) fn freed(&self) -> usize {
        self.stale.iter().map(|stale| stale.blocks).sum()
    }

    /// Returns how many blocks the missing records need.
    pub(crate) fn needed(&self) -> usize {
        let missing = self.missing.iter().filter_map(|digest| self.wanted.get(digest));
        missing.map(|wanted| BlockKind::Key.blocks_for(wanted.text.len())).sum()
    }

    /// Returns the ids of the zone's keys that the state file does not have.
    pub(crate) fn gone(&self) -> Vec<KeyId> {
        let ids = self.stale.iter().map(|stale| stale.id).filter(|id| !self.ids.contains(id));
        ids.collect::<BTreeSet<KeyId>>().into_iter().collect()
    }
}

impl Wanted {
    /// Returns whether a record of the zone has the same content.
    fn is<M: Mutex>(&self, block: &Block, zone: &Locked<'_, '_, M>) -> bool {
        let expires = self.record.expires_at.map_or(0, Timestamp::as_millis);
        block.word(ID) == self.record.id.0
            && block.word(CREATED) == self.record.created_at.as_millis()
            && block.word(EXPIRES) == expires
            && block.word(SHAPE) & ((1 << STAGE_FROM) - 1) == self.shape
            && {
                // Zeros follow the text and fill the last block.
                let here = zone.text(block, self.text.len() + 1);
                here.starts_with(&self.text) && here.get(self.text.len()).is_none_or(|next| *next == 0)
            }
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Compares up to `most` blocks. Returns whether the comparison is complete.
    pub(crate) fn compare_keys(&self, plan: &mut KeyPlan, most: usize) -> bool {
        let end = plan.at.saturating_add(most);
        for (at, block) in self.records_from(BlockKind::Key, plan.at, end) {
            if stage(block) != Stage::Valid {
                continue;
            }
            let wanted = plan.wanted.get_mut(digest_of(block).bytes());
            match wanted.filter(|wanted| !wanted.is_here && wanted.is(block, self)) {
                Some(wanted) => wanted.is_here = true,
                None => {
                    let (hash, id) = (key_hash(block), KeyId(block.word(ID)));
                    plan.stale.push(Stale { at, hash, id, blocks: self.blocks_of(block) });
                }
            }
        }
        plan.at = end;
        if end < self.touched() {
            return false;
        }
        let revoked: HashSet<KeyId> = self.revoked_keys().into_iter().collect();
        let missing = plan.wanted.iter().filter(|(_, wanted)| !wanted.is_here);
        let missing = missing.filter(|(_, wanted)| !revoked.contains(&wanted.record.id));
        plan.missing = missing.map(|(digest, _)| *digest).collect();
        // The records are added from the last to the first.
        plan.missing.sort_unstable_by(|a, b| b.cmp(a));
        true
    }

    /// Removes up to `most` records that the state file does not have. Returns whether none is left.
    pub(crate) fn remove_stale_keys(&self, plan: &mut KeyPlan, most: usize) -> bool {
        let end = plan.removed.saturating_add(most).min(plan.stale.len());
        for stale in &plan.stale[plan.removed..end] {
            // The record may have been removed or revoked since the comparison.
            let block = self.zone.block(stale.at).filter(|block| block.kind() == BlockKind::Key);
            if block.is_some_and(|block| {
                key_hash(block) == stale.hash && block.word(ID) == stale.id.0 && stage(block) == Stage::Valid
            }) {
                self.remove(stale.hash, stale.at);
            }
        }
        plan.removed = end;
        end == plan.stale.len()
    }

    /// Adds up to `most` records that the state file has and the zone does not have ([`KeyPlan::left`]).
    pub(crate) fn add_missing_keys(&self, plan: &mut KeyPlan, most: usize) -> Result<(), ZoneFull> {
        if plan.missing.is_empty() {
            return Ok(());
        }
        // Some keys may have been revoked since the comparison.
        let revoked: HashSet<KeyId> = self.revoked_keys().into_iter().collect();
        for _ in 0..most {
            let Some(wanted) = plan.missing.last().and_then(|digest| plan.wanted.get(digest)) else { break };
            if !revoked.contains(&wanted.record.id) {
                self.insert_key(&wanted.record)?;
            }
            plan.missing.pop();
        }
        Ok(())
    }
}
