//! Stream keys in the zone: one record per secret, found by its digest.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use weir_model::{Digest, KeyId, Network, ServerAddr, StreamKey, Timestamp, server::MAX_SERVER_LEN};

use crate::arena::{Locked, Mutex};
use crate::block::{Block, BlockKind, Index};
use crate::error::ZoneFull;

pub(crate) mod list;
pub(crate) mod plan;

const DIGEST: usize = 2;
const ID: usize = 6;
const CREATED: usize = 7;
const EXPIRES: usize = 8;
const SHAPE: usize = 9;
const NETWORK_BYTES: usize = 18;
/// The bit of `SHAPE` for a text that ends with the address of a `server` block.
const LIMITED: u64 = 1 << 33;

/// The chain of the revoked records. They are few, and nobody looks them up by digest.
const REVOKED_CHAIN: u64 = 0;

/// Position of the stage in a record's word `SHAPE`.
const STAGE_FROM: u32 = 36;

/// The stage of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not in the state file yet: permits nothing. Freed if the worker `pid` dies.
    Pending {
        /// Process id of the worker that writes the state file.
        pid: u32,
    },
    /// Permits a publish.
    Valid,
    /// Revoked, while the state file may still contain the key: permits nothing.
    Revoked,
}

/// One secret of a stream key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The key of the secret. A rotated key has two records for some time.
    pub id: KeyId,
    /// SHA-256 of the secret.
    pub digest: Digest,
    /// False for the secret before a rotation.
    pub current: bool,
    /// Whether the key permits a publish.
    pub stage: Stage,
    /// Application.
    pub app: String,
    /// Public name of the stream.
    pub stream: String,
    /// The `server` block to which the key is limited.
    pub server: Option<ServerAddr>,
    /// The admin's note.
    pub note: String,
    /// The time when the key was created.
    pub created_at: Timestamp,
    /// The time when this secret ends.
    pub expires_at: Option<Timestamp>,
    /// Networks that may publish with the key; empty means any.
    pub publish_from: Vec<Network>,
}

impl KeyRecord {
    /// Returns the records of a key, its current secret first.
    pub fn of(key: &StreamKey, stage: Stage) -> impl Iterator<Item = KeyRecord> {
        key.secrets.iter().enumerate().map(move |(nth, secret)| KeyRecord {
            id: key.id,
            digest: secret.digest,
            current: nth == 0,
            stage,
            app: key.app.as_str().to_owned(),
            stream: key.stream.as_str().to_owned(),
            server: key.server.clone(),
            note: key.note.clone(),
            created_at: key.created_at,
            expires_at: secret.expires_at,
            publish_from: key.publish_from.clone(),
        })
    }

    /// Returns the text of the record.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = [self.app.as_bytes(), self.stream.as_bytes(), self.note.as_bytes()].concat();
        for network in &self.publish_from {
            text.extend_from_slice(&network.to_bytes());
        }
        text.extend_from_slice(self.server.as_ref().map_or("", ServerAddr::as_str).as_bytes());
        text
    }
}

/// The number of blocks that are examined under one lock: well below a millisecond.
pub(crate) const AT_ONCE: usize = 1000;

impl<M: Mutex> Locked<'_, '_, M> {
    /// Adds a secret.
    pub fn insert_key(&self, key: &KeyRecord) -> Result<(), ZoneFull> {
        self.insert(BlockKind::Key, digest_hash(key.digest.bytes()), &key.text(), self.reserve(), |block| {
            for (at, chunk) in key.digest.bytes().chunks_exact(8).enumerate() {
                let mut word = [0; 8];
                word.copy_from_slice(chunk);
                block.set(DIGEST + at, u64::from_le_bytes(word));
            }
            block.set(ID, key.id.0);
            block.set(CREATED, key.created_at.as_millis());
            block.set(EXPIRES, key.expires_at.map_or(0, Timestamp::as_millis));
            block.set(SHAPE, shape_of(key));
            set_stage(block, key.stage);
        })?;
        if let Some(end) = key.expires_at.filter(|_| !key.current) {
            self.zone.root.secrets_end.fetch_min(end.as_millis(), Relaxed);
        }
        Ok(())
    }

    /// Returns the valid records with this id.
    fn valid_with(&self, id: KeyId) -> impl Iterator<Item = (Index, &Block)> {
        self.with_id(id).filter(|(_, block)| stage(block) == Stage::Valid)
    }

    fn with_id(&self, id: KeyId) -> impl Iterator<Item = (Index, &Block)> {
        let is_its = move |block: &Block| block.kind() == BlockKind::Key && block.word(ID) == id.0;
        self.second_chain(id.0).filter(move |(_, block)| is_its(block))
    }

    /// Returns the valid key with this digest.
    #[must_use]
    pub fn find_key(&self, digest: &Digest) -> Option<KeyRecord> {
        self.valid(digest).map(|block| self.read_key(block))
    }

    /// Returns whether a valid key has this digest.
    #[must_use]
    pub fn is_valid_key(&self, digest: &Digest) -> bool {
        self.valid(digest).is_some()
    }

    fn valid(&self, digest: &Digest) -> Option<&Block> {
        let mut chain = self.chain(digest_hash(digest.bytes()));
        let (_, found) = chain.find(|(_, block)| {
            block.kind() == BlockKind::Key && stage(block) == Stage::Valid && digest_of(block) == *digest
        })?;
        Some(found)
    }

    /// Returns the valid key with this id, with its current secret.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<KeyRecord> {
        let (_, found) = self.valid_with(id).find(|(_, block)| is_current(block))?;
        Some(self.read_key(found))
    }

    /// Makes a pending secret valid.
    pub fn confirm_secret(&self, digest: &Digest) {
        if let Some((_, block)) = self.pending(digest) {
            set_stage(block, Stage::Valid);
        }
    }

    /// Makes the pending secrets of a key valid, and removes all others.
    pub fn replace_key(&self, key: &StreamKey) {
        self.remove_keys(self.valid_with(key.id));
        key.secrets.iter().for_each(|secret| self.confirm_secret(&secret.digest));
    }

    /// Removes a pending secret.
    pub fn forget_secret(&self, digest: &Digest) {
        if let Some((at, block)) = self.pending(digest) {
            self.remove(key_hash(block), at);
        }
    }

    /// Revokes a key. Returns whether it existed.
    pub fn revoke_key(&self, id: KeyId) -> bool {
        self.note_revocation();
        let valid: Vec<(Index, &Block)> = self.valid_with(id).collect();
        for (at, block) in &valid {
            self.unlink(key_hash(block), *at, block.next());
            set_stage(block, Stage::Revoked);
            self.link(key_hash(block), *at, block);
        }
        !valid.is_empty()
    }

    /// Records that a key or tokens were revoked and the state file may not contain the revocation.
    pub(crate) fn note_revocation(&self) {
        self.zone.root.unsaved.store(1, Relaxed);
    }

    /// Removes a revoked key that the state file no longer contains.
    pub fn forget_revoked(&self, id: KeyId) {
        self.remove_keys(self.with_id(id).filter(|(_, block)| stage(block) == Stage::Revoked));
    }

    /// Makes the current secret of a key the previous one, which ends at `until`, and removes the one before.
    pub fn retire_secret(&self, id: KeyId, until: Timestamp) {
        self.remove_keys(self.valid_with(id).filter(|(_, block)| !is_current(block)));
        for (_, block) in self.valid_with(id) {
            let own = block.word(EXPIRES);
            let end = if own == 0 { until.as_millis() } else { own.min(until.as_millis()) };
            block.set(EXPIRES, end);
            block.set(SHAPE, block.word(SHAPE) | 1 << 32);
            self.zone.root.secrets_end.fetch_min(end, Relaxed);
        }
    }

    /// Returns the ids of revoked keys that the state file may still contain.
    #[must_use]
    pub fn revoked_keys(&self) -> Vec<KeyId> {
        let is_revoked = |block: &Block| block.kind() == BlockKind::Key && stage(block) == Stage::Revoked;
        let records = self.chain(REVOKED_CHAIN).filter(|(_, block)| is_revoked(block));
        let ids: BTreeSet<KeyId> = records.map(|(_, block)| KeyId(block.word(ID))).collect();
        ids.into_iter().collect()
    }

    /// Removes previous secrets whose overlap has ended, in the blocks from `from` to `to`. Returns when the first of
    /// the others there ends, in milliseconds.
    pub(crate) fn forget_ended(&self, now: Timestamp, from: usize, to: usize) -> u64 {
        let ends = |block: &Block| !is_current(block) && block.word(EXPIRES) != 0;
        let previous = || self.records_from(BlockKind::Key, from, to).filter(|(_, block)| ends(block));
        self.remove_keys(previous().filter(|(_, block)| block.word(EXPIRES) <= now.as_millis()));
        previous().map(|(_, block)| block.word(EXPIRES)).min().unwrap_or(u64::MAX)
    }

    fn pending(&self, digest: &Digest) -> Option<(Index, &Block)> {
        let mut chain = self.chain(digest_hash(digest.bytes()));
        chain.find(|(_, block)| {
            block.kind() == BlockKind::Key && pending_pid(block).is_some() && digest_of(block) == *digest
        })
    }

    fn remove_keys<'b>(&self, which: impl Iterator<Item = (Index, &'b Block)>) {
        let found: Vec<(Index, u64)> = which.map(|(at, block)| (at, key_hash(block))).collect();
        for (at, hash) in found {
            self.remove(hash, at);
        }
    }

    pub(crate) fn read_key(&self, block: &Block) -> KeyRecord {
        let shape = block.word(SHAPE);
        let lengths = [0, 8, 16, 24].map(|shift| (shape >> shift & 0xff) as usize);
        let [app, stream, note, networks] = lengths;
        let end = app + stream + note + networks * NETWORK_BYTES;
        let limit = if shape & LIMITED == 0 { 0 } else { MAX_SERVER_LEN };
        let text = self.text(block, end + limit);
        let part = |from: usize, len: usize| text.get(from..from + len).unwrap_or_default();
        let networks = part(app + stream + note, networks * NETWORK_BYTES);
        // The rest extends to the end of the blocks; zeros fill the last block.
        let limit = text.get(end..).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
        KeyRecord {
            id: KeyId(block.word(ID)),
            digest: digest_of(block),
            current: is_current(block),
            stage: stage(block),
            app: String::from_utf8_lossy(part(0, app)).into_owned(),
            stream: String::from_utf8_lossy(part(app, stream)).into_owned(),
            server: str::from_utf8(limit).ok().and_then(|limit| limit.parse().ok()),
            note: String::from_utf8_lossy(part(app + stream, note)).into_owned(),
            created_at: Timestamp::from_millis(block.word(CREATED)),
            expires_at: Some(block.word(EXPIRES)).filter(|at| *at != 0).map(Timestamp::from_millis),
            publish_from: networks
                .chunks_exact(NETWORK_BYTES)
                .filter_map(|bytes| Network::from_bytes(bytes.try_into().ok()?))
                .collect(),
        }
    }
}

/// Returns the word `SHAPE` of a record, without its stage.
fn shape_of(key: &KeyRecord) -> u64 {
    let lengths = [key.app.len(), key.stream.len(), key.note.len(), key.publish_from.len()];
    let shape = lengths.iter().rev().fold(0, |shape, len| shape << 8 | (*len as u64 & 0xff));
    let limited = if key.server.is_some() { LIMITED } else { 0 };
    shape | u64::from(!key.current) << 32 | limited
}

/// Returns the hash of the chain that a record is in.
pub(crate) fn key_hash(block: &Block) -> u64 {
    if stage(block) == Stage::Revoked { REVOKED_CHAIN } else { block.word(DIGEST) }
}

fn digest_hash(digest: &[u8; 32]) -> u64 {
    digest.iter().take(8).rev().fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

fn digest_of(block: &Block) -> Digest {
    let mut bytes = [0; 32];
    for (at, chunk) in bytes.chunks_exact_mut(8).enumerate() {
        chunk.copy_from_slice(&block.word(DIGEST + at).to_le_bytes());
    }
    Digest::from_bytes(bytes)
}

fn is_current(block: &Block) -> bool {
    block.word(SHAPE) >> 32 & 1 == 0
}

fn stage(block: &Block) -> Stage {
    match block.word(SHAPE) >> STAGE_FROM & 0xf {
        0 => Stage::Valid,
        1 => Stage::Pending { pid: (block.word(SHAPE) >> 40) as u32 },
        _ => Stage::Revoked,
    }
}

fn set_stage(block: &Block, stage: Stage) {
    // A process id takes 22 bits on Linux (PID_MAX_LIMIT).
    let bits = match stage {
        Stage::Valid => 0,
        Stage::Pending { pid } => 1 << 36 | u64::from(pid) << 40,
        Stage::Revoked => 2 << 36,
    };
    block.set(SHAPE, (block.word(SHAPE) & 0xf_ffff_ffff) | bits);
}

pub(crate) fn pending_pid(block: &Block) -> Option<u32> {
    match stage(block) {
        Stage::Pending { pid } => Some(pid),
        _ => None,
    }
}
