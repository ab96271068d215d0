//! Viewer counts: a record per stream, and one per application for all of its streams.
//!
//! The record of an application has no name. It is created before the first record of its streams and freed after the
//! last, so that the check of an application's limit is one comparison. All counts follow from the rows of viewers and
//! players; after the death of a worker, the repair counts them again.

use std::sync::atomic::Ordering::Relaxed;

use weir_model::viewers::{Reported, ViewerProtocol};

use crate::arena::{Locked, Mutex, Zone};
use crate::block::{Block, BlockKind, Index, pack, unpack};
use crate::error::ZoneFull;
use crate::hash::hash_bytes;

/// From the lowest bit, one byte each: the lengths of name and application.
const SHAPE: usize = 2;
/// Viewers over HLS in the lower half, over DASH in the upper.
const HTTP: usize = 3;
/// RTMP players.
const PLAYERS: usize = 4;
/// Viewers that the daemon reports, with [`REPORTED_BITS`] for each kind.
const REPORTED: usize = 5;
/// The most simultaneous viewers, and the number of viewers, since the stream began.
const PEAK: usize = 6;
const TOTAL: usize = 7;
/// The record of the application + 1; 0 in the record of an application.
const APP: usize = 8;
/// The next record of the list of all records + 1.
const LISTED: usize = 9;

const REPORTED_BITS: u32 = 21;
const REPORTED_MASK: u64 = (1 << REPORTED_BITS) - 1;

/// Streams that only HTTP viewers have named may use one of this many blocks.
const SHARE: usize = 16;

/// How many records are freed under one lock. Each takes a microsecond or less.
const FREED: usize = 512;

/// The number of viewers of a stream or application.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Audience {
    /// RTMP players.
    pub rtmp: u64,
    /// Viewers over HLS.
    pub hls: u64,
    /// Viewers over DASH.
    pub dash: u64,
    /// Viewers over the daemon's Low-Latency HLS.
    pub llhls: u64,
    /// Viewers over the daemon's WebSocket.
    pub ws: u64,
    /// Viewers over the daemon's WebRTC.
    pub webrtc: u64,
    /// The most simultaneous viewers since the stream began.
    pub peak: u64,
    /// The number of viewers since the stream began.
    pub total: u64,
}

impl Audience {
    /// Returns the current number of viewers.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.rtmp + self.hls + self.dash + self.llhls + self.ws + self.webrtc
    }
}

/// The audience of a stream, whether it is live here or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamAudience {
    /// Application.
    pub app: String,
    /// Public name of the stream.
    pub name: String,
    /// The viewer counts.
    pub audience: Audience,
}

/// The kind of viewer that comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watcher {
    Player,
    Http(ViewerProtocol),
}

impl<M: Mutex> Zone<'_, M> {
    /// Returns a counter that rises whenever a viewer comes or goes.
    pub fn audience_changes(&self) -> u64 {
        self.root.audience_changes.load(Relaxed)
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Returns every stream that has viewers or had some recently, by application and name.
    #[must_use]
    pub fn audiences(&self) -> Vec<StreamAudience> {
        let mut all: Vec<StreamAudience> = self
            .audience_records()
            .filter(|(_, record)| record.word(APP) != 0)
            .map(|(_, record)| {
                let (app, name) = self.audience_names(record);
                StreamAudience { app, name, audience: read(record) }
            })
            .collect();
        all.sort_by(|a, b| (&a.app, &a.name).cmp(&(&b.app, &b.name)));
        all
    }

    /// Returns the number of viewers of an application, over all workers and kinds.
    #[must_use]
    pub fn watching(&self, app: &str) -> u64 {
        self.find_audience(app, "").map_or(0, |(_, record)| read(record).now())
    }

    pub(crate) fn audience_of(&self, at: Index) -> Option<&Block> {
        self.zone.block(at).filter(|block| block.kind() == BlockKind::Audience)
    }

    pub(crate) fn find_audience(&self, app: &str, name: &str) -> Option<(Index, &Block)> {
        let shape = shape_of(app, name);
        let text = [app.as_bytes(), name.as_bytes()].concat();
        self.chain(name_hash(app, name)).find(|(_, record)| {
            record.kind() == BlockKind::Audience
                && record.word(SHAPE) == shape
                && self.text(record, text.len()) == text
        })
    }

    /// Returns the audience of a stream, and creates it if necessary. Strangers can name streams over HTTP, so these
    /// streams have a limited share of blocks.
    pub(crate) fn enter_audience(&self, app: &str, name: &str, stranger: bool) -> Result<Index, ZoneFull> {
        if let Some((at, _)) = self.find_audience(app, name) {
            return Ok(at);
        }
        let used = self.zone.root.audience_blocks.load(Relaxed) as usize;
        if stranger && used >= self.zone.blocks.len() / SHARE {
            return Err(ZoneFull);
        }
        let keep_free = self.reserve() / if stranger { 1 } else { 2 };
        let app_at = match self.find_audience(app, "") {
            Some((at, _)) => at,
            None => self.make_audience(app, "", None, keep_free)?,
        };
        self.make_audience(app, name, Some(app_at), keep_free)
    }

    fn make_audience(
        &self,
        app: &str,
        name: &str,
        app_at: Option<Index>,
        keep_free: usize,
    ) -> Result<Index, ZoneFull> {
        let root = self.zone.root;
        let text = [app.as_bytes(), name.as_bytes()].concat();
        let at = self.insert(BlockKind::Audience, name_hash(app, name), &text, keep_free, |record| {
            record.set(SHAPE, shape_of(app, name));
            record.set(APP, pack(app_at));
            record.set(LISTED, root.audiences.load(Relaxed));
        })?;
        root.audiences.store(pack(Some(at)), Relaxed);
        root.audience_blocks.fetch_add(BlockKind::Audience.blocks_for(text.len()) as u64, Relaxed);
        Ok(at)
    }

    /// Counts a new viewer.
    pub(crate) fn came(&self, at: Index, who: Watcher) {
        self.each_level(at, |record| {
            change(record, who, true);
            record.add(TOTAL, 1);
            note_peak(record);
        });
    }

    /// Corrects the count of a viewer who was counted but received nothing.
    pub(crate) fn came_in_vain(&self, at: Index) {
        self.each_level(at, |record| record.set(TOTAL, record.word(TOTAL).saturating_sub(1)));
    }

    /// Counts a viewer who has left.
    pub(crate) fn went(&self, at: Index, who: Watcher) {
        self.each_level(at, |record| change(record, who, false));
    }

    /// Resets the counts when a stream begins. Viewers who are already there count for it.
    pub(crate) fn begin_audience(&self, app: &str, name: &str) {
        if let Some((_, record)) = self.find_audience(app, name) {
            let now = read(record).now();
            record.set(PEAK, now);
            record.set(TOTAL, now);
        }
    }

    /// Sets the number of viewers of a stream that the daemon serves.
    pub(crate) fn set_reported_of_stream(&self, at: Index, reported: u64) {
        // The record of an application contains the sum of its streams, so it cannot be set.
        let Some(record) = self.audience_of(at).filter(|record| record.word(APP) != 0) else { return };
        let before = record.word(REPORTED);
        if before == reported {
            return;
        }
        let more: u64 =
            parts(reported).into_iter().zip(parts(before)).map(|(a, b)| a.saturating_sub(b)).sum();
        record.set(REPORTED, reported);
        record.add(TOTAL, more);
        note_peak(record);
        if let Some(app) = unpack(record.word(APP)).and_then(|at| self.audience_of(at)) {
            let sum = self.reported_of(record.word(APP));
            app.set(REPORTED, sum);
            app.add(TOTAL, more);
            note_peak(app);
        }
        self.zone.root.audience_changes.fetch_add(1, Relaxed);
    }

    fn reported_of(&self, app: u64) -> u64 {
        let streams = self.audience_records().filter(|(_, record)| record.word(APP) == app);
        streams.fold(0, |sum, (_, record)| sum_reported(sum, record.word(REPORTED)))
    }

    /// Returns all records, including those of applications.
    pub(crate) fn audience_records(&self) -> impl Iterator<Item = (Index, &Block)> {
        let mut at = unpack(self.zone.root.audiences.load(Relaxed));
        let mut left = self.zone.blocks.len();
        std::iter::from_fn(move || {
            let index = at?;
            left = left.checked_sub(1)?;
            let record = self.audience_of(index)?;
            at = unpack(record.word(LISTED));
            Some((index, record))
        })
    }

    /// Frees records without viewers for which `is_live` returns false: first those of streams, then those of
    /// applications without streams. One call frees a limited number, so that the lock is never held for long.
    pub(crate) fn free_audiences(&self, is_live: impl Fn(&str, &str) -> bool) {
        let mut left = FREED;
        self.free_each(&mut left, |_, record| {
            record.word(APP) != 0 && read(record).now() == 0 && {
                let (app, name) = self.audience_names(record);
                !is_live(&app, &name)
            }
        });
        let used: std::collections::HashSet<u64> =
            self.audience_records().map(|(_, record)| record.word(APP)).collect();
        self.free_each(&mut left, |at, record| record.word(APP) == 0 && !used.contains(&pack(Some(at))));
    }

    /// Frees the records for which `is_over` returns true, in one pass over the list, and at most `left` of them.
    fn free_each(&self, left: &mut usize, is_over: impl Fn(Index, &Block) -> bool) {
        let (mut before, mut at) = (None::<&Block>, unpack(self.zone.root.audiences.load(Relaxed)));
        for _ in 0..self.zone.blocks.len() {
            let Some((index, record)) = at.and_then(|index| Some((index, self.audience_of(index)?))) else {
                return;
            };
            if *left == 0 {
                return;
            }
            let next = record.word(LISTED);
            at = unpack(next);
            if !is_over(index, record) {
                before = Some(record);
                continue;
            }
            match before {
                Some(before) => before.set(LISTED, next),
                None => self.zone.root.audiences.store(next, Relaxed),
            }
            let (app, name) = self.audience_names(record);
            let blocks = BlockKind::Audience.blocks_for(app.len() + name.len()) as u64;
            self.remove(name_hash(&app, &name), index);
            self.zone.root.audience_blocks.fetch_sub(blocks, Relaxed);
            *left -= 1;
        }
    }

    /// Rebuilds the list of records after the death of a worker, and sets the counts to zero for [`Self::recount`].
    pub(crate) fn repair_audiences(&self) {
        let root = self.zone.root;
        let (mut next, mut blocks) = (0, 0);
        for (at, record) in self.records(BlockKind::Audience) {
            record.set(LISTED, next);
            next = pack(Some(at));
            blocks += self.blocks_of(record) as u64;
            record.set(HTTP, 0);
            record.set(PLAYERS, 0);
        }
        root.audiences.store(next, Relaxed);
        root.audience_blocks.store(blocks, Relaxed);
        let apps = self.audience_records().filter(|(_, record)| record.word(APP) == 0);
        for (at, app) in apps {
            app.set(REPORTED, self.reported_of(pack(Some(at))));
        }
    }

    /// Counts an existing viewer again after the death of a worker, without a change of the total.
    pub(crate) fn recount(&self, at: Index, who: Watcher) {
        self.each_level(at, |record| change(record, who, true));
    }

    /// Changes the stream's record, and that of its application.
    fn each_level(&self, at: Index, change: impl Fn(&Block)) {
        let Some(record) = self.audience_of(at) else { return };
        change(record);
        if let Some(app) = unpack(record.word(APP)).and_then(|at| self.audience_of(at)) {
            change(app);
        }
        self.zone.root.audience_changes.fetch_add(1, Relaxed);
    }

    pub(crate) fn audience_names(&self, record: &Block) -> (String, String) {
        let (app, name) = lengths(record);
        let text = self.text(record, app + name);
        let (app, name) = text.split_at(app.min(text.len()));
        (String::from_utf8_lossy(app).into_owned(), String::from_utf8_lossy(name).into_owned())
    }

    /// Returns the hash of a record, for the repair of chains.
    pub(crate) fn audience_hash(&self, record: &Block) -> u64 {
        let (app, name) = lengths(record);
        let text = self.text(record, app + name);
        let (app, name) = text.split_at(app.min(text.len()));
        hash_bytes(&[b"audience", app, name])
    }
}

fn lengths(record: &Block) -> (usize, usize) {
    let shape = record.word(SHAPE);
    ((shape >> 8 & 0xff) as usize, (shape & 0xff) as usize)
}

fn name_hash(app: &str, name: &str) -> u64 {
    hash_bytes(&[b"audience", app.as_bytes(), name.as_bytes()])
}

/// The caller has cut longer names, as for streams.
fn shape_of(app: &str, name: &str) -> u64 {
    (app.len() as u64 & 0xff) << 8 | (name.len() as u64 & 0xff)
}

/// Packs the counts of the daemon into a word.
pub(crate) fn reported_word(reported: &Reported) -> u64 {
    let part = |count: u64| count.min(REPORTED_MASK);
    part(reported.llhls) | part(reported.ws) << REPORTED_BITS | part(reported.webrtc) << (2 * REPORTED_BITS)
}

fn parts(word: u64) -> [u64; 3] {
    [0, 1, 2].map(|nth| word >> (nth * REPORTED_BITS) & REPORTED_MASK)
}

fn sum_reported(one: u64, other: u64) -> u64 {
    let (one, other) = (parts(one), parts(other));
    let sum = |nth: usize| (one[nth] + other[nth]).min(REPORTED_MASK);
    sum(0) | sum(1) << REPORTED_BITS | sum(2) << (2 * REPORTED_BITS)
}

fn read(record: &Block) -> Audience {
    let (http, [llhls, ws, webrtc]) = (record.word(HTTP), parts(record.word(REPORTED)));
    Audience {
        rtmp: record.word(PLAYERS),
        hls: http & 0xffff_ffff,
        dash: http >> 32,
        llhls,
        ws,
        webrtc,
        peak: record.word(PEAK),
        total: record.word(TOTAL),
    }
}

fn note_peak(record: &Block) {
    let now = read(record).now();
    if now > record.word(PEAK) {
        record.set(PEAK, now);
    }
}

fn change(record: &Block, who: Watcher, more: bool) {
    let (word, shift, bits) = match who {
        Watcher::Player => (PLAYERS, 0, 64),
        Watcher::Http(ViewerProtocol::Hls) => (HTTP, 0, 32),
        Watcher::Http(ViewerProtocol::Dash) => (HTTP, 32, 32),
    };
    let mask = u64::MAX >> (64 - bits);
    let before = record.word(word);
    let count = before >> shift & mask;
    let count = if more { count.saturating_add(1).min(mask) } else { count.saturating_sub(1) };
    record.set(word, before & !(mask << shift) | count << shift);
}
