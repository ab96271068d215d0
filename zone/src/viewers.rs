//! Arrival, refresh and departure of HTTP viewers, and the viewers that the daemon reports.

use std::hash::Hasher as _;
use std::sync::atomic::Ordering::Relaxed;

use siphasher::sip::SipHasher13;
use weir_model::{
    Timestamp,
    viewers::{REPORT_HOLDS_MS, Report, ViewerProtocol},
};

use crate::arena::{Locked, Mutex, Zone};
use crate::audiences::{self, Watcher};
use crate::block::BlockKind;
use crate::error::ZoneFull;
use crate::players;
use crate::streams::clip;
use crate::viewer_table::{Seat, ViewerKey, ViewerTable, tenths};

/// How long the zone reports that it had no row for a viewer, in milliseconds.
const SATURATED_MS: u64 = 60_000;

/// Identifies a viewer, independent of the stream. Nobody can derive the viewer's address from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer(u64);

/// The stream and the kind of playback of a viewer.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'w> {
    /// Application.
    pub app: &'w str,
    /// Public name of the stream.
    pub stream: &'w str,
    /// The kind of playback.
    pub kind: ViewerProtocol,
}

/// The result of counting a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seated {
    /// The viewer was known already.
    Known,
    /// The viewer is counted from now on.
    New,
    /// The limit is reached: the viewer is not counted.
    Full,
}

impl<M: Mutex> Zone<'_, M> {
    /// Returns the viewer who presents this session of a token.
    pub fn viewer_of_session(&self, session: &[u8]) -> Viewer {
        Viewer(self.sip(&[b"session", session]))
    }

    /// Returns the viewer with this address and user agent.
    pub fn viewer_at(&self, addr: [u8; 16], agent: &[u8]) -> Viewer {
        Viewer(self.sip(&[b"address", &addr, agent]))
    }

    /// Returns the table's key of a viewer of one stream.
    pub fn viewer_key(&self, viewer: Viewer, watched: &Watched<'_>) -> ViewerKey {
        let kind = match watched.kind {
            ViewerProtocol::Hls => b"h",
            ViewerProtocol::Dash => b"d",
        };
        let viewer = viewer.0.to_le_bytes();
        ViewerKey(self.sip(&[&viewer, kind, watched.app.as_bytes(), watched.stream.as_bytes()]).max(1))
    }

    /// Extends the time of a known viewer to `window_ms` after `now`, a time of the monotonic clock. Takes no lock.
    /// Returns whether the key is known.
    pub fn refresh_viewer(&self, key: ViewerKey, now: Timestamp, window_ms: u64) -> bool {
        self.viewer_table().refresh(key, tenths(now.as_millis() + window_ms))
    }

    /// Returns whether a viewer is known.
    pub fn knows_viewer(&self, key: ViewerKey) -> bool {
        self.viewer_table().find(key).is_some()
    }

    /// Examines the next `buckets` of eight rows each and frees the rows whose time has ended. Takes the lock only if
    /// there are any. Returns how many rows were freed.
    pub fn sweep_viewers(&self, pid: u32, now: Timestamp, buckets: usize) -> usize {
        let (table, now) = (self.viewer_table(), tenths(now.as_millis()));
        if self.root.viewers.load(Relaxed) == 0 {
            return 0;
        }
        let first = self.root.sweep.fetch_add(buckets as u64, Relaxed) as usize % table.0.len();
        let is_over = |seat: Seat| seat.until < now;
        if !table.part(first, buckets).any(|row| row.seat().is_some_and(is_over)) {
            return 0;
        }
        let locked = self.lock(pid);
        let over =
            table.part(first, buckets).filter_map(|row| Some((row, row.seat().filter(|s| is_over(*s))?)));
        over.filter(|(row, seat)| row.vacate(*seat)).map(|(_, seat)| locked.left(seat)).count()
    }

    /// Returns how many HTTP viewers the zone holds, and its capacity.
    pub fn viewer_rows(&self) -> (usize, usize) {
        (self.root.viewers.load(Relaxed) as usize, self.viewer_table().rows())
    }

    /// Returns whether the zone recently had no row for a viewer, so that the counts are too low.
    pub fn is_saturated(&self, now: Timestamp) -> bool {
        let at = self.root.saturated.load(Relaxed);
        at != 0 && now.as_millis().saturating_sub(at) < SATURATED_MS
    }

    pub(crate) fn viewer_table(&self) -> ViewerTable<'_> {
        ViewerTable(self.viewers)
    }

    fn sip(&self, parts: &[&[u8]]) -> u64 {
        let [one, other] = [0, 1].map(|at: usize| self.root.viewer_secret[at].load(Relaxed));
        let mut hasher = SipHasher13::new_with_keys(one, other);
        for part in parts {
            hasher.write(part);
            hasher.write(&[0xff]);
        }
        hasher.finish()
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Counts a viewer for `window_ms` from `now` on, a time of the monotonic clock. Refuses an unknown viewer if the
    /// application already has `limit` viewers.
    ///
    /// # Errors
    ///
    /// The stream has no record, and the zone has no block for one.
    pub fn seat_viewer(
        &self,
        key: ViewerKey,
        watched: &Watched<'_>,
        now: Timestamp,
        window_ms: u64,
        limit: Option<u64>,
    ) -> Result<Seated, ZoneFull> {
        let (table, until) = (self.zone.viewer_table(), tenths(now.as_millis() + window_ms));
        if table.refresh(key, until) {
            return Ok(Seated::Known);
        }
        let (app, stream) = (clip(watched.app, 255), clip(watched.stream, 255));
        if limit.is_some_and(|limit| self.watching(app) >= limit) {
            return Ok(Seated::Full);
        }
        let full = |error| {
            self.note_saturation(now);
            error
        };
        let audience = self.enter_audience(app, stream, true).map_err(full)?;
        let seat = Seat::new(until, watched.kind, audience).ok_or(ZoneFull).map_err(full)?;
        loop {
            let row = table.place_for(key).ok_or(ZoneFull)?;
            if let Some(other) = row.seat() {
                if !row.vacate(other) {
                    continue;
                }
                if other.until >= tenths(now.as_millis()) {
                    self.note_saturation(now);
                }
                self.left(other);
            }
            row.occupy(key, seat);
            self.zone.root.viewers.fetch_add(1, Relaxed);
            self.came(audience, Watcher::Http(watched.kind));
            return Ok(Seated::New);
        }
    }

    /// Corrects the count of a viewer who was counted but received nothing.
    pub fn unseat_viewer(&self, key: ViewerKey) {
        if let Some((row, seat)) = self.zone.viewer_table().find(key).and_then(|row| Some((row, row.seat()?)))
            && row.vacate(seat)
        {
            self.left(seat);
            self.came_in_vain(seat.audience);
        }
    }

    /// Returns whether a stream is live here, or has viewers. A client can request any other name over HTTP.
    #[must_use]
    pub fn is_watchable(&self, app: &str, stream: &str) -> bool {
        let (app, stream) = (clip(app, 255), clip(stream, 255));
        self.is_named(app, stream) || self.find_audience(app, stream).is_some()
    }

    /// Replaces the daemon's earlier report with this one. `now` is a time of the monotonic clock.
    ///
    /// # Errors
    ///
    /// The zone has no blocks for all of these streams; streams without a record are not counted.
    pub fn report_viewers(&self, report: &Report, now: Timestamp) -> Result<(), ZoneFull> {
        let mut outcome = Ok(());
        let mut told = Vec::with_capacity(report.streams.len());
        for stream in &report.streams {
            match self.enter_audience(clip(&stream.app, 255), clip(&stream.stream, 255), false) {
                Ok(at) => told.push((at, audiences::reported_word(stream))),
                Err(full) => outcome = Err(full),
            }
        }
        told.sort_unstable();
        let others: Vec<_> = self.audience_records().map(|(at, _)| at).collect();
        for at in others {
            let reported = told.binary_search_by_key(&at, |(at, _)| *at).map_or(0, |found| told[found].1);
            self.set_reported_of_stream(at, reported);
        }
        self.zone.root.reported.store(now.as_millis().max(1), Relaxed);
        outcome
    }

    /// Once per second, drops a report that was not renewed, and the records of ended streams without viewers.
    pub fn tidy_audiences(&self, now: Timestamp) {
        let at = self.zone.root.reported.load(Relaxed);
        if at != 0 && now.as_millis().saturating_sub(at) > REPORT_HOLDS_MS {
            self.zone.root.reported.store(0, Relaxed);
            let all: Vec<_> = self.audience_records().map(|(at, _)| at).collect();
            all.into_iter().for_each(|at| self.set_reported_of_stream(at, 0));
        }
        self.free_audiences(|app, name| self.is_named(app, name));
    }

    /// Counts all viewers again after the death of a worker.
    pub(crate) fn recount_audiences(&self) {
        self.repair_audiences();
        let table = self.zone.viewer_table();
        table.repair();
        let mut viewers = 0;
        for (row, seat) in table.all().filter_map(|row| Some((row, row.seat()?))) {
            if self.audience_of(seat.audience).is_some() {
                self.recount(seat.audience, Watcher::Http(seat.kind));
                viewers += 1;
            } else {
                row.vacate(seat);
            }
        }
        self.zone.root.viewers.store(viewers, Relaxed);
        for (_, player) in self.records(BlockKind::Player) {
            if let Some(at) = players::audience(player) {
                self.recount(at, Watcher::Player);
            }
        }
    }

    fn left(&self, seat: Seat) {
        let viewers = &self.zone.root.viewers;
        viewers.store(viewers.load(Relaxed).saturating_sub(1), Relaxed);
        self.went(seat.audience, Watcher::Http(seat.kind));
    }

    fn note_saturation(&self, now: Timestamp) {
        self.zone.root.saturated.store(now.as_millis().max(1), Relaxed);
    }
}
