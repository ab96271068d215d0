//! Connections per address that have not published or played yet: a table of fixed size with one row per address and
//! worker. Rows of one address are close together, so that each connection reads only a few rows. If the table is full,
//! the oldest row is dropped, and its address may open some more connections.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::Timestamp;
use zerocopy::FromBytes;

use crate::bucket::{self, Bucket};
use crate::hash::{Seed, place_of};

const ROWS: usize = 512;

/// The most rows of one address: the number of workers that can have connections of it below the default limit.
const PROBES: usize = 32;

/// A time in milliseconds takes 41 bits until the year 2039, and 44 until 2527.
const COUNT_BITS: u32 = 20;
const MOST: u64 = (1 << COUNT_BITS) - 1;

#[derive(Default, FromBytes)]
#[repr(C)]
struct ConnectionRow {
    bucket: [AtomicU64; 2],
    /// The owning worker, as in records. 0 marks a free row.
    owner: AtomicU64,
    /// The time when the row was taken, in milliseconds, shifted above the number of connections.
    counted: AtomicU64,
}

impl ConnectionRow {
    fn is_free(&self) -> bool {
        self.owner() == 0
    }

    fn is_of(&self, bucket: [u64; 2]) -> bool {
        !self.is_free() && bucket::are(&self.bucket, bucket)
    }

    fn owner(&self) -> u64 {
        self.owner.load(Relaxed)
    }

    fn since(&self) -> u64 {
        self.counted.load(Relaxed) >> COUNT_BITS
    }

    fn count(&self) -> u64 {
        if self.is_free() { 0 } else { self.counted.load(Relaxed) & MOST }
    }

    fn set_count(&self, count: u64) {
        if count == 0 {
            self.free();
        } else {
            self.counted.store(self.since() << COUNT_BITS | count.min(MOST), Relaxed);
        }
    }

    fn free(&self) {
        self.owner.store(0, Relaxed);
    }
}

#[derive(FromBytes)]
#[repr(C)]
pub(crate) struct ConnectionTable([ConnectionRow; ROWS]);

impl Default for ConnectionTable {
    fn default() -> Self {
        Self(std::array::from_fn(|_| ConnectionRow::default()))
    }
}

impl ConnectionTable {
    /// Returns the number of connections that have not published or played yet, over all workers, as far as the table
    /// has them.
    pub(crate) fn unauthenticated(&self) -> u64 {
        self.0.iter().map(ConnectionRow::count).sum()
    }

    /// Counts an accepted connection of an address. Returns false and counts nothing if the address already has `limit`
    /// connections over all workers.
    pub(crate) fn opened(&self, seed: Seed, owner: u64, bucket: Bucket, limit: u32, now: Timestamp) -> bool {
        let words = bucket::words(bucket);
        let (mut known, mut own, mut oldest) = (0, None, None);
        for row in self.near(seed, bucket) {
            if row.is_of(words) {
                known += row.count();
                own = own.or(Some(row).filter(|row| row.owner() == owner));
            }
            let since = if row.is_free() { 0 } else { row.since() };
            oldest = oldest.filter(|(_, least)| *least <= since).or(Some((row, since)));
        }
        if known >= u64::from(limit) {
            return false;
        }
        if let Some(row) = own {
            row.set_count(row.count() + 1);
        } else if let Some((row, _)) = oldest {
            row.free();
            bucket::store(&row.bucket, words);
            row.counted.store(now.as_millis() << COUNT_BITS | 1, Relaxed);
            row.owner.store(owner, Relaxed);
        }
        true
    }

    /// Returns how many connections of an address are counted, over all workers.
    pub(crate) fn of(&self, seed: Seed, bucket: Bucket) -> u64 {
        let words = bucket::words(bucket);
        self.near(seed, bucket).filter(|row| row.is_of(words)).map(ConnectionRow::count).sum()
    }

    /// Ends the count of a connection that has published, played or closed. Ignores a connection whose row was dropped.
    pub(crate) fn settled(&self, seed: Seed, owner: u64, bucket: Bucket) {
        let words = bucket::words(bucket);
        let own = self.near(seed, bucket).find(|row| row.is_of(words) && row.owner() == owner);
        if let Some(row) = own {
            row.set_count(row.count().saturating_sub(1));
        }
    }

    /// Drops the connections of dead workers.
    pub(crate) fn forget_lost(&self, is_alive: impl Fn(u64) -> bool) {
        for row in &self.0 {
            if !row.is_free() && !is_alive(row.owner()) {
                row.free();
            }
        }
    }

    /// Returns the rows that an address may use.
    fn near(&self, seed: Seed, bucket: Bucket) -> impl Iterator<Item = &ConnectionRow> {
        let first = place_of(seed, &[&bucket]);
        (0..PROBES).map(move |step| &self.0[(first + step) % ROWS])
    }
}
