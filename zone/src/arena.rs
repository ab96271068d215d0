//! The zone, and the operations that need its lock: blocks and hash chains.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::block::{Block, BlockKind, Index, LOW, pack, unpack};
use crate::error::ZoneFull;
use crate::hash::{Seed, mix};
use crate::layout::{KEPT_FOR_WORKERS, Root};
use crate::viewer_table::ViewerBucket;

/// A lock between processes. The master of nginx breaks it when its holder dies (`ngx_shmtx_lock` on the mutex of the
/// zone's slab pool).
pub trait Mutex {
    /// Waits until it has the lock.
    fn lock(&self);
    /// Takes the lock if it is free. Returns whether the caller has it now.
    fn try_lock(&self) -> bool;
    /// Releases the lock.
    fn unlock(&self);
}

/// The zone as one process sees it.
pub struct Zone<'z, M> {
    pub(crate) root: &'z Root,
    pub(crate) heads: &'z [AtomicU64],
    pub(crate) viewers: &'z [ViewerBucket],
    pub(crate) blocks: &'z [Block],
    pub(crate) mutex: M,
}

impl<'z, M: Mutex> Zone<'z, M> {
    /// Returns a view of initialised memory. `heads.len()` is a power of two.
    pub fn new(
        root: &'z Root,
        heads: &'z [AtomicU64],
        viewers: &'z [ViewerBucket],
        blocks: &'z [Block],
        mutex: M,
    ) -> Self {
        Zone { root, heads, viewers, blocks, mutex }
    }

    /// Returns a counter that rises with each order in a row for its worker.
    pub fn orders(&self) -> u64 {
        self.root.orders.load(Relaxed)
    }

    /// Returns the number of blocks in use, and of all blocks. Blocks of events do not count as used, because other
    /// records may take them. Blocks that are reserved for workers count in neither number.
    pub fn usage(&self) -> (usize, usize) {
        let apart =
            self.root.event_blocks.load(Relaxed) as usize + KEPT_FOR_WORKERS - self.kept_for_workers();
        let used = (self.root.used.load(Relaxed) as usize).saturating_sub(apart);
        (used, self.blocks.len() - KEPT_FOR_WORKERS)
    }

    /// Returns the number of blocks that only workers may take.
    fn kept_for_workers(&self) -> usize {
        KEPT_FOR_WORKERS.saturating_sub(self.root.workers.load(Relaxed) as usize)
    }

    /// Returns the number of bytes in use, of [`Root::size`].
    pub fn used_bytes(&self) -> u64 {
        let (used, all) = self.usage();
        let fixed = self.root.size().saturating_sub((all * size_of::<Block>()) as u64);
        fixed + (used * size_of::<Block>()) as u64
    }

    /// Returns the size from the configuration, in bytes.
    pub fn size(&self) -> u64 {
        self.root.size()
    }

    /// Counts an accepted connection.
    pub fn count_accepted(&self) {
        self.root.accepted.fetch_add(1, Relaxed);
    }

    /// Returns the number of connections that all workers have accepted since the zone was created.
    pub fn accepted(&self) -> u64 {
        self.root.accepted.load(Relaxed)
    }

    pub(crate) fn seed(&self) -> Seed {
        self.root.seed.load(Relaxed)
    }

    pub(crate) fn block(&self, at: Index) -> Option<&'z Block> {
        self.blocks.get(at as usize)
    }
}

/// The zone while only this process may change its structure.
pub struct Locked<'l, 'z, M: Mutex> {
    pub(crate) zone: &'l Zone<'z, M>,
}

impl<M: Mutex> Drop for Locked<'_, '_, M> {
    fn drop(&mut self) {
        // After a panic the mark stays, so that the next holder repairs the zone.
        if !std::thread::panicking() {
            self.zone.root.inside.store(0, Relaxed);
        }
        #[cfg(test)]
        crate::effort::end();
        self.zone.mutex.unlock();
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Returns the number of blocks that keys must leave free, so that streams can start in a zone full of keys.
    pub(crate) fn reserve(&self) -> usize {
        self.zone.blocks.len() / 8
    }

    pub(crate) fn order(&self) {
        self.zone.root.orders.fetch_add(1, Relaxed);
    }

    /// Returns how many blocks, from the first on, may be in use.
    pub(crate) fn touched(&self) -> usize {
        self.zone.root.touched.load(Relaxed) as usize
    }

    /// Returns every record of a kind with its index.
    pub(crate) fn records(&self, kind: BlockKind) -> impl Iterator<Item = (Index, &Block)> {
        (0..).zip(self.zone.blocks).take(self.touched()).filter(move |(_, block)| block.kind() == kind)
    }

    /// Returns the records of a range of blocks, with their indexes.
    pub(crate) fn records_from(
        &self,
        kind: BlockKind,
        from: usize,
        to: usize,
    ) -> impl Iterator<Item = (Index, &Block)> {
        let end = to.min(self.touched()).min(self.zone.blocks.len());
        let blocks = self.zone.blocks.get(from..end).unwrap_or_default();
        (from as Index..).zip(blocks).filter(move |(_, block)| block.kind() == kind)
    }

    /// Returns how many blocks a record takes.
    pub(crate) fn blocks_of(&self, record: &Block) -> usize {
        let mut tail = record.tail();
        for blocks in 1..=self.zone.blocks.len() {
            let Some(block) = tail.and_then(|at| self.zone.block(at)) else { return blocks };
            tail = block.tail();
        }
        1
    }

    /// Returns the records of one hash chain. The iteration ends even if damage has turned the chain into a ring.
    pub(crate) fn chain(&self, hash: u64) -> impl Iterator<Item = (Index, &Block)> {
        self.follow(unpack(self.head(hash).load(Relaxed) & LOW))
    }

    /// Returns the records of one second chain ([`BlockKind::second_hash`]), with the same guarantee.
    pub(crate) fn second_chain(&self, hash: u64) -> impl Iterator<Item = (Index, &Block)> {
        self.walk(unpack(self.head(hash).load(Relaxed) >> 32), Block::second_next)
    }

    /// Returns a record and its successors.
    pub(crate) fn follow(&self, first: Option<Index>) -> impl Iterator<Item = (Index, &Block)> {
        self.walk(first, Block::next)
    }

    fn walk(
        &self,
        first: Option<Index>,
        next: impl Fn(&Block) -> Option<Index>,
    ) -> impl Iterator<Item = (Index, &Block)> {
        let mut at = first;
        let mut left = self.zone.blocks.len();
        std::iter::from_fn(move || {
            let index = at?;
            left = left.checked_sub(1)?;
            let block = self.zone.block(index)?;
            at = next(block);
            Some((index, block))
        })
    }

    /// Writes a record and links it into its hash chains.
    pub(crate) fn insert(
        &self,
        kind: BlockKind,
        hash: u64,
        text: &[u8],
        keep_free: usize,
        fill: impl FnOnce(&Block),
    ) -> Result<Index, ZoneFull> {
        let index = self.write(kind, text, keep_free, fill)?;
        let record = self.zone.block(index).ok_or(ZoneFull)?;
        self.link(hash, index, record);
        self.link_second(index, record);
        Ok(index)
    }

    /// Writes a record: `fill` sets its own words, then its text is written, then `kind` makes it a record.
    pub(crate) fn write(
        &self,
        kind: BlockKind,
        text: &[u8],
        keep_free: usize,
        fill: impl FnOnce(&Block),
    ) -> Result<Index, ZoneFull> {
        let kept = if kind == BlockKind::Worker { 0 } else { self.zone.kept_for_workers() };
        self.make_room(kind.blocks_for(text.len()), keep_free + kept)?;
        let (own, rest) = text.split_at(text.len().min(kind.text_bytes()));
        let index = self.take()?;
        let record = self.zone.block(index).ok_or(ZoneFull)?;
        record.set_tail(self.write_tails(rest)?);
        fill(record);
        record.write_text(kind, own);
        record.set_kind(kind);
        Ok(index)
    }

    /// Replaces the tails of a record whose own block has no text, with a single store.
    pub(crate) fn replace_tails(
        &self,
        record: &Block,
        text: &[u8],
        keep_free: usize,
    ) -> Result<(), ZoneFull> {
        let kept = self.zone.kept_for_workers();
        self.make_room(text.len().div_ceil(BlockKind::Tail.text_bytes()), keep_free + kept)?;
        let before = record.tail();
        record.set_tail(self.write_tails(text)?);
        if let Some(before) = before {
            self.free_record(before);
        }
        Ok(())
    }

    /// Frees events until `wanted` blocks are free in addition to `keep_free` others.
    fn make_room(&self, wanted: usize, keep_free: usize) -> Result<(), ZoneFull> {
        loop {
            let used = self.zone.root.used.load(Relaxed) as usize;
            if used + wanted + keep_free <= self.zone.blocks.len() {
                return Ok(());
            }
            if !self.forget_oldest_event() {
                return Err(ZoneFull);
            }
        }
    }

    /// Writes text into linked blocks that no record points to yet.
    fn write_tails(&self, text: &[u8]) -> Result<Option<Index>, ZoneFull> {
        let mut next = None;
        for chunk in text.chunks(BlockKind::Tail.text_bytes()).rev() {
            let at = self.take()?;
            let tail = self.zone.block(at).ok_or(ZoneFull)?;
            tail.write_text(BlockKind::Tail, chunk);
            tail.set_tail(next);
            tail.set_kind(BlockKind::Tail);
            next = Some(at);
        }
        Ok(next)
    }

    /// Unlinks a record and frees its blocks.
    pub(crate) fn remove(&self, hash: u64, index: Index) {
        let Some(record) = self.zone.block(index) else { return };
        self.unlink(hash, index, record.next());
        self.unlink_second(index, record);
        self.free_record(index);
    }

    /// Frees the blocks of a record that is no longer in any chain. Returns their number.
    pub(crate) fn free_record(&self, index: Index) -> usize {
        let mut next = Some(index);
        for freed in 0..self.zone.blocks.len() {
            let Some((at, block)) = next.and_then(|at| Some((at, self.zone.block(at)?))) else {
                return freed;
            };
            next = block.tail();
            self.give_back(at, block);
        }
        0
    }

    /// Returns a record's text of `len` bytes, from its block and tails.
    pub(crate) fn text(&self, record: &Block, len: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(len + 2 * BlockKind::Tail.text_bytes());
        record.read_text(&mut text);
        let mut tail = record.tail();
        while text.len() < len {
            let Some(block) = tail.and_then(|at| self.zone.block(at)) else { break };
            block.read_text(&mut text);
            tail = block.tail();
        }
        text.truncate(len);
        text
    }

    fn head(&self, hash: u64) -> &AtomicU64 {
        &self.zone.heads[mix(self.zone.seed(), hash) & (self.zone.heads.len() - 1)]
    }

    pub(crate) fn link(&self, hash: u64, index: Index, record: &Block) {
        let head = self.head(hash);
        let first = head.load(Relaxed);
        record.set_next(unpack(first & LOW));
        head.store((first & !LOW) | pack(Some(index)), Relaxed);
    }

    /// Unlinks a record from its first chain.
    pub(crate) fn unlink(&self, hash: u64, index: Index, next: Option<Index>) {
        let before = self.chain(hash).find(|(_, block)| block.next() == Some(index));
        let (head, first) = (self.head(hash), self.head(hash).load(Relaxed));
        match before {
            Some((_, block)) => block.set_next(next),
            None if unpack(first & LOW) == Some(index) => {
                head.store((first & !LOW) | pack(next), Relaxed);
            }
            None => {}
        }
    }

    /// Links a record into its second chain, if its kind has one.
    pub(crate) fn link_second(&self, index: Index, record: &Block) {
        let Some(word) = record.kind().second_hash() else { return };
        let head = self.head(record.word(word));
        let first = head.load(Relaxed);
        record.set_second_next(unpack(first >> 32));
        head.store((first & LOW) | pack(Some(index)) << 32, Relaxed);
    }

    fn unlink_second(&self, index: Index, record: &Block) {
        let Some(word) = record.kind().second_hash() else { return };
        let (hash, next) = (record.word(word), record.second_next());
        let before = self.second_chain(hash).find(|(_, block)| block.second_next() == Some(index));
        let (head, first) = (self.head(hash), self.head(hash).load(Relaxed));
        match before {
            Some((_, block)) => block.set_second_next(next),
            None if unpack(first >> 32) == Some(index) => {
                head.store((first & LOW) | pack(next) << 32, Relaxed);
            }
            None => {}
        }
    }

    fn take(&self) -> Result<Index, ZoneFull> {
        let root = self.zone.root;
        let index = unpack(root.free.load(Relaxed)).ok_or(ZoneFull)?;
        let block = self.zone.block(index).ok_or(ZoneFull)?;
        root.free.store(pack(block.next()), Relaxed);
        root.used.fetch_add(1, Relaxed);
        root.touched.fetch_max(u64::from(index) + 1, Relaxed);
        block.clear();
        block.set_kind(BlockKind::Taken);
        Ok(index)
    }

    pub(crate) fn give_back(&self, index: Index, block: &Block) {
        let root = self.zone.root;
        // Clearing the block removes key digests and addresses together with their record.
        block.clear();
        block.set_next(unpack(root.free.load(Relaxed)));
        root.free.store(pack(Some(index)), Relaxed);
        root.used.fetch_sub(1, Relaxed);
    }
}
