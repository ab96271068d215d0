//! The zone's facts about the state file, and the adoption of one.
//!
//! The checksum of the content identifies the file, because two files can have the same generation. The caller of
//! [`Locked::adopt`] must hold the lock of the file as well, from before it read the file.

use std::sync::atomic::Ordering::Relaxed;

use weir_model::{Digest, KeyId, StreamKey, Timestamp, target::Target, token::Revocation};

use crate::arena::{Locked, Mutex, Zone};
use crate::error::ZoneFull;
use crate::hash::hash_bytes;
use crate::keys::plan::KeyPlan;

/// Keys, targets or revocations of a state file do not fit into the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The keys alone do not fit.
    #[error("{keys} keys of the state file do not fit: a larger zone is needed")]
    Keys {
        /// The number of keys.
        keys: usize,
    },
    /// The keys fit, but the targets do not.
    #[error("{targets} targets of the state file do not fit beside {keys} keys: a larger zone is needed")]
    Targets {
        /// The number of keys.
        keys: usize,
        /// The number of targets.
        targets: usize,
    },
    /// Keys and targets fit, but the revoked tokens do not.
    #[error("{revocations} revocations of tokens of the state file do not fit: a larger zone is needed")]
    Revocations {
        /// The number of revocations.
        revocations: usize,
    },
}

/// Returns the maximum size of a state file whose keys and targets fit into a zone of this size, in bytes.
///
/// The line of a record has less than four times the bytes of the record's blocks: each key has at most two secrets
/// with one record each, and a text or a network takes at most three times its bytes.
#[must_use]
pub fn max_state_file(zone_size: u64) -> u64 {
    zone_size.saturating_mul(4)
}

/// The state file that the zone shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Checksum of its content.
    pub content: Digest,
    /// Number of changes before the file was written.
    pub generation: u64,
    /// The file system's facts about the file: another file has another stamp.
    pub stamp: u64,
}

/// The number of records that one step examines or changes: about a millisecond.
const AT_ONCE: usize = 1000;

/// The adoption of a state file into the zone.
pub struct Adoption {
    keys: KeyPlan,
    targets: Vec<Target>,
    revocations: Vec<Revocation>,
    held: bool,
    shown: Shown,
    step: Step,
}

enum Step {
    Compare,
    Remove,
    Add {
        /// Whether keys need the blocks of targets that the state file does not have.
        needs_room: bool,
    },
}

impl Adoption {
    /// Returns an adoption that has not started. Takes time if there are many keys, and needs no zone, so that a thread
    /// can do it.
    #[must_use]
    pub fn new(keys: &[StreamKey], targets: Vec<Target>, shown: Shown) -> Adoption {
        let (revocations, held) = (Vec::new(), false);
        Adoption { keys: KeyPlan::new(keys), targets, revocations, held, shown, step: Step::Compare }
    }

    /// Adds the revocations of the state file.
    #[must_use]
    pub fn revoking(self, revocations: Vec<Revocation>) -> Adoption {
        Adoption { revocations, ..self }
    }

    /// Adds whether the state file holds pushes.
    #[must_use]
    pub fn holding(self, held: bool) -> Adoption {
        Adoption { held, ..self }
    }

    /// Returns the state file that it adopts.
    #[must_use]
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Returns the number of keys and targets.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        (self.keys.len(), self.targets.len())
    }
}

impl<M: Mutex> Zone<'_, M> {
    /// Returns the generation of the state file that the zone shows.
    pub fn generation(&self) -> u64 {
        self.root.generation.load(Relaxed)
    }

    /// Returns the file system's stamp of the state file that the zone shows, 0 if it shows none.
    pub fn stamp(&self) -> u64 {
        self.root.stamp.load(Relaxed)
    }

    /// Returns whether the zone belongs to the state file with this path.
    pub fn is_state_file(&self, path: &[u8]) -> bool {
        self.root.state_file.load(Relaxed) == mark(path)
    }

    /// Returns whether the caller must check the state file now: of all workers, one per `period_ms` gets true.
    pub fn may_look(&self, now: Timestamp, period_ms: u64) -> bool {
        let (now, looked) = (now.as_millis(), self.root.looked.load(Relaxed));
        // The check continues even if the clock was set back.
        let due = now.abs_diff(looked) >= period_ms;
        due && self.root.looked.compare_exchange(looked, now, Relaxed, Relaxed).is_ok()
    }

    /// Records whether the last write of the state file succeeded.
    pub fn set_state_written(&self, written: bool) {
        self.root.unwritten.store(u64::from(!written), Relaxed);
    }

    /// Returns whether the last write of the state file succeeded.
    pub fn is_state_written(&self) -> bool {
        self.root.unwritten.load(Relaxed) == 0
    }

    /// Returns whether the state file may lack a revocation of a key or of tokens.
    pub fn has_unsaved_revocations(&self) -> bool {
        self.root.unsaved.load(Relaxed) != 0
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Sets the state file that the zone belongs to; an empty path means none. Returns whether it was another one
    /// before: then the zone shows no file.
    pub fn set_state_file(&self, path: &[u8]) -> bool {
        let mark = mark(path);
        let other = self.zone.root.state_file.swap(mark, Relaxed) != mark;
        if other {
            self.show_nothing();
            self.zone.root.generation.store(0, Relaxed);
        }
        other
    }

    /// Returns whether the zone shows the state file with this content.
    pub fn shows(&self, content: &Digest) -> bool {
        let words = self.zone.root.content.iter().map(|word| word.load(Relaxed));
        words.eq(content_words(content))
    }

    /// Records that the zone shows this state file.
    pub fn set_shown(&self, shown: &Shown) {
        let root = self.zone.root;
        for (word, value) in root.content.iter().zip(content_words(&shown.content)) {
            word.store(value, Relaxed);
        }
        root.generation.store(shown.generation, Relaxed);
        root.stamp.store(shown.stamp, Relaxed);
    }

    /// Records a new stamp of the state file without an adoption of its content.
    pub fn set_stamp(&self, stamp: u64) {
        self.zone.root.stamp.store(stamp, Relaxed);
    }

    /// Records that the zone may lack content of the state file, so that the next check adopts it again.
    pub fn show_nothing(&self) {
        self.zone.root.content.iter().for_each(|word| word.store(0, Relaxed));
        self.zone.root.stamp.store(0, Relaxed);
    }

    /// Adopts the keys and targets of a state file, both or neither, and shows it. Revoked keys stay revoked. Correct
    /// records are not touched, so that they stay valid even if the caller dies here. Returns the ids of the removed
    /// keys.
    pub fn adopt(&self, keys: &[StreamKey], targets: &[Target], shown: &Shown) -> Result<Vec<KeyId>, Misfit> {
        self.adopt_whole(Adoption::new(keys, targets.to_vec(), *shown))
    }

    /// Like [`Locked::adopt`], for all content of a state file.
    pub fn adopt_whole(&self, mut adoption: Adoption) -> Result<Vec<KeyId>, Misfit> {
        loop {
            if let Some(outcome) = self.adopt_some(&mut adoption) {
                return outcome;
            }
        }
    }

    /// Takes one step of [`Locked::adopt_whole`]. Returns `None` if further steps are needed. The caller may release
    /// the lock of the zone between two steps, but not the lock of the file.
    pub fn adopt_some(&self, adoption: &mut Adoption) -> Option<Result<Vec<KeyId>, Misfit>> {
        let (keys, targets) = (adoption.keys.len(), adoption.targets.len());
        let full = |ZoneFull| Misfit::Targets { keys, targets };
        match adoption.step {
            Step::Compare => match self.fits(adoption)? {
                Err(misfit) => return Some(Err(misfit)),
                Ok(()) => {
                    // If the caller dies in between, the zone shows no file.
                    self.show_nothing();
                    adoption.step = Step::Remove;
                }
            },
            Step::Remove => {
                if self.remove_stale_keys(&mut adoption.keys, AT_ONCE) {
                    adoption.step = Step::Add { needs_room: false };
                }
            }
            Step::Add { needs_room } => {
                let is_last = adoption.keys.left() <= AT_ONCE;
                // A changed target must never be missing for readers, unless its blocks are needed.
                let plan = (is_last || needs_room).then(|| self.plan_targets(&adoption.targets));
                if let Some(plan) = &plan {
                    self.remove_stale_targets(plan);
                }
                match (self.add_missing_keys(&mut adoption.keys, AT_ONCE), plan.filter(|_| is_last)) {
                    (Err(error), _) if is_last || needs_room => return Some(Err(full(error))),
                    (Err(_), _) => adoption.step = Step::Add { needs_room: true },
                    (Ok(()), None) => {}
                    (Ok(()), Some(plan)) => {
                        let revocations = adoption.revocations.len();
                        let revoked = self.apply_targets(plan).map_err(full).and_then(|()| {
                            let full = |ZoneFull| Misfit::Revocations { revocations };
                            self.adopt_revocations(&adoption.revocations).map_err(full)
                        });
                        return Some(revoked.map(|()| {
                            self.hold_pushes(adoption.held);
                            self.set_shown(&adoption.shown);
                            adoption.keys.gone()
                        }));
                    }
                }
            }
        }
        None
    }

    /// Returns whether [`Locked::adopt`] would fit.
    pub fn check_fit(&self, keys: &[StreamKey], targets: &[Target]) -> Result<(), Misfit> {
        let nothing = Shown { content: Digest::from_bytes([0; 32]), generation: 0, stamp: 0 };
        let mut adoption = Adoption::new(keys, targets.to_vec(), nothing);
        loop {
            if let Some(outcome) = self.fits(&mut adoption) {
                return outcome;
            }
        }
    }

    /// Takes one step of the check whether an adoption fits. Returns `None` if further steps are needed. Changes
    /// nothing.
    pub fn fits(&self, adoption: &mut Adoption) -> Option<Result<(), Misfit>> {
        if !self.compare_keys(&mut adoption.keys, AT_ONCE) {
            return None;
        }
        let (of_keys, of_targets) = (&adoption.keys, self.plan_targets(&adoption.targets));
        let (keys, targets) = (of_keys.len(), adoption.targets.len());
        let (used, all) = self.zone.usage();
        let room = (all + of_keys.freed() + of_targets.freed()).checked_sub(used + self.reserve());
        Some(match room {
            Some(room) if of_keys.needed() + of_targets.needed() <= room => {
                // Revocations may use half of the blocks that keys leave free.
                let left = room + self.reserve() / 2 - of_keys.needed() - of_targets.needed();
                let revocations = adoption.revocations.len();
                let fit = self.revocations_needed(&adoption.revocations) <= left;
                if fit { Ok(()) } else { Err(Misfit::Revocations { revocations }) }
            }
            Some(room) if of_keys.needed() <= room => Err(Misfit::Targets { keys, targets }),
            _ => Err(Misfit::Keys { keys }),
        })
    }

    /// Records that the state file contains all revocations that the zone has.
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

#[cfg(test)]
mod tests {
    use weir_model::state_file::State;
    use weir_model::target::{TargetId, TargetSource};

    use super::*;
    use crate::block::BlockKind;
    use crate::keys::{KeyRecord, Stage};

    fn bytes_of(state: &State) -> u64 {
        state.encode().len() as u64 - State::default().encode().len() as u64
    }

    fn key(name: &str, note: &str, networks: usize, secrets: usize) -> StreamKey {
        let secret = |n: usize| weir_model::key::KeySecret {
            digest: Digest::of(&[n as u8]),
            expires_at: Some(Timestamp::from_millis(1)),
        };
        StreamKey {
            id: KeyId(u64::MAX),
            app: name.parse().unwrap(),
            stream: name.parse().unwrap(),
            server: Some("[1111:2222:3333:4444:5555:6666:7777:8888]:1935".parse().unwrap()),
            note: note.to_owned(),
            created_at: Timestamp::from_millis(1),
            publish_from: vec!["1111:2222:3333:4444:5555:6666:7777:8888".parse().unwrap(); networks],
            secrets: (0..secrets).map(secret).collect(),
        }
    }

    #[test]
    fn no_state_file_that_fits_is_too_large() {
        let quotes = "\"".repeat(200);
        for (name, note, networks) in
            [("a", "", 0), ("a", quotes.as_str(), 0), ("a", "", 16), ("a", &quotes, 16)]
        {
            for secrets in [1, 2] {
                let key = key(name, note, networks, secrets);
                let records = KeyRecord::of(&key, Stage::Valid);
                let blocks: usize =
                    records.map(|record| BlockKind::Key.blocks_for(record.text().len())).sum();
                let state = State { keys: vec![key], ..State::default() };
                assert!(
                    bytes_of(&state) < max_state_file(blocks as u64 * 128),
                    "{note} {networks} {secrets}"
                );
            }
        }
        for note in ["", &quotes] {
            let target = Target {
                id: TargetId(u64::MAX),
                app: "a".parse().unwrap(),
                stream: "*".parse().unwrap(),
                server: None,
                url: "rtmp://h/a/b".parse().unwrap(),
                enabled: false,
                note: note.to_owned(),
                source: TargetSource::Api,
            };
            let blocks = crate::targets::blocks_for(&target) as u64;
            let state = State { targets: vec![target], ..State::default() };
            assert!(bytes_of(&state) < max_state_file(blocks * 128), "{note}");
        }
    }
}
