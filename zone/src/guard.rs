//! What the guard and the rules of publishing refused, by reason.

use std::sync::atomic::Ordering::Relaxed;

use weir_model::{Refusal, guard::Violation};

use crate::{Mutex, Zone, throttle::Bucket};

/// How many reasons the zone can tell apart, by [`Violation::index`]; new ones change nothing in its layout.
pub const GUARD_REASONS: usize = 32;
const _: () = assert!(Violation::COUNT <= GUARD_REASONS);

/// How many reasons to refuse a publish the zone can tell apart, by [`Refusal::index`].
pub const PUBLISH_REASONS: usize = 32;
const _: () = assert!(Refusal::LABELS.len() <= PUBLISH_REASONS);

/// Refusals that were not logged when they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Under what the address is counted.
    pub bucket: Bucket,
    /// The reason of the guard, or the topic, as it was counted.
    pub reason: usize,
    /// How many.
    pub unlogged: u32,
}

impl<M: Mutex> Zone<'_, M> {
    /// The guard refused something, for the reason with this index, below [`GUARD_REASONS`].
    pub fn count_guard(&self, index: usize) {
        if let Some(count) = self.root.guard.get(index) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// What was refused since the zone was made, by all workers, at the index of each reason.
    pub fn guard_counts(&self) -> [u64; GUARD_REASONS] {
        std::array::from_fn(|index| self.root.guard[index].load(Relaxed))
    }

    /// A publish was refused, for the reason with this index, below [`PUBLISH_REASONS`].
    pub fn count_refusal(&self, index: usize) {
        if let Some(count) = self.root.refused.get(index) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// How many publishes were refused since the zone was made, by all workers, at the index of each reason.
    pub fn refusal_counts(&self) -> [u64; PUBLISH_REASONS] {
        std::array::from_fn(|index| self.root.refused[index].load(Relaxed))
    }
}
