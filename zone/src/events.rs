//! Recent events for followers: a list of bounded length that drops its oldest events.

use std::sync::atomic::Ordering::Relaxed;

use weir_model::Timestamp;
use weir_model::event::Event;

use crate::arena::{Locked, Mutex, Zone};
use crate::block::{Block, BlockKind, Index, pack, unpack};
use crate::bucket::Bucket;
use crate::hash::place_of;

const ID: usize = 2;
const TIME: usize = 3;
/// From the lowest bit: length of the kind, length of the fields, and the address of a refusal as a hash, 0 for any other
/// event.
const SHAPE: usize = 4;
const FIELDS_FROM: u32 = 8;
const WHOSE_FROM: u32 = 32;

/// Refusals may be one of this many kept events, and refusals of one address one of this many kept refusals.
const REFUSALS: usize = 4;
const OF_ONE_ADDRESS: usize = 4;

/// Events may use one of this many blocks.
const SHARE: usize = 64;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The id, counted without gaps.
    pub id: u64,
    /// The time of the event.
    pub at: Timestamp,
    /// The kind, such as `stream.started`.
    pub kind: String,
    /// The fields, a JSON object: what [`Event::fields`] returned.
    pub fields: String,
}

/// The position from which a reader resumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// After this event.
    After(u64),
    /// The zone has not issued the id of the reader: the reader resumes after this id, which precedes the oldest kept
    /// event.
    FromOldest(u64),
}

impl<M: Mutex> Zone<'_, M> {
    /// Returns the id of the newest event, 0 before the first.
    pub fn last_event(&self) -> u64 {
        self.root.last_event.load(Relaxed)
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Adds the event of a refusal. Refusals replace only other refusals, and the refusals of one address replace those
    /// of the same address first, so that a client that is refused repeatedly removes no other events.
    pub fn push_refusal(&self, event: &Event, bucket: Bucket, now: Timestamp) {
        let whose = place_of(self.zone.seed(), &[&bucket]) as u64 & 0xffff_ffff | 1;
        let most = (self.most_events() / REFUSALS).max(1);
        let (mut count, mut own, mut oldest, mut oldest_own) = (0, 0, None, None);
        for (at, block) in self.events().filter(|(_, block)| whose_of(block) != 0) {
            count += 1;
            oldest = oldest.or(Some(at));
            if whose_of(block) == whose {
                own += 1;
                oldest_own = oldest_own.or(Some(at));
            }
        }
        if own >= (most / OF_ONE_ADDRESS).max(1) {
            self.forget_event(oldest_own);
        } else if count >= most {
            self.forget_event(oldest);
        }
        self.append(event, whose, now);
    }

    /// Adds an event. In a full zone it replaces old events. The id is counted even if no block is free, so that
    /// followers notice the gap.
    pub fn push_event(&self, event: &Event, now: Timestamp) {
        let others = || self.events().filter(|(_, block)| whose_of(block) == 0);
        let most = self.most_events() - self.most_events() / REFUSALS;
        while others().count() >= most.max(1) && self.forget_event(others().next().map(|(at, _)| at)) {}
        self.append(event, 0, now);
    }

    fn append(&self, event: &Event, whose: u64, now: Timestamp) {
        let root = self.zone.root;
        let id = root.last_event.load(Relaxed) + 1;
        let (kind, fields) = (event.kind(), event.fields());
        let text = [kind.as_bytes(), fields.as_bytes()].concat();
        let placed = self.write(BlockKind::Event, &text, 0, |block| {
            block.set(ID, id);
            block.set(TIME, now.as_millis());
            block.set(SHAPE, kind.len() as u64 | (fields.len() as u64) << FIELDS_FROM | whose << WHOSE_FROM);
        });
        if let Ok(index) = placed {
            root.event_blocks.fetch_add(BlockKind::Event.blocks_for(text.len()) as u64, Relaxed);
            match unpack(root.newest_event.load(Relaxed)).and_then(|at| self.zone.block(at)) {
                Some(newest) => newest.set_next(Some(index)),
                None => root.oldest_event.store(pack(Some(index)), Relaxed),
            }
            root.newest_event.store(pack(Some(index)), Relaxed);
        }
        root.last_event.store(id, Relaxed);
    }

    /// Returns the position from which a reader resumes whose last event was `id`.
    #[must_use]
    pub fn resume_after(&self, id: u64) -> Resume {
        let last = self.zone.last_event();
        if (self.zone.root.first_event.load(Relaxed)..=last).contains(&id) {
            return Resume::After(id);
        }
        let oldest = self.events().map(|(_, block)| block.word(ID)).next();
        Resume::FromOldest(oldest.map_or(last, |oldest| oldest.saturating_sub(1)))
    }

    /// Returns up to `most` events after the one with this id, the oldest first, and how many events between are no
    /// longer kept.
    #[must_use]
    pub fn events_after(&self, id: u64, most: usize) -> (Vec<StoredEvent>, u64) {
        let last = self.zone.last_event();
        let newer = self.events().filter(|(_, block)| block.word(ID) > id);
        let events: Vec<StoredEvent> = newer.take(most).map(|(_, block)| self.read_event(block)).collect();
        let upto = events.last().map_or(last, |event| event.id);
        let missed = upto.saturating_sub(id).saturating_sub(events.len() as u64);
        (events, missed)
    }

    /// Rebuilds the list of events after a worker died with the lock.
    pub(crate) fn repair_events(&self) {
        let mut all: Vec<(Index, &Block)> = self.records(BlockKind::Event).collect();
        all.sort_by_key(|(_, block)| block.word(ID));
        for pair in all.windows(2) {
            pair[0].1.set_next(Some(pair[1].0));
        }
        if let Some((_, newest)) = all.last() {
            newest.set_next(None);
        }
        let root = self.zone.root;
        let blocks = |(_, block): &(Index, &Block)| {
            let (kind, fields) = lengths_of(block);
            BlockKind::Event.blocks_for(kind + fields) as u64
        };
        root.event_blocks.store(all.iter().map(blocks).sum(), Relaxed);
        root.oldest_event.store(pack(all.first().map(|(at, _)| *at)), Relaxed);
        root.newest_event.store(pack(all.last().map(|(at, _)| *at)), Relaxed);
    }

    fn events(&self) -> impl Iterator<Item = (Index, &Block)> {
        self.follow(unpack(self.zone.root.oldest_event.load(Relaxed)))
    }

    fn most_events(&self) -> usize {
        self.zone.blocks.len() / SHARE
    }

    /// Frees the oldest event. Returns whether there was one.
    pub(crate) fn forget_oldest_event(&self) -> bool {
        let root = self.zone.root;
        self.forget_event(unpack(root.oldest_event.load(Relaxed)))
    }

    /// Frees an event. Returns whether it existed.
    fn forget_event(&self, event: Option<Index>) -> bool {
        let root = self.zone.root;
        let Some((event, block)) = event.and_then(|at| Some((at, self.zone.block(at)?))) else {
            return false;
        };
        let (before, next) = (self.events().take_while(|(at, _)| *at != event).last(), block.next());
        match before {
            Some((_, before)) => before.set_next(next),
            None => root.oldest_event.store(pack(next), Relaxed),
        }
        if next.is_none() {
            root.newest_event.store(pack(before.map(|(at, _)| at)), Relaxed);
        }
        root.event_blocks.fetch_sub(self.free_record(event) as u64, Relaxed);
        true
    }

    fn read_event(&self, block: &Block) -> StoredEvent {
        let (kind, fields) = lengths_of(block);
        let text = self.text(block, kind + fields);
        let part = |range| String::from_utf8_lossy(text.get(range).unwrap_or_default()).into_owned();
        StoredEvent {
            id: block.word(ID),
            at: Timestamp::from_millis(block.word(TIME)),
            kind: part(0..kind.min(text.len())),
            fields: part(kind.min(text.len())..text.len()),
        }
    }
}

/// Returns the lengths of an event's kind and fields.
fn lengths_of(block: &Block) -> (usize, usize) {
    let shape = block.word(SHAPE);
    ((shape & 0xff) as usize, (shape >> FIELDS_FROM & 0xff_ffff) as usize)
}

/// Returns the address hash of a refusal, 0 for any other event.
fn whose_of(block: &Block) -> u64 {
    block.word(SHAPE) >> WHOSE_FROM
}
