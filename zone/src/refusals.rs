//! Counts of the refusals by the guard and by the publish rules, by reason.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::{Refusal, guard::Violation};
use zerocopy::FromBytes;

/// Capacity for reasons of the guard, by [`Violation::index`], so that new reasons do not change the layout.
pub const GUARD_REASONS: usize = 32;
const _: () = assert!(Violation::COUNT <= GUARD_REASONS);

/// Capacity for reasons to refuse a publish, by [`Refusal::index`].
pub const PUBLISH_REASONS: usize = 48;
const _: () = assert!(Refusal::LABELS.len() <= PUBLISH_REASONS);

/// Counters that only rise.
#[derive(FromBytes)]
#[repr(C)]
pub(crate) struct RefusalCounts {
    guard: [AtomicU64; GUARD_REASONS],
    publish: [AtomicU64; PUBLISH_REASONS],
}

impl Default for RefusalCounts {
    fn default() -> RefusalCounts {
        RefusalCounts {
            guard: std::array::from_fn(|_| AtomicU64::default()),
            publish: std::array::from_fn(|_| AtomicU64::default()),
        }
    }
}

impl RefusalCounts {
    pub(crate) fn count_guard(&self, index: usize) {
        if let Some(count) = self.guard.get(index) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn guard_counts(&self) -> [u64; GUARD_REASONS] {
        std::array::from_fn(|index| self.guard[index].load(Relaxed))
    }

    pub(crate) fn count_publish(&self, index: usize) {
        if let Some(count) = self.publish.get(index) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn publish_counts(&self) -> [u64; PUBLISH_REASONS] {
        std::array::from_fn(|index| self.publish[index].load(Relaxed))
    }
}
