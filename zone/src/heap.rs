//! A zone in the memory of this process instead of nginx's shared memory, for tests and benchmarks.

use std::{
    cell::LazyCell,
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Acquire, Release},
    },
    time::{Duration, Instant},
};

use crate::arena::{Mutex, Zone};
use crate::block::Block;
use crate::layout::{Plan, Root};
use crate::viewer_table::ViewerBucket;

const PATIENCE: Duration = Duration::from_secs(5);

/// Zeroed memory, as nginx maps it, and its lock.
pub struct Heap {
    root: Box<Root>,
    heads: Vec<AtomicU64>,
    viewers: Vec<ViewerBucket>,
    blocks: Vec<Block>,
    lock: SpinLock,
}

impl Heap {
    /// Returns formatted memory for a zone of `size` bytes, of which `piece` are available to Weir. Returns `None` if
    /// that is too little.
    #[must_use]
    pub fn new(size: usize, piece: usize) -> Option<Heap> {
        let plan = Plan::for_bytes(piece)?;
        let heap = Heap {
            root: Box::default(),
            heads: (0..plan.heads).map(|_| AtomicU64::default()).collect(),
            viewers: (0..plan.viewers).map(|_| ViewerBucket::default()).collect(),
            blocks: (0..plan.blocks).map(|_| Block::default()).collect(),
            lock: SpinLock::default(),
        };
        heap.root.initialise(size, piece, 0, [0x5eed, 0xf00d, 0xcafe]);
        heap.zone().format(1);
        Some(heap)
    }

    /// Returns the zone as one of its processes sees it.
    pub fn zone(&self) -> Zone<'_, &SpinLock> {
        Zone::new(&self.root, &self.heads, &self.viewers, &self.blocks, &self.lock)
    }

    /// Breaks the lock of a holder that died, as the master of nginx does.
    pub fn break_lock(&self) {
        Mutex::unlock(&&self.lock);
    }
}

/// A lock between threads. A thread that waits for more than five seconds panics, because the holder is dead or waits
/// for itself.
#[derive(Default)]
pub struct SpinLock(AtomicBool);

impl Mutex for &SpinLock {
    fn lock(&self) {
        let since = LazyCell::new(Instant::now);
        while self.0.swap(true, Acquire) {
            std::thread::yield_now();
            assert!(since.elapsed() < PATIENCE, "the zone's lock is never given back");
        }
    }

    fn try_lock(&self) -> bool {
        !self.0.swap(true, Acquire)
    }

    fn unlock(&self) {
        self.0.store(false, Release);
    }
}
