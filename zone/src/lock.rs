//! The lock of the zone, and the repair after a worker died with it.

use std::sync::atomic::Ordering::Relaxed;

use crate::arena::{Locked, Mutex, Zone};
use crate::block::{Block, BlockKind, Index};
use crate::{keys, targets};

impl<'z, M: Mutex> Zone<'z, M> {
    /// Puts every block on the free list, once, on fresh memory.
    pub fn format(&self, pid: u32) {
        self.root.inside.store(u64::from(pid), Relaxed);
        drop(self.lock(pid));
    }

    /// Locks the zone for a change of its structure. `pid` is the caller's own process id.
    pub fn lock(&self, pid: u32) -> Locked<'_, 'z, M> {
        self.mutex.lock();
        self.enter(pid)
    }

    /// Locks the zone if the lock is free. The master uses this function: it must not wait for a process that died with
    /// the lock, because only the master can break it.
    pub fn try_lock(&self, pid: u32) -> Option<Locked<'_, 'z, M>> {
        self.mutex.try_lock().then(|| self.enter(pid))
    }

    fn enter(&self, pid: u32) -> Locked<'_, 'z, M> {
        let locked = Locked { zone: self };
        if self.root.inside.swap(u64::from(pid), Relaxed) != 0 {
            locked.repair();
        }
        locked
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Rebuilds chains and free list from the tags of the blocks. Complete records stay; blocks of an incomplete record
    /// are freed.
    fn repair(&self) {
        let zone = self.zone;
        zone.root.orphans.store(1, Relaxed);
        let mut reachable = vec![false; zone.blocks.len()];
        for head in zone.heads {
            head.store(0, Relaxed);
        }
        for (index, record) in (0..).zip(zone.blocks).filter(|(_, block)| block.kind().is_record()) {
            reachable[index as usize] = true;
            if record.kind().is_chained() {
                self.link(self.hash_of(record), index, record);
                self.link_second(index, record);
            }
            let mut tail = record.tail();
            while let Some(block) = tail.and_then(|at| zone.block(at)).filter(|b| b.kind() == BlockKind::Tail)
            {
                let Some(seen) = tail.and_then(|at| reachable.get_mut(at as usize)) else { break };
                if std::mem::replace(seen, true) {
                    break;
                }
                tail = block.tail();
            }
        }
        self.repair_events();
        self.repair_workers();
        zone.root.free.store(0, Relaxed);
        zone.root.used.store(zone.blocks.len() as u64, Relaxed);
        // Starts from the end, so that the first blocks are taken first and few blocks are ever used.
        for (index, block) in zone.blocks.iter().enumerate().rev() {
            if !reachable[index] {
                self.give_back(index as Index, block);
            }
        }
        self.repair_targets();
        self.revocations_changed();
        self.recount_audiences();
    }

    fn hash_of(&self, record: &Block) -> u64 {
        match record.kind() {
            BlockKind::Stream | BlockKind::Player => self.row_hash(record),
            BlockKind::Target => targets::target_hash(record),
            BlockKind::Audience => self.audience_hash(record),
            _ => keys::key_hash(record),
        }
    }
}
