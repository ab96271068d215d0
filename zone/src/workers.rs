//! One row per worker: which workers are alive, and which records a dead worker left.
//!
//! A row is a block, so that only memory limits their number: workers of earlier configurations keep their rows until
//! their last session ends. The rows are linked, so that they can be listed.

use std::sync::atomic::Ordering::Relaxed;

use weir_model::{Server, ServerAddr, Timestamp};

use crate::arena::{Locked, Mutex, Zone};
use crate::block::{Block, BlockKind, Index, WORDS, pack, unpack};
use crate::error::ZoneFull;
use crate::hash::hash_bytes;

/// The worker's process id in the lower half, its master's in the upper.
const PROCESS: usize = 2;
const GENERATION: usize = 3;
const SINCE: usize = 4;
const HEARTBEAT: usize = 5;
const DRAINING: usize = 6;
const DOORS: usize = 7;

/// Bits of a door's name in its word; the other bits are the hash of an address of its `server` block.
const NAME_BITS: u32 = 21;

/// The most addresses of `server` blocks for which a worker can publish sockets to the others.
pub const MAX_DOORS: usize = WORDS - DOORS;

/// A socket of a worker for other workers, and an address of the `server` block that it serves. A block with several
/// addresses may have several doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// The name of the socket, below 2^20.
    pub name: u32,
    mark: u64,
}

impl Door {
    /// Returns the door with socket `name` for the block that listens on `addr`; `None` means the block without
    /// addresses.
    #[must_use]
    pub fn new(name: u32, addr: Option<&ServerAddr>) -> Door {
        Door { name, mark: mark(addr) }
    }

    /// Returns whether the door serves this block.
    #[must_use]
    pub fn is_for(&self, server: &Server) -> bool {
        match server.addresses() {
            [] => self.mark == mark(None),
            addresses => addresses.iter().any(|addr| self.mark == mark(Some(addr))),
        }
    }
}

/// Returns a hash of an address, in the bits that a door's name leaves free in its word.
fn mark(addr: Option<&ServerAddr>) -> u64 {
    hash_bytes(&[addr.map_or("", ServerAddr::as_str).as_bytes()]) >> NAME_BITS
}

pub(crate) fn pid(row: &Block) -> u32 {
    row.word(PROCESS) as u32
}

fn doors(row: &Block) -> Vec<Door> {
    let door = |word: u64| {
        let name = (word as u32 & ((1 << NAME_BITS) - 1)).checked_sub(1)?;
        Some(Door { name, mark: word >> NAME_BITS })
    };
    (DOORS..WORDS).map_while(|at| door(row.word(at))).collect()
}

/// A worker's row in the zone. The generation distinguishes it from an earlier worker in the same row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerId {
    pub(crate) slot: u32,
    generation: u32,
}

impl WorkerId {
    pub(crate) fn to_word(self) -> u64 {
        u64::from(self.slot) << 32 | u64::from(self.generation)
    }
}

/// The zone's facts about a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFacts {
    /// Process id.
    pub pid: u32,
    /// Process id of its master; `None` if the worker has not noted it.
    pub master: Option<u32>,
    /// When it started.
    pub since: Timestamp,
    /// The time of the last run of its event loop.
    pub heartbeat: Timestamp,
    /// Whether it was told to quit and serves only its remaining sessions.
    pub draining: bool,
    /// Its sockets for other workers.
    pub doors: Vec<Door>,
}

impl<M: Mutex> Zone<'_, M> {
    /// Records that the caller's event loop ran at `now`.
    pub fn heartbeat(&self, worker: WorkerId, now: Timestamp, draining: bool) {
        if let Some(row) = self.worker_row(worker.to_word()) {
            row.set(HEARTBEAT, now.as_millis());
            row.set(DRAINING, u64::from(draining));
        }
    }

    /// Notes the process id of the caller's master.
    pub fn set_master(&self, worker: WorkerId, master: u32) {
        if let Some(row) = self.worker_row(worker.to_word()) {
            row.set(PROCESS, u64::from(master) << 32 | u64::from(pid(row)));
        }
    }

    /// Publishes the sockets of the caller to the other workers, at most [`MAX_DOORS`].
    pub fn set_doors(&self, worker: WorkerId, doors: &[Door]) {
        let Some(row) = self.worker_row(worker.to_word()) else { return };
        let mut doors = doors.iter();
        for at in DOORS..WORDS {
            let pack = |door: &Door| door.mark << NAME_BITS | u64::from(door.name + 1);
            row.set(at, doors.next().map_or(0, pack));
        }
    }

    /// Returns the process id of the worker in a record's owner word, if that worker still has its row.
    pub(crate) fn owner_pid(&self, owner: u64) -> Option<u32> {
        self.worker_row(owner).map(pid)
    }

    pub(crate) fn worker_row(&self, owner: u64) -> Option<&Block> {
        let row = self.block((owner >> 32) as Index)?;
        (row.kind() == BlockKind::Worker && row.word(GENERATION) == owner & 0xffff_ffff).then_some(row)
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Returns every worker that registered and has not been found dead, the oldest first.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerFacts> {
        let facts = |row: &Block| WorkerFacts {
            pid: pid(row),
            master: Some((row.word(PROCESS) >> 32) as u32).filter(|master| *master != 0),
            since: Timestamp::from_millis(row.word(SINCE)),
            heartbeat: Timestamp::from_millis(row.word(HEARTBEAT)),
            draining: row.word(DRAINING) != 0,
            doors: doors(row),
        };
        let mut workers: Vec<WorkerFacts> = self.worker_rows().map(|(_, row)| facts(row)).collect();
        workers.reverse();
        workers
    }

    pub(crate) fn enter_row(&self, pid: u32, now: Timestamp) -> Result<WorkerId, ZoneFull> {
        let root = self.zone.root;
        let generation = (root.next_worker.fetch_add(1, Relaxed) + 1) & 0xffff_ffff;
        let before = unpack(root.last_worker.load(Relaxed));
        let slot = self.write(BlockKind::Worker, &[], 0, |row| {
            row.set(PROCESS, pid.into());
            row.set(GENERATION, generation);
            row.set(SINCE, now.as_millis());
            row.set(HEARTBEAT, now.as_millis());
            row.set_next(before);
        })?;
        root.last_worker.store(pack(Some(slot)), Relaxed);
        root.workers.fetch_add(1, Relaxed);
        Ok(WorkerId { slot, generation: generation as u32 })
    }

    /// Frees the rows of these workers.
    pub(crate) fn free_workers(&self, which: impl Fn(Index, &Block) -> bool) {
        let rows: Vec<(Index, &Block)> = self.worker_rows().collect();
        let (gone, left): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(at, row)| which(*at, row));
        self.string_workers(&left);
        for (at, _) in gone {
            self.free_record(at);
        }
    }

    /// Rebuilds the list of rows after a worker died with the lock.
    pub(crate) fn repair_workers(&self) {
        let mut rows: Vec<(Index, &Block)> = self.records(BlockKind::Worker).collect();
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.word(GENERATION)));
        self.string_workers(&rows);
    }

    /// Makes these rows, the youngest first, the list of workers.
    fn string_workers(&self, rows: &[(Index, &Block)]) {
        for (nth, (_, row)) in rows.iter().enumerate() {
            row.set_next(rows.get(nth + 1).map(|(at, _)| *at));
        }
        self.zone.root.last_worker.store(pack(rows.first().map(|(at, _)| *at)), Relaxed);
        self.zone.root.workers.store(rows.len() as u64, Relaxed);
    }

    /// Returns the rows of workers, the youngest first.
    pub(crate) fn worker_rows(&self) -> impl Iterator<Item = (Index, &Block)> {
        let rows = self.follow(unpack(self.zone.root.last_worker.load(Relaxed)));
        rows.filter(|(_, row)| row.kind() == BlockKind::Worker)
    }
}
