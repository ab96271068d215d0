//! Registers workers, and removes the records of dead ones.

use std::sync::atomic::Ordering::Relaxed;

use weir_model::Timestamp;

use crate::arena::{Locked, Mutex};
use crate::block::{Block, BlockKind};
use crate::error::ZoneFull;
use crate::workers::{self, WorkerId};
use crate::{keys, streams, targets};

impl<M: Mutex> Locked<'_, '_, M> {
    /// Gives the calling worker a row. First frees the rows and records of dead workers; `alive` asks the kernel about
    /// a process id.
    ///
    /// # Errors
    ///
    /// The zone is full, and all blocks that are reserved for workers are in use.
    pub fn register(
        &self,
        pid: u32,
        now: Timestamp,
        alive: impl Fn(u32) -> bool,
    ) -> Result<WorkerId, ZoneFull> {
        // A row with the caller's own pid belongs to a dead worker that had the same process id.
        self.reclaim(now, |other| other != pid && alive(other));
        self.enter_row(pid, now)
    }

    /// Frees the caller's row when it exits.
    pub fn unregister(&self, worker: WorkerId, now: Timestamp) {
        if self.zone.worker_row(worker.to_word()).is_some() {
            self.free_workers(|at, _| at == worker.slot);
        }
        self.free_orphans(now, |_| true);
    }

    /// Frees the rows of dead workers and their streams, players, pushes, connections, and unfinished keys and targets.
    /// Returns how many streams were freed.
    pub fn reclaim(&self, now: Timestamp, alive: impl Fn(u32) -> bool) -> usize {
        let gone = self.worker_rows().any(|(_, row)| !alive(workers::pid(row)));
        if self.zone.root.orphans.swap(0, Relaxed) == 0 && !gone {
            return 0;
        }
        if gone {
            self.free_workers(|_, row| !alive(workers::pid(row)));
        }
        self.free_orphans(now, alive)
    }

    fn free_orphans(&self, now: Timestamp, alive: impl Fn(u32) -> bool) -> usize {
        let lost = |kind| -> Vec<_> {
            let all = self.records(kind);
            all.filter(|(_, row)| self.zone.owner_pid(streams::owner(row)).is_none()).collect()
        };
        self.zone.root.connections.forget_lost(|owner| self.zone.owner_pid(owner).is_some());
        for (at, row) in lost(BlockKind::Player) {
            self.free_player(at, row);
        }
        for (at, _) in lost(BlockKind::Push) {
            self.free_record(at);
        }
        let streams = lost(BlockKind::Stream);
        for (at, row) in &streams {
            self.end(*at, row, now);
        }
        self.remove_pending(BlockKind::Key, keys::key_hash, keys::pending_pid, &alive);
        self.remove_pending(BlockKind::Target, targets::target_hash, targets::pending_pid, &alive);
        streams.len()
    }

    /// Removes the unfinished records of a dead worker.
    fn remove_pending(
        &self,
        kind: BlockKind,
        hash: impl Fn(&Block) -> u64,
        pid: impl Fn(&Block) -> Option<u32>,
        alive: impl Fn(u32) -> bool,
    ) {
        let lost = self.records(kind).filter(|(_, record)| pid(record).is_some_and(|pid| !alive(pid)));
        let lost: Vec<_> = lost.map(|(at, record)| (at, hash(record))).collect();
        for (at, hash) in lost {
            self.remove(hash, at);
        }
    }
}
