//! Wrong keys an address, so that a guesser cannot fill the log: a table of fixed size in which the entry
//! that began longest ago is forgotten first.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::{
    Timestamp,
    throttle::{self, LogLine, Window},
};

use crate::{Locked, Mutex, layout::THROTTLED, lock::hash_bytes};

const PROBES: usize = 8;

#[derive(Default)]
#[repr(C)]
pub(crate) struct ThrottleRow {
    bucket: [AtomicU64; 2],
    started: AtomicU64,
    /// Wrong keys in the lower half, those of them that were not logged in the upper.
    counts: AtomicU64,
}

impl ThrottleRow {
    fn bucket(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.bucket[0].load(Relaxed).to_le_bytes());
        bytes[8..].copy_from_slice(&self.bucket[1].load(Relaxed).to_le_bytes());
        bytes
    }

    fn window(&self) -> Window {
        let counts = self.counts.load(Relaxed);
        Window {
            started: Timestamp::from_millis(self.started.load(Relaxed)),
            wrong: counts as u32,
            unlogged: (counts >> 32) as u32,
        }
    }

    fn set(&self, bucket: [u8; 16], window: Window) {
        let (low, high) = bucket.split_at(8);
        for (word, half) in self.bucket.iter().zip([low, high]) {
            word.store(half.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), Relaxed);
        }
        self.started.store(window.started.as_millis(), Relaxed);
        self.counts.store(u64::from(window.unlogged) << 32 | u64::from(window.wrong), Relaxed);
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Counts a wrong key from an address and says what of it belongs into the log.
    pub fn wrong_key(&self, bucket: [u8; 16], now: Timestamp) -> LogLine {
        let rows = &self.zone.root.throttle;
        let first = hash_bytes(&[&bucket]) as usize;
        let probes = (0..PROBES).map(|step| &rows[(first + step) % THROTTLED]);
        let known = probes.clone().find(|row| row.started.load(Relaxed) != 0 && row.bucket() == bucket);
        let Some(row) = known.or_else(|| probes.min_by_key(|row| row.started.load(Relaxed))) else {
            return LogLine::Each;
        };
        let before = if known.is_some() { row.window() } else { Window::default() };
        let (after, line) = throttle::wrong(before, now);
        row.set(bucket, after);
        line
    }

    /// The addresses whose minute is over with wrong keys that were not logged, each told once.
    pub fn throttled_since(&self, now: Timestamp) -> Vec<([u8; 16], u32)> {
        let rows = self.zone.root.throttle.iter().filter(|row| row.counts.load(Relaxed) >> 32 != 0);
        rows.filter_map(|row| {
            let (after, unlogged) = throttle::due_summary(row.window(), now)?;
            let bucket = row.bucket();
            row.set(bucket, after);
            Some((bucket, unlogged))
        })
        .collect()
    }
}
