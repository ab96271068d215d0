//! One stream that somebody watches: its newest media, and its viewers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::ring::{Cursor, Ring, Taken};
use crate::streams::StreamId;

/// How somebody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// WebSocket.
    Ws,
    /// Low-Latency HLS.
    LlHls,
}

/// One stream that somebody watches.
#[derive(Debug)]
pub struct Station {
    /// Application and name.
    pub id: StreamId,
    origin: Instant,
    ring: Mutex<Ring>,
    /// The number of the item that comes next; changes wake viewers.
    news: watch::Sender<u64>,
    viewers: [AtomicUsize; 2],
    /// When the last viewer left.
    empty_since: Mutex<Instant>,
    closed: watch::Sender<bool>,
}

impl Station {
    /// Nothing has come yet.
    pub(super) fn new(id: StreamId) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            id,
            origin: now,
            ring: Mutex::default(),
            news: watch::channel(0).0,
            viewers: Default::default(),
            empty_since: Mutex::new(now),
            closed: watch::channel(false).0,
        })
    }

    /// Time since it began.
    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the media, and wakes viewers.
    pub(super) fn change(&self, change: impl FnOnce(&mut Ring, Duration)) {
        let end = {
            let mut ring = self.ring();
            change(&mut ring, self.now());
            ring.end()
        };
        self.news.send_if_modified(|news| std::mem::replace(news, end) != end);
    }

    /// Nothing will come any more.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// How many watch, by WebSocket and by Low-Latency HLS.
    pub fn counts(&self) -> [usize; 2] {
        [Kind::Ws, Kind::LlHls].map(|kind| self.viewers[kind as usize].load(Ordering::Relaxed))
    }

    /// How long nobody has watched; none while somebody does.
    pub(super) fn idle(&self) -> Option<Duration> {
        let is_watched = self.viewers.iter().any(|count| count.load(Ordering::Relaxed) > 0);
        let since = *self.empty_since.lock().unwrap_or_else(PoisonError::into_inner);
        (!is_watched).then(|| since.elapsed())
    }

    /// Somebody watches until the answer is dropped.
    pub(super) fn enter(self: &Arc<Self>, kind: Kind) -> Viewer {
        self.viewers[kind as usize].fetch_add(1, Ordering::Relaxed);
        let cursor = self.ring().join(self.now());
        Viewer {
            station: self.clone(),
            kind,
            cursor,
            news: self.news.subscribe(),
            closed: self.closed.subscribe(),
        }
    }
}

/// Somebody who watches.
#[derive(Debug)]
pub struct Viewer {
    station: Arc<Station>,
    kind: Kind,
    cursor: Cursor,
    news: watch::Receiver<u64>,
    closed: watch::Receiver<bool>,
}

impl Viewer {
    /// What comes next; nothing when everything was taken.
    pub fn read(&mut self) -> Taken {
        self.news.mark_unchanged();
        self.station.ring().read(&mut self.cursor, self.station.now())
    }

    /// Waits for more; false when nothing will come any more. May be dropped and called again.
    pub async fn more(&mut self) -> bool {
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
        *station.empty_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        station.viewers[self.kind as usize].fetch_sub(1, Ordering::Relaxed);
    }
}
