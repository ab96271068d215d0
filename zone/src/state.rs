//! What the zone knows of the state file, and how it is brought in line with one.
//!
//! The file is identified by the checksum of its content: two files can have the same generation. Whoever calls
//! [`Locked::adopt`] holds the lock of the file as well, from before it was read.

use std::sync::atomic::Ordering::Relaxed;

use weir_model::{Digest, KeyId, StreamKey, Timestamp, target::Target, token::Revocation};

use crate::arena::{Locked, Mutex, Zone};
use crate::error::ZoneFull;
use crate::hash::hash_bytes;
use crate::keys::plan::KeyPlan;

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
    /// Keys and targets fit, and the revoked tokens do not.
    #[error("{revocations} revocations of tokens of the state file do not fit: a larger zone is needed")]
    Revocations {
        /// How many there are.
        revocations: usize,
    },
}

/// The most bytes that a state file has whose keys and targets a zone of so many bytes can hold.
///
/// The line of a record has less than four times the bytes of the record's blocks: each key has at most two secrets with a
/// record each, and a text or a network takes at most three times its bytes.
#[must_use]
pub fn max_state_file(zone_size: u64) -> u64 {
    zone_size.saturating_mul(4)
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

/// How many records are looked at or changed in one step: about a millisecond.
const AT_ONCE: usize = 1000;

/// A state file on its way into the zone.
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
        /// The room of targets that the state file does not have is needed for keys.
        needs_room: bool,
    },
}

impl Adoption {
    /// Of which nothing is done yet. Takes a while where there are many keys, and needs no zone: for a thread.
    #[must_use]
    pub fn new(keys: &[StreamKey], targets: Vec<Target>, shown: Shown) -> Adoption {
        let (revocations, held) = (Vec::new(), false);
        Adoption { keys: KeyPlan::new(keys), targets, revocations, held, shown, step: Step::Compare }
    }

    /// The same, of a state file that has these revocations of tokens too.
    #[must_use]
    pub fn revoking(self, revocations: Vec<Revocation>) -> Adoption {
        Adoption { revocations, ..self }
    }

    /// The same, of a state file that says whether pushes are held.
    #[must_use]
    pub fn holding(self, held: bool) -> Adoption {
        Adoption { held, ..self }
    }

    /// The state file that it shows.
    #[must_use]
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Keys and targets.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        (self.keys.len(), self.targets.len())
    }
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

    /// Whether a key or tokens were revoked and the state file may not say so.
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
        self.adopt_whole(Adoption::new(keys, targets.to_vec(), *shown))
    }

    /// As [`Locked::adopt`], of all that a state file has.
    pub fn adopt_whole(&self, mut adoption: Adoption) -> Result<Vec<KeyId>, Misfit> {
        loop {
            if let Some(outcome) = self.adopt_some(&mut adoption) {
                return outcome;
            }
        }
    }

    /// As [`Locked::adopt`], one step of it: `None` where others follow. The lock may be given back between two steps; that
    /// of the file may not.
    pub fn adopt_some(&self, adoption: &mut Adoption) -> Option<Result<Vec<KeyId>, Misfit>> {
        let (keys, targets) = (adoption.keys.len(), adoption.targets.len());
        let full = |ZoneFull| Misfit::Targets { keys, targets };
        match adoption.step {
            Step::Compare => match self.fits(adoption)? {
                Err(misfit) => return Some(Err(misfit)),
                Ok(()) => {
                    // Whoever dies in between leaves a zone that shows no file.
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
                // A target that is changed is never seen to be gone, unless its room is needed.
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

    /// Whether [`Locked::adopt`] would find room.
    pub fn check_fit(&self, keys: &[StreamKey], targets: &[Target]) -> Result<(), Misfit> {
        let nothing = Shown { content: Digest::from_bytes([0; 32]), generation: 0, stamp: 0 };
        let mut adoption = Adoption::new(keys, targets.to_vec(), nothing);
        loop {
            if let Some(outcome) = self.fits(&mut adoption) {
                return outcome;
            }
        }
    }

    /// Whether an adoption finds room: one step of the comparison, and `None` where others follow. Changes nothing.
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
                // Half of what keys leave free is for them.
                let left = room + self.reserve() / 2 - of_keys.needed() - of_targets.needed();
                let revocations = adoption.revocations.len();
                let fit = self.revocations_needed(&adoption.revocations) <= left;
                if fit { Ok(()) } else { Err(Misfit::Revocations { revocations }) }
            }
            Some(room) if of_keys.needed() <= room => Err(Misfit::Targets { keys, targets }),
            _ => Err(Misfit::Keys { keys }),
        })
    }

    /// The state file has all that was revoked, as far as the zone knows.
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
