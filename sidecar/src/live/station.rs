//! A watched stream: its newest media, and its viewers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use weir_media::live::Output;
use weir_media::live::hls::{Facts, Shelf};
use weir_model::Timestamp;

use super::clocks::{Era, Timeline};
use super::ring::{Cursor, Item, Ring, Start, Taken};
use crate::clock;
use crate::streams::StreamId;

/// Time for which a client counts as a viewer after a request for Low-Latency HLS.
const PRESENT: Duration = Duration::from_secs(10);
/// Most Low-Latency HLS clients that are counted.
const MOST_ASKING: usize = 100_000;
/// Interval at which clients that are gone are removed.
const SWEEP: Duration = Duration::from_secs(1);
/// Time after which segments that nobody has asked for are removed.
const FORGET: Duration = Duration::from_secs(60);

/// Kind of a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViewerKind {
    /// A viewer over WebSocket.
    Ws,
    /// A viewer over WebRTC.
    WebRtc,
    /// Not counted: a viewer that is not connected yet, or a task that works for viewers.
    Uncounted,
}

const KINDS: usize = 3;

/// Numbers of viewers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Over WebSocket.
    pub ws: usize,
    /// Over Low-Latency HLS.
    pub llhls: usize,
    /// Over WebRTC.
    pub webrtc: usize,
}

/// A watched stream.
#[derive(Debug)]
pub(crate) struct Station {
    /// Application and name.
    pub id: StreamId,
    origin: Instant,
    ring: Mutex<Ring>,
    /// Number of the next item. Changes wake viewers.
    news: watch::Sender<u64>,
    /// Viewers by their [`ViewerKind`].
    viewers: [AtomicUsize; KINDS],
    /// Time at which the last viewer left.
    empty_since: Mutex<Instant>,
    /// Segments and parts of Low-Latency HLS, from the first request until nobody has asked for a while.
    hls: Mutex<Option<Shelf<Bytes>>>,
    /// The clock that the stream shares with its renditions, once it is played.
    timeline: Mutex<Option<Timeline>>,
    /// Time of the last request for Low-Latency HLS.
    touched: Mutex<Instant>,
    asked: Mutex<Asked>,
    closed: watch::Sender<bool>,
}

/// Low-Latency HLS clients.
#[derive(Debug)]
struct Asked {
    /// The time of the last request of each client.
    clients: HashMap<u64, Instant>,
    swept: Instant,
}

impl Station {
    /// Returns a station without media.
    pub(crate) fn new(id: StreamId) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            id,
            origin: now,
            ring: Mutex::default(),
            news: watch::channel(0).0,
            viewers: Default::default(),
            empty_since: Mutex::new(now),
            hls: Mutex::default(),
            timeline: Mutex::default(),
            touched: Mutex::new(now),
            asked: Mutex::new(Asked { clients: HashMap::new(), swept: now }),
            closed: watch::channel(false).0,
        })
    }

    /// Returns the time since the station was created.
    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        locked(&self.ring)
    }

    /// Takes media of the stream, and wakes viewers.
    pub(crate) fn put(&self, outputs: Vec<Output>) {
        let end = {
            let (mut ring, mut hls) = (self.ring(), self.hls());
            let now = self.now();
            let items: Vec<_> = outputs.into_iter().map(|output| (ring.push(output, now), now)).collect();
            if locked(&self.touched).elapsed() >= FORGET {
                *hls = None;
            }
            if let Some(shelf) = &mut *hls {
                shelve(shelf, items, self.began(), locked(&self.timeline).as_ref());
            }
            ring.end()
        };
        self.news.send_replace(end);
    }

    /// Sets the clock of the following media.
    pub(super) fn follow(&self, timeline: Timeline) {
        *locked(&self.timeline) = Some(timeline);
    }

    /// Returns the time of day at which the station was created, in milliseconds.
    fn began(&self) -> i64 {
        let ms = |ms: u128| i64::try_from(ms).unwrap_or_default();
        ms(clock::now().as_millis().into()) - ms(self.now().as_millis())
    }

    /// Notes that the publisher is gone.
    pub(super) fn publisher_gone(&self) {
        let end = {
            let (mut ring, mut hls) = (self.ring(), self.hls());
            ring.publisher_gone(self.now());
            if let Some(shelf) = &mut *hls {
                shelf.end();
            }
            ring.end()
        };
        self.news.send_if_modified(|news| std::mem::replace(news, end) != end);
    }

    fn hls(&self) -> MutexGuard<'_, Option<Shelf<Bytes>>> {
        locked(&self.hls)
    }

    /// Counts a Low-Latency HLS client, which a number identifies.
    pub(crate) fn ask(&self, who: u64) {
        let now = Instant::now();
        let mut asked = locked(&self.asked);
        if now - asked.swept >= SWEEP {
            asked.swept = now;
            asked.clients.retain(|_, at| now - *at < PRESENT);
        }
        if asked.clients.len() < MOST_ASKING || asked.clients.contains_key(&who) {
            asked.clients.insert(who, now);
        }
    }

    /// Handles a request for Low-Latency HLS: it keeps the station for a while. The first request puts the newest group of pictures on
    /// the shelf.
    pub(super) fn touch(&self) {
        let now = Instant::now();
        (*locked(&self.empty_since), *locked(&self.touched)) = (now, now);
        let (ring, mut hls) = (self.ring(), self.hls());
        if hls.is_none() {
            // There are fewer than ten segments per second, so these numbers are new to caches.
            let mut shelf = Shelf::new(clock::now().as_millis() / 100);
            shelve(&mut shelf, ring.newest_group(), self.began(), locked(&self.timeline).as_ref());
            *hls = Some(shelf);
        }
    }

    /// Returns whether the publisher is gone and has not returned.
    pub(super) fn is_away(&self) -> bool {
        self.ring().has_ended()
    }

    /// Returns the newest part of Low-Latency HLS: the number of its segment, and its index in the segment.
    pub(crate) fn newest_part(&self) -> Option<(u64, usize)> {
        self.hls().as_ref()?.newest_part()
    }

    /// Returns the newest initialization segment.
    pub(crate) fn start(&self) -> Option<Arc<Start>> {
        self.ring().start()
    }

    /// Waits until `look` finds something on the shelf, for at most `patience`. Returns the result of `look`.
    pub(crate) async fn look<T>(
        &self,
        patience: Duration,
        mut look: impl FnMut(&Shelf<Bytes>, Liveness) -> Option<T>,
    ) -> Option<T> {
        let _waiting = Waiting::of(self);
        let (mut news, mut closed) = (self.news.subscribe(), self.closed.subscribe());
        let deadline = Instant::now() + patience;
        loop {
            news.mark_unchanged();
            let is_closed = *closed.borrow();
            let liveness = match self.ring().has_ended() {
                _ if is_closed => Liveness::Over,
                true => Liveness::Away,
                false => Liveness::Live,
            };
            if let Some(found) = self.hls().as_ref().and_then(|shelf| look(shelf, liveness)) {
                return Some(found);
            }
            if is_closed {
                return None;
            }
            tokio::select! {
                changed = news.changed() => changed.ok()?,
                _ = closed.changed() => {}
                () = sleep_until(deadline) => return None,
            }
        }
    }

    /// Closes the station: no more media will arrive.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Returns the numbers of viewers.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            ws: self.taking(ViewerKind::Ws),
            llhls: self.asking(),
            webrtc: self.taking(ViewerKind::WebRtc),
        }
    }

    fn taking(&self, kind: ViewerKind) -> usize {
        self.viewers[kind as usize].load(Ordering::Relaxed)
    }

    /// Returns the keyframe interval in milliseconds, or `None` if it is unknown.
    pub(crate) fn key_interval(&self) -> Option<i64> {
        self.ring().key_interval()
    }

    /// Returns whether the stream has B-frames: the send order of frames differs from their display order.
    pub(crate) fn has_b_frames(&self) -> bool {
        self.ring().has_b_frames()
    }

    /// Returns whether the stream has captions (CEA-608) in its video.
    pub(crate) fn has_captions(&self) -> bool {
        self.ring().has_captions()
    }

    fn asking(&self) -> usize {
        let now = Instant::now();
        let asked = locked(&self.asked);
        asked.clients.values().filter(|at| now - **at < PRESENT).count()
    }

    /// Returns the time for which nobody has watched, or `None` if somebody watches.
    pub(super) fn idle(&self) -> Option<Duration> {
        let is_watched = self.counts() != Counts::default() || self.taking(ViewerKind::Uncounted) > 0;
        let since = *locked(&self.empty_since);
        (!is_watched).then(|| since.elapsed())
    }

    /// Adds a viewer, which is removed when the returned value is dropped.
    pub(crate) fn enter(self: &Arc<Self>, kind: ViewerKind) -> Viewer {
        self.viewers[kind as usize].fetch_add(1, Ordering::Relaxed);
        let cursor = self.ring().join(self.now());
        let (news, closed) = (self.news.subscribe(), self.closed.subscribe());
        Viewer { station: self.clone(), kind, cursor, news, closed }
    }

    /// Waits for the first initialization segment, for at most `patience`.
    pub(crate) async fn begun(&self, patience: Duration) -> Option<Arc<Start>> {
        let (mut news, mut closed) = (self.news.subscribe(), self.closed.subscribe());
        let deadline = Instant::now() + patience;
        loop {
            news.mark_unchanged();
            if let Some(start) = self.start() {
                return Some(start);
            }
            tokio::select! {
                changed = news.changed() => changed.ok()?,
                _ = closed.changed() => return None,
                () = sleep_until(deadline) => return None,
            }
        }
    }
}

/// A viewer of a station.
#[derive(Debug)]
pub(crate) struct Viewer {
    station: Arc<Station>,
    kind: ViewerKind,
    cursor: Cursor,
    news: watch::Receiver<u64>,
    closed: watch::Receiver<bool>,
}

impl Viewer {
    /// Returns the station that it watches.
    pub(crate) fn station(&self) -> &Arc<Station> {
        &self.station
    }

    /// Returns its kind.
    pub(crate) fn kind(&self) -> ViewerKind {
        self.kind
    }

    /// Continues at the newest keyframe, as a viewer of this kind. Returns the start of the newest fragment in milliseconds, or `None` if
    /// there is none yet.
    pub(crate) fn rejoin(&mut self, kind: ViewerKind) -> Option<i64> {
        self.station.viewers[kind as usize].fetch_add(1, Ordering::Relaxed);
        self.station.viewers[self.kind as usize].fetch_sub(1, Ordering::Relaxed);
        self.kind = kind;
        let ring = self.station.ring();
        self.cursor = ring.join(self.station.now());
        ring.newest()
    }

    /// Returns the next items. The list is empty if everything was taken.
    pub(crate) fn read(&mut self) -> Taken {
        self.news.mark_unchanged();
        self.station.ring().read(&mut self.cursor, self.station.now())
    }

    /// Waits for more media. Returns false if no more media will arrive. Cancel-safe.
    pub(crate) async fn more(&mut self) -> bool {
        if *self.closed.borrow() {
            return false;
        }
        tokio::select! {
            changed = self.news.changed() => changed.is_ok(),
            _ = self.closed.changed() => false,
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let station = &self.station;
        *locked(&station.empty_since) = Instant::now();
        station.viewers[self.kind as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether media of a stream will follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// The publisher is there.
    Live,
    /// The publisher is gone, and may return.
    Away,
    /// The publisher did not return in time: no media follows.
    Over,
}

/// A request that waits: the station stays for it.
struct Waiting<'s>(&'s Station);

impl<'s> Waiting<'s> {
    fn of(station: &'s Station) -> Self {
        station.viewers[ViewerKind::Uncounted as usize].fetch_add(1, Ordering::Relaxed);
        Self(station)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        *locked(&self.0.empty_since) = Instant::now();
        self.0.viewers[ViewerKind::Uncounted as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts items with their times of arrival on a shelf. `began` is the time of day from which these times count, in milliseconds.
fn shelve(shelf: &mut Shelf<Bytes>, items: Vec<(Item, Duration)>, began: i64, timeline: Option<&Timeline>) {
    // Media that has waited elsewhere arrives all at once: the newest has waited least, and tells the time of day of all.
    let offset = |(item, at): &(Item, Duration)| match item {
        Item::Fragment(piece) => Some(i64::try_from(at.as_millis()).unwrap_or_default() - piece.start),
        _ => None,
    };
    let epoch = began + items.iter().filter_map(offset).min().unwrap_or_default();
    for (item, _) in items {
        match item {
            Item::Init(start) => shelf.init(start.bytes.clone()),
            Item::Fragment(piece) => {
                // The first rendition that has media of an era sets the dates for all.
                let (era, known) = timeline.map_or((0, None), |timeline| timeline.at(piece.start));
                let facts = Facts { start: piece.start, is_key: piece.is_key, bytes: piece.bytes.len(), era };
                // An era that begins here has a date of its own.
                let is_known = shelf.newest_segment().is_none_or(|(_, newest, _)| newest < era);
                let epoch = known.filter(|_| is_known).unwrap_or(epoch);
                let at = (epoch + piece.start).max(0).unsigned_abs();
                shelf.push(piece.bytes, facts, Timestamp::from_millis(at));
                if let (Some(timeline), Some((start, number, epoch))) = (timeline, shelf.newest_segment()) {
                    timeline.note(Era { start, number, epoch });
                }
            }
            Item::Ended => shelf.end(),
        }
    }
}

#[cfg(test)]
mod tests;
