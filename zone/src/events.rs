//! What happened lately, for those who follow: a list of bounded length from which the oldest goes.

use std::sync::atomic::Ordering::Relaxed;

use weir_model::Timestamp;

use crate::{
    Locked, Mutex, Zone,
    block::{Block, Index, Kind, pack, unpack},
};

const ID: usize = 2;
const TIME: usize = 3;
/// Length of the kind in the lower half, of the data in the upper.
const SHAPE: usize = 4;

/// Of so many blocks one may be an event.
const SHARE: usize = 64;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Counted from 1, without gaps.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// What: `stream.started`, ...
    pub kind: String,
    /// A JSON object.
    pub data: String,
}

impl<M: Mutex> Zone<'_, M> {
    /// Id of the newest event, 0 before the first.
    pub fn last_event(&self) -> u64 {
        self.root.last_event.load(Relaxed)
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Notes an event. In a full zone old ones give way; the id is counted even when there is no room at all,
    /// so that who follows knows of a gap.
    pub fn push_event(&self, kind: &str, data: &str, now: Timestamp) {
        let root = self.zone.root;
        let id = root.last_event.load(Relaxed) + 1;
        while self.events().count() >= self.most_events() && self.forget_oldest_event() {}
        let text = [kind.as_bytes(), data.as_bytes()].concat();
        let placed = self.write(Kind::Event, &text, 0, |block| {
            block.set(ID, id);
            block.set(TIME, now.as_millis());
            block.set(SHAPE, kind.len() as u64 | (data.len() as u64) << 32);
        });
        if let Ok(index) = placed {
            root.event_blocks.fetch_add(Kind::Event.blocks_for(text.len()) as u64, Relaxed);
            match unpack(root.newest_event.load(Relaxed)).and_then(|at| self.zone.block(at)) {
                Some(newest) => newest.set_next(Some(index)),
                None => root.oldest_event.store(pack(Some(index)), Relaxed),
            }
            root.newest_event.store(pack(Some(index)), Relaxed);
        }
        root.last_event.store(id, Relaxed);
    }

    /// Up to `most` events after the one with this id, the oldest first, and how many there were before these
    /// that are forgotten.
    #[must_use]
    pub fn events_after(&self, id: u64, most: usize) -> (Vec<Event>, u64) {
        let last = self.zone.last_event();
        let newer = self.events().filter(|(_, block)| block.word(ID) > id);
        let events: Vec<Event> = newer.take(most).map(|(_, block)| self.read_event(block)).collect();
        let first = events.first().map_or(last + 1, |event| event.id);
        (events, first.saturating_sub(id + 1))
    }

    /// Strings the events together again, after a worker died inside.
    pub(crate) fn repair_events(&self) {
        let mut all: Vec<(Index, &Block)> = self.records(Kind::Event).collect();
        all.sort_by_key(|(_, block)| block.word(ID));
        for pair in all.windows(2) {
            pair[0].1.set_next(Some(pair[1].0));
        }
        if let Some((_, newest)) = all.last() {
            newest.set_next(None);
        }
        let root = self.zone.root;
        let blocks = |(_, block): &(Index, &Block)| {
            let shape = block.word(SHAPE);
            Kind::Event.blocks_for(((shape & 0xffff_ffff) + (shape >> 32)) as usize) as u64
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
        let Some(oldest) = unpack(root.oldest_event.load(Relaxed)) else { return false };
        let next = self.zone.block(oldest).and_then(Block::next);
        root.oldest_event.store(pack(next), Relaxed);
        if next.is_none() {
            root.newest_event.store(0, Relaxed);
        }
        root.event_blocks.fetch_sub(self.free_record(oldest) as u64, Relaxed);
        true
    }

    fn read_event(&self, block: &Block) -> Event {
        let shape = block.word(SHAPE);
        let (kind, data) = ((shape & 0xffff_ffff) as usize, (shape >> 32) as usize);
        let text = self.text(block, kind + data);
        let part = |range| String::from_utf8_lossy(text.get(range).unwrap_or_default()).into_owned();
        Event {
            id: block.word(ID),
            at: Timestamp::from_millis(block.word(TIME)),
            kind: part(0..kind.min(text.len())),
            data: part(kind.min(text.len())..text.len()),
        }
    }
}
