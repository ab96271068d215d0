//! Connections an address that have not published or played yet: a table of fixed size, a row an address and
//! worker. Rows of one address stand close together, so that a connection looks at a few of them; when
//! there is no room, what began longest ago is forgotten first, and its address may open some more.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::Timestamp;

use crate::{
    Locked, Mutex, WorkerId, Zone,
    layout::CONNECTIONS,
    throttle::{self, Bucket},
};

/// An address has at most so many rows: as many workers as can have connections of it below the usual limit.
const PROBES: usize = 32;

const SLOT_BITS: u32 = 8;
const COUNT_FROM: u32 = 32 + SLOT_BITS;
const MOST: u64 = (1 << (u64::BITS - COUNT_FROM)) - 1;

#[derive(Default)]
#[repr(C)]
pub(crate) struct ConnectionRow {
    bucket: [AtomicU64; 2],
    since: AtomicU64,
    /// From the lowest bit: generation and place of the worker, number of connections. 0 is a free row.
    owned: AtomicU64,
}

impl ConnectionRow {
    fn is_free(&self) -> bool {
        self.owned.load(Relaxed) == 0
    }

    fn is_of(&self, bucket: [u64; 2]) -> bool {
        !self.is_free() && throttle::are(&self.bucket, bucket)
    }

    /// The worker, as records name their owner.
    fn owner(&self) -> u64 {
        let owned = self.owned.load(Relaxed);
        (owned >> 32 & ((1 << SLOT_BITS) - 1)) << 32 | owned & 0xffff_ffff
    }

    fn count(&self) -> u64 {
        self.owned.load(Relaxed) >> COUNT_FROM
    }

    fn set_count(&self, owner: u64, count: u64) {
        self.owned.store(if count == 0 { 0 } else { count.min(MOST) << COUNT_FROM | owner }, Relaxed);
    }
}

impl<M: Mutex> Zone<'_, M> {
    /// Connections that have not published or played yet, by all workers, as far as the table remembers.
    pub fn unauthenticated(&self) -> u64 {
        self.root.connections.iter().map(ConnectionRow::count).sum()
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// A connection from an address was accepted. False when the address has `limit` of them already over all
    /// workers: then nothing is counted.
    pub fn connection_opened(&self, worker: WorkerId, bucket: Bucket, limit: u32, now: Timestamp) -> bool {
        let (owner, words) = (worker.to_word(), throttle::words(bucket));
        let (mut known, mut own, mut oldest) = (0, None, None);
        for row in self.near(bucket) {
            if row.is_of(words) {
                known += row.count();
                own = own.or(Some(row).filter(|row| row.owner() == owner));
            }
            let since = if row.is_free() { 0 } else { row.since.load(Relaxed) };
            oldest = oldest.filter(|(_, least)| *least <= since).or(Some((row, since)));
        }
        if known >= u64::from(limit) {
            return false;
        }
        if let Some(row) = own {
            row.set_count(owner, row.count() + 1);
        } else if let Some((row, _)) = oldest {
            row.owned.store(0, Relaxed);
            throttle::store(&row.bucket, words);
            row.since.store(now.as_millis(), Relaxed);
            row.set_count(owner, 1);
        }
        true
    }

    /// A connection that was counted published, played or closed. One that was forgotten is ignored.
    pub fn connection_settled(&self, worker: WorkerId, bucket: Bucket) {
        let (owner, words) = (worker.to_word(), throttle::words(bucket));
        let own = self.near(bucket).find(|row| row.is_of(words) && row.owner() == owner);
        if let Some(row) = own {
            row.set_count(owner, row.count().saturating_sub(1));
        }
    }

    /// Forgets the connections of workers that are gone.
    pub(crate) fn forget_lost_connections(&self) {
        for row in &self.zone.root.connections {
            if !row.is_free() && self.zone.owner_pid(row.owner()).is_none() {
                row.owned.store(0, Relaxed);
            }
        }
    }

    /// The rows where an address can stand.
    fn near(&self, bucket: Bucket) -> impl Iterator<Item = &ConnectionRow> {
        let root = self.zone.root;
        let first = self.place_of(&[&bucket]);
        (0..PROBES).map(move |step| &root.connections[(first + step) % CONNECTIONS])
    }
}
