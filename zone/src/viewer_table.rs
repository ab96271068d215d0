//! HTTP viewers: a table of fixed size with sixteen bytes per viewer, from which nobody can identify a viewer.
//!
//! A viewer may be in four buckets of eight rows: two adjacent ones, and two others. A row is found and refreshed
//! without a lock. Rows are taken and freed under the lock of the zone, together with the change of the counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::viewers::ViewerProtocol;
use zerocopy::FromBytes;

use crate::block::Index;

/// Rows of a bucket.
pub(crate) const ROWS: usize = 8;

/// Position of the end time in a row's word, in tenths of a second of the monotonic clock. Below it are one bit for the
/// kind, and the index of the audience.
const UNTIL_FROM: u32 = 25;
const KIND_AT: u32 = 24;
const AUDIENCE: u64 = (1 << KIND_AT) - 1;
/// Milliseconds of a tenth of a second.
const TENTH_MS: u64 = 100;

/// Identifies a viewer of a stream. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ViewerKey(pub(crate) u64);

/// The content of a row, without the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// Tenths of a second.
    pub(crate) until: u64,
    pub(crate) kind: ViewerProtocol,
    pub(crate) audience: Index,
}

impl Seat {
    /// Returns `None` if the row has too few bits for the index of the audience.
    pub(crate) fn new(until: u64, kind: ViewerProtocol, audience: Index) -> Option<Seat> {
        (u64::from(audience) <= AUDIENCE).then_some(Seat { until, kind, audience })
    }

    fn to_word(self) -> u64 {
        let kind = match self.kind {
            ViewerProtocol::Hls => 0,
            ViewerProtocol::Dash => 1 << KIND_AT,
        };
        self.until << UNTIL_FROM | kind | u64::from(self.audience)
    }

    fn of(word: u64) -> Option<Seat> {
        let kind = if word >> KIND_AT & 1 == 0 { ViewerProtocol::Hls } else { ViewerProtocol::Dash };
        let until = word >> UNTIL_FROM;
        (until != 0).then_some(Seat { until, kind, audience: (word & AUDIENCE) as Index })
    }
}

/// Returns a time in the unit of the rows; never 0.
pub(crate) fn tenths(ms: u64) -> u64 {
    (ms / TENTH_MS).max(1)
}

/// A row is taken while both words are not 0: the key is written first and erased last.
#[derive(Default, FromBytes)]
#[repr(C)]
pub(crate) struct ViewerRow {
    key: AtomicU64,
    seat: AtomicU64,
}

impl ViewerRow {
    pub(crate) fn seat(&self) -> Option<Seat> {
        Seat::of(self.seat.load(Relaxed)).filter(|_| self.key.load(Relaxed) != 0)
    }

    fn is_of(&self, key: ViewerKey) -> bool {
        self.key.load(Relaxed) == key.0
    }

    /// Extends the viewer's time to `until`, unless another viewer has taken the row. Takes no lock.
    fn refresh(&self, key: ViewerKey, until: u64) -> bool {
        loop {
            if !self.is_of(key) {
                return false;
            }
            let word = self.seat.load(Relaxed);
            let Some(seat) = Seat::of(word) else { return false };
            if seat.until >= until {
                return true;
            }
            let next = Seat { until, ..seat }.to_word();
            if self.seat.compare_exchange(word, next, Relaxed, Relaxed).is_ok() {
                return true;
            }
        }
    }

    /// Frees the row, under the lock. Fails if the viewer was refreshed meanwhile. Returns whether the row is free.
    pub(crate) fn vacate(&self, seat: Seat) -> bool {
        #[cfg(test)]
        crate::death::before_store();
        if self.seat.compare_exchange(seat.to_word(), 0, Relaxed, Relaxed).is_err() {
            return false;
        }
        #[cfg(test)]
        crate::death::before_store();
        self.key.store(0, Relaxed);
        true
    }

    /// Gives a free row to a viewer, under the lock.
    pub(crate) fn occupy(&self, key: ViewerKey, seat: Seat) {
        #[cfg(test)]
        crate::death::before_store();
        self.key.store(key.0, Relaxed);
        #[cfg(test)]
        crate::death::before_store();
        self.seat.store(seat.to_word(), Relaxed);
    }
}

/// 128 bytes of the zone.
#[derive(Default, FromBytes)]
#[repr(C, align(128))]
pub struct ViewerBucket([ViewerRow; ROWS]);

/// The table as one process sees it.
#[derive(Clone, Copy)]
pub(crate) struct ViewerTable<'z>(pub(crate) &'z [ViewerBucket]);

impl<'z> ViewerTable<'z> {
    /// Returns the capacity in viewers.
    pub(crate) fn rows(self) -> usize {
        self.0.len() * ROWS
    }

    /// Extends the time of a known viewer to `until`. Returns whether the key is known.
    pub(crate) fn refresh(self, key: ViewerKey, until: u64) -> bool {
        self.find(key).is_some_and(|row| row.refresh(key, until))
    }

    pub(crate) fn find(self, key: ViewerKey) -> Option<&'z ViewerRow> {
        let mut rows = self.halves(key).into_iter().flatten().flat_map(|bucket| &bucket.0);
        rows.find(|row| row.is_of(key) && row.seat().is_some())
    }

    /// Returns the row for a new viewer: a free row, or else the one whose time ends first.
    pub(crate) fn place_for(self, key: ViewerKey) -> Option<&'z ViewerRow> {
        let free = |half: &[&'z ViewerBucket; 2]| {
            half.iter().flat_map(|bucket| &bucket.0).filter(|row| row.seat().is_none()).count()
        };
        let [one, other] = self.halves(key);
        let first = if free(&one) >= free(&other) { one } else { other };
        let mut rows = first.into_iter().flat_map(|bucket| &bucket.0);
        rows.find(|row| row.seat().is_none()).or_else(|| {
            let all = self.halves(key).into_iter().flatten().flat_map(|bucket| &bucket.0);
            all.min_by_key(|row| row.seat().map_or(0, |seat| seat.until))
        })
    }

    /// Returns the buckets that a viewer may use.
    fn halves(self, key: ViewerKey) -> [[&'z ViewerBucket; 2]; 2] {
        // A table has at least one bucket (`Plan::for_bytes`).
        let bucket = |at: usize| &self.0[at % self.0.len()];
        let half = |hash: u64| {
            let at = ((u128::from(hash) * self.0.len() as u128) >> 64) as usize;
            [bucket(at), bucket(at + 1)]
        };
        [half(key.0), half(key.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32))]
    }

    pub(crate) fn all(self) -> impl Iterator<Item = &'z ViewerRow> {
        self.0.iter().flat_map(|bucket| &bucket.0)
    }

    /// Returns the rows of `count` buckets from `first` on, and continues at the start after the end.
    pub(crate) fn part(self, first: usize, count: usize) -> impl Iterator<Item = &'z ViewerRow> {
        let buckets = (first..first + count.min(self.0.len())).map(move |at| &self.0[at % self.0.len()]);
        buckets.flat_map(|bucket| &bucket.0)
    }

    /// Frees the rows that a dead worker left half written or half erased.
    pub(crate) fn repair(self) {
        for row in self.all().filter(|row| row.seat().is_none()) {
            row.seat.store(0, Relaxed);
            row.key.store(0, Relaxed);
        }
    }
}
