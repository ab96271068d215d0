//! What the zone knows of the state file, and how it is brought in line with one.
//!
//! The file is identified by the checksum of its content: two files can have the same generation. Whoever calls
//! [`Locked::adopt`] holds the lock of the file as well, from before it was read.

use std::sync::atomic::Ordering::Relaxed;

use weir_model::{Digest, KeyId, StreamKey, Timestamp, target::Target};

use crate::arena::{Locked, Mutex, Zone};
use crate::error::ZoneFull;
use crate::hash::hash_bytes;
use crate::keys::KeyPlan;
use crate::targets::TargetPlan;

/// Keys and targets of a state file have no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The keys alone are too many.
    #[error("{keys} keys of the state file do not fit: a larger zone is needed")]
    Keys {
        /// How many there are.
        keys: usize,
    },
    /// The keys fit, and the targets do not.
    #[error("{targets} targets of the state file do not fit beside {keys} keys: a larger zone is needed")]
    Targets {
        /// How many keys there are.
        keys: usize,
        /// How many targets there are.
        targets: usize,
    },
}

/// The state file that the zone shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Checksum of its content.
    pub content: Digest,
    /// Its generation.
    pub generation: u64,
    /// What the file system says of it: another file has another stamp.
    pub stamp: u64,
}

impl<M: Mutex> Zone<'_, M> {
    /// Generation of the state file that the zone shows.
    pub fn generation(&self) -> u64 {
        self.root.generation.load(Relaxed)
    }

    /// What the file system said of the state file that the zone shows, 0 when it shows none.
    pub fn stamp(&self) -> u64 {
        self.root.stamp.load(Relaxed)
    }

    /// Whether the zone belongs to the state file with this path.
    pub fn is_state_file(&self, path: &[u8]) -> bool {
        self.root.state_file.load(Relaxed) == mark(path)
    }

    /// Whether it is time to look at the state file again: of all workers, one in each `period_ms` is told so.
    pub fn may_look(&self, now: Timestamp, period_ms: u64) -> bool {
        let (now, looked) = (now.as_millis(), self.root.looked.load(Relaxed));
        // A clock that was set back does not stop it.
        let due = now.abs_diff(looked) >= period_ms;
        due && self.root.looked.compare_exchange(looked, now, Relaxed, Relaxed).is_ok()
    }

    /// Notes whether the state file could be written when it last had to be.
    pub fn set_state_written(&self, written: bool) {
        self.root.unwritten.store(u64::from(!written), Relaxed);
    }

    /// Whether the state file could be written when it last had to be.
    pub fn is_state_written(&self) -> bool {
        self.root.unwritten.load(Relaxed) == 0
    }

    /// Whether a key was revoked that may still be in the state file.
    pub fn has_unsaved_revocations(&self) -> bool {
        self.root.unsaved.load(Relaxed) != 0
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Notes which state file the zone belongs to; an empty path is none. Returns whether it was another before:
    /// then the zone shows no file.
    pub fn set_state_file(&self, path: &[u8]) -> bool {
        let mark = mark(path);
        let other = self.zone.root.state_file.swap(mark, Relaxed) != mark;
        if other {
            self.show_nothing();
            self.zone.root.generation.store(0, Relaxed);
        }
        other
    }

    /// Whether the zone shows the state file with this content.
    pub fn shows(&self, content: &Digest) -> bool {
        let words = self.zone.root.content.iter().map(|word| word.load(Relaxed));
        words.eq(content_words(content))
    }

    /// The zone shows this state file from now on.
    pub fn set_shown(&self, shown: &Shown) {
        let root = self.zone.root;
        for (word, value) in root.content.iter().zip(content_words(&shown.content)) {
            word.store(value, Relaxed);
        }
        root.generation.store(shown.generation, Relaxed);
        root.stamp.store(shown.stamp, Relaxed);
    }

    /// The state file has another stamp, and nothing of it is taken over.
    pub fn set_stamp(&self, stamp: u64) {
        self.zone.root.stamp.store(stamp, Relaxed);
    }

    /// The zone may show less than a state file has: the next look brings it in line.
    pub fn show_nothing(&self) {
        self.zone.root.content.iter().for_each(|word| word.store(0, Relaxed));
        self.zone.root.stamp.store(0, Relaxed);
    }

    /// Brings keys and targets in line with a state file, both or neither, and shows it. What was revoked stays
    /// revoked; what is right already is not touched, so that it opens its stream even if the caller dies here.
    /// Returns the ids of the keys that are gone.
    pub fn adopt(&self, keys: &[StreamKey], targets: &[Target], shown: &Shown) -> Result<Vec<KeyId>, Misfit> {
        let (of_keys, of_targets) = self.plan(keys, targets)?;
        let full = |ZoneFull| Misfit::Targets { keys: keys.len(), targets: targets.len() };
        // Whoever dies in between leaves a zone that shows no file.
        self.show_nothing();
        let gone = of_keys.gone(keys);
        self.remove_stale_keys(&of_keys);
        self.remove_stale_targets(&of_targets);
        self.apply_keys(of_keys).map_err(full)?;
        self.apply_targets(of_targets).map_err(full)?;
        self.set_shown(shown);
        Ok(gone)
    }

    /// Whether [`Locked::adopt`] would find room.
    pub fn check_fit(&self, keys: &[StreamKey], targets: &[Target]) -> Result<(), Misfit> {
        self.plan(keys, targets).map(|_| ())
    }

    fn plan<'t>(
        &self,
        keys: &[StreamKey],
        targets: &'t [Target],
    ) -> Result<(KeyPlan, TargetPlan<'t>), Misfit> {
        let (of_keys, of_targets) = (self.plan_keys(keys), self.plan_targets(targets));
        let (used, all) = self.zone.usage();
        let room = (all + of_keys.freed() + of_targets.freed()).checked_sub(used + self.reserve());
        match room {
            Some(room) if of_keys.needed() + of_targets.needed() <= room => Ok((of_keys, of_targets)),
            Some(room) if of_keys.needed() <= room => {
                Err(Misfit::Targets { keys: keys.len(), targets: targets.len() })
            }
            _ => Err(Misfit::Keys { keys: keys.len() }),
        }
    }

    /// No revoked key is in the state file any more, as far as the zone knows.
    pub fn forget_revocations_note(&self) {
        self.zone.root.unsaved.store(0, Relaxed);
    }
}

fn mark(path: &[u8]) -> u64 {
    if path.is_empty() { 0 } else { hash_bytes(&[path]) }
}

fn content_words(content: &Digest) -> impl Iterator<Item = u64> {
    content
        .bytes()
        .chunks_exact(8)
        .map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}
