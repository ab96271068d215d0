//! Refusals per address and reason, so that guesses or a flood cannot fill the log: a table of fixed size that drops
//! the entry that began first.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::{
    Timestamp,
    refusal::Topic,
    throttle::{self, GUARD_LOGGED_EACH, KEYS_LOGGED_EACH, LogLine, Window},
};
use zerocopy::FromBytes;

use crate::bucket::{Bucket, are, bytes, store, words};
use crate::hash::{Seed, place_of};
use crate::refusals::GUARD_REASONS;

const ROWS: usize = 256;

/// Refusals that were not logged when they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The key under which the address is counted.
    pub bucket: Bucket,
    /// The reason of the guard, or the topic.
    pub reason: usize,
    /// The number of refusals.
    pub unlogged: u32,
}

const PROBES: usize = 8;
const REASON_FROM: u32 = 56;

/// Reason of the rows that count wrong keys. The reasons of the guard follow, then the other topics of the log.
const WRONG_KEY: u8 = 0;
const GUARD: u8 = 1;
const TOPICS: u8 = GUARD + GUARD_REASONS as u8;
const _: () = assert!(TOPICS as usize + Topic::COUNT <= u8::MAX as usize);

#[derive(Default, FromBytes)]
#[repr(C)]
struct ThrottleRow {
    bucket: [AtomicU64; 2],
    /// Milliseconds, and the reason in the highest byte. 0 marks a free row.
    started: AtomicU64,
    /// Refusals in the lower half, those that were not logged in the upper.
    counts: AtomicU64,
}

impl ThrottleRow {
    fn is_of(&self, bucket: Bucket, reason: u8) -> bool {
        self.started.load(Relaxed) != 0 && self.reason() == reason && are(&self.bucket, words(bucket))
    }

    fn reason(&self) -> u8 {
        (self.started.load(Relaxed) >> REASON_FROM) as u8
    }

    fn started(&self) -> u64 {
        self.started.load(Relaxed) & ((1 << REASON_FROM) - 1)
    }

    fn window(&self) -> Window {
        let counts = self.counts.load(Relaxed);
        Window {
            started: Timestamp::from_millis(self.started()),
            refused: counts as u32,
            unlogged: (counts >> 32) as u32,
        }
    }

    fn set(&self, bucket: Bucket, reason: u8, window: Window) {
        store(&self.bucket, words(bucket));
        let started = window.started.as_millis();
        // A window that has ended leaves the row free.
        let reason = if started == 0 { 0 } else { u64::from(reason) << REASON_FROM };
        self.started.store(started | reason, Relaxed);
        self.counts.store(u64::from(window.unlogged) << 32 | u64::from(window.refused), Relaxed);
    }
}

#[derive(FromBytes)]
#[repr(C)]
pub(crate) struct ThrottleTable([ThrottleRow; ROWS]);

impl Default for ThrottleTable {
    fn default() -> Self {
        Self(std::array::from_fn(|_| ThrottleRow::default()))
    }
}

impl ThrottleTable {
    /// Counts a refusal from an address by its topic ([`Topic::index`]), and returns the log line to write: ten lines
    /// per minute. Wrong keys are the first topic.
    pub(crate) fn refusal(&self, seed: Seed, bucket: Bucket, topic: usize, now: Timestamp) -> LogLine {
        let reason = match topic.min(Topic::COUNT - 1) {
            0 => WRONG_KEY,
            topic => TOPICS + topic as u8,
        };
        self.throttle(seed, bucket, reason, KEYS_LOGGED_EACH, now)
    }

    /// Counts a refusal of the guard, by address and reason (below [`GUARD_REASONS`]), and returns the log line to
    /// write: one line per minute.
    pub(crate) fn guard_refusal(&self, seed: Seed, bucket: Bucket, reason: usize, now: Timestamp) -> LogLine {
        let reason = reason.min(GUARD_REASONS - 1) as u8;
        self.throttle(seed, bucket, GUARD + reason, GUARD_LOGGED_EACH, now)
    }

    /// Returns the addresses and topics whose minute has ended with refusals that were not logged, each once.
    pub(crate) fn refused_since(&self, now: Timestamp) -> Vec<Summary> {
        let which = |reason| reason == WRONG_KEY || reason >= TOPICS;
        self.summaries(which, |window| throttle::due_summary(window, now))
            .map(|(bucket, reason, unlogged)| Summary {
                bucket,
                reason: usize::from(reason.saturating_sub(TOPICS)),
                unlogged,
            })
            .collect()
    }

    /// Returns the addresses and reasons whose minute has ended with refusals of the guard that were not logged, each
    /// once.
    pub(crate) fn guard_refused_since(&self, now: Timestamp) -> Vec<Summary> {
        self.summaries(|reason| (GUARD..TOPICS).contains(&reason), |window| throttle::due_line(window, now))
            .map(|(bucket, reason, unlogged)| Summary {
                bucket,
                reason: usize::from(reason - GUARD),
                unlogged,
            })
            .collect()
    }

    fn throttle(&self, seed: Seed, bucket: Bucket, reason: u8, logged_each: u32, now: Timestamp) -> LogLine {
        let first = place_of(seed, &[&bucket, &[reason]]);
        let probes = (0..PROBES).map(|step| &self.0[(first + step) % ROWS]);
        let known = probes.clone().find(|row| row.is_of(bucket, reason));
        let Some(row) = known.or_else(|| probes.min_by_key(|row| row.started())) else {
            return LogLine::Each;
        };
        let before = if known.is_some() { row.window() } else { Window::default() };
        let (after, line) = throttle::refused(before, logged_each, now);
        row.set(bucket, reason, after);
        line
    }

    fn summaries<'s>(
        &'s self,
        which: impl Fn(u8) -> bool + 's,
        due: impl Fn(Window) -> Option<(Window, u32)> + 's,
    ) -> impl Iterator<Item = (Bucket, u8, u32)> + 's {
        let rows = self.0.iter();
        rows.filter(move |row| row.counts.load(Relaxed) >> 32 != 0 && which(row.reason())).filter_map(
            move |row| {
                let (after, unlogged) = due(row.window())?;
                let (bucket, reason) = (bytes(&row.bucket), row.reason());
                row.set(bucket, reason, after);
                Some((bucket, reason, unlogged))
            },
        )
    }
}
