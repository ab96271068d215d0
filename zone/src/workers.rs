//! One row a worker: who is alive, and what it left behind when it is not.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::Timestamp;

use crate::{
    Locked, Mutex, Zone, ZoneFull,
    block::{Block, Kind},
    keys,
    layout::WORKERS,
    targets,
};

const DOOR_WORDS: usize = 3;
const DOORS_A_WORD: usize = 3;
const DOOR_BITS: usize = 21;

/// How many sockets for other workers a worker can have.
pub const MAX_DOORS: usize = DOOR_WORDS * DOORS_A_WORD;

#[derive(Default)]
#[repr(C)]
pub(crate) struct WorkerRow {
    pid: AtomicU64,
    generation: AtomicU64,
    since: AtomicU64,
    heartbeat: AtomicU64,
    draining: AtomicU64,
    doors: [AtomicU64; DOOR_WORDS],
}

impl WorkerRow {
    fn doors(&self) -> Vec<u32> {
        let words = self.doors.iter().map(|word| word.load(Relaxed));
        let doors = words.flat_map(|word| (0..DOORS_A_WORD).map(move |at| word >> (at * DOOR_BITS)));
        doors.map_while(|door| (door as u32 & ((1 << DOOR_BITS) - 1)).checked_sub(1)).collect()
    }
}

/// A worker's place in the zone. The generation tells it from an earlier worker of the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerId {
    slot: u32,
    generation: u32,
}

impl WorkerId {
    pub(crate) fn to_word(self) -> u64 {
        u64::from(self.slot) << 32 | u64::from(self.generation)
    }
}

/// What the zone knows of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFacts {
    /// Process id.
    pub pid: u32,
    /// When it started.
    pub since: Timestamp,
    /// When its event loop last came round.
    pub heartbeat: Timestamp,
    /// It was told to quit and serves what it still has.
    pub draining: bool,
    /// Names of its sockets for other workers, in the order of the `server` blocks; below 2^20.
    pub doors: Vec<u32>,
}

impl<M: Mutex> Zone<'_, M> {
    /// Stamps the caller's row: its event loop came round at `now`.
    pub fn heartbeat(&self, worker: WorkerId, now: Timestamp, draining: bool) {
        if let Some(row) = self.worker_row(worker.to_word()) {
            row.heartbeat.store(now.as_millis(), Relaxed);
            row.draining.store(u64::from(draining), Relaxed);
        }
    }

    /// Tells the others where to reach the caller: at most [`MAX_DOORS`] names.
    pub fn set_doors(&self, worker: WorkerId, doors: &[u32]) {
        let Some(row) = self.worker_row(worker.to_word()) else { return };
        let mut doors = doors.chunks(DOORS_A_WORD);
        for word in &row.doors {
            let pack = |word, door: &u32| word << DOOR_BITS | u64::from(door + 1);
            word.store(doors.next().unwrap_or_default().iter().rev().fold(0, pack), Relaxed);
        }
    }

    /// Every worker that registered and has not been found dead.
    pub fn workers(&self) -> Vec<WorkerFacts> {
        let rows = self.root.workers.iter().filter(|row| row.pid.load(Relaxed) != 0);
        rows.map(|row| WorkerFacts {
            pid: row.pid.load(Relaxed) as u32,
            since: Timestamp::from_millis(row.since.load(Relaxed)),
            heartbeat: Timestamp::from_millis(row.heartbeat.load(Relaxed)),
            draining: row.draining.load(Relaxed) != 0,
            doors: row.doors(),
        })
        .collect()
    }

    /// Process id of the worker that a record's owner word names, if that worker still has its row.
    pub(crate) fn owner_pid(&self, owner: u64) -> Option<u32> {
        self.worker_row(owner).map(|row| row.pid.load(Relaxed) as u32).filter(|pid| *pid != 0)
    }

    fn worker_row(&self, owner: u64) -> Option<&WorkerRow> {
        let row = self.root.workers.get((owner >> 32) as usize)?;
        (row.generation.load(Relaxed) & 0xffff_ffff == owner & 0xffff_ffff).then_some(row)
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Gives the calling worker a row. Rows and records of dead workers are freed first; `alive` asks the
    /// kernel about a process id.
    pub fn register(
        &self,
        pid: u32,
        now: Timestamp,
        alive: impl Fn(u32) -> bool,
    ) -> Result<WorkerId, ZoneFull> {
        // A row under the caller's own pid belongs to a dead worker that had the same number.
        self.reclaim(now, |other| other != pid && alive(other));
        let root = self.zone.root;
        let slot = root.workers.iter().position(|row| row.pid.load(Relaxed) == 0).ok_or(ZoneFull)?;
        let generation = (root.next_worker.fetch_add(1, Relaxed) + 1) & 0xffff_ffff;
        let row = &root.workers[slot];
        row.generation.store(generation, Relaxed);
        row.since.store(now.as_millis(), Relaxed);
        row.heartbeat.store(now.as_millis(), Relaxed);
        row.draining.store(0, Relaxed);
        for word in &row.doors {
            word.store(0, Relaxed);
        }
        row.pid.store(u64::from(pid), Relaxed);
        debug_assert!(slot < WORKERS);
        Ok(WorkerId { slot: slot as u32, generation: generation as u32 })
    }

    /// Gives the caller's row back when it exits.
    pub fn unregister(&self, worker: WorkerId, now: Timestamp) {
        if let Some(row) = self.zone.worker_row(worker.to_word()) {
            row.pid.store(0, Relaxed);
        }
        self.free_orphans(now, |_| true);
    }

    /// Frees the rows of workers that are gone, and what was theirs: streams, players, pushes, connections,
    /// unfinished keys and targets. Returns how many streams were freed.
    pub fn reclaim(&self, now: Timestamp, alive: impl Fn(u32) -> bool) -> usize {
        let gone = |row: &&crate::workers::WorkerRow| {
            let pid = row.pid.load(Relaxed) as u32;
            pid != 0 && !alive(pid)
        };
        let gone: Vec<_> = self.zone.root.workers.iter().filter(gone).collect();
        if self.zone.root.orphans.swap(0, Relaxed) == 0 && gone.is_empty() {
            return 0;
        }
        for row in gone {
            row.pid.store(0, Relaxed);
        }
        self.free_orphans(now, alive)
    }

    fn free_orphans(&self, now: Timestamp, alive: impl Fn(u32) -> bool) -> usize {
        let lost = |kind| -> Vec<_> {
            let all = self.records(kind);
            all.filter(|(_, row)| self.zone.owner_pid(crate::streams::owner(row)).is_none()).collect()
        };
        self.forget_lost_connections();
        for (at, row) in lost(Kind::Player) {
            self.remove(self.row_hash(row), at);
        }
        for (at, _) in lost(Kind::Push) {
            self.free_record(at);
        }
        let streams = lost(Kind::Stream);
        for (at, row) in &streams {
            self.end(*at, row, now);
        }
        self.remove_pending(Kind::Key, keys::pending_pid, &alive);
        self.remove_pending(Kind::Target, targets::pending_pid, &alive);
        streams.len()
    }

    /// Removes what a worker that is gone did not finish.
    fn remove_pending(&self, kind: Kind, pid: impl Fn(&Block) -> Option<u32>, alive: impl Fn(u32) -> bool) {
        let lost = self.records(kind).filter(|(_, record)| pid(record).is_some_and(|pid| !alive(pid)));
        let lost: Vec<_> = lost.map(|(at, record)| (at, self.hash_of(record))).collect();
        for (at, hash) in lost {
            self.remove(hash, at);
        }
    }
}
