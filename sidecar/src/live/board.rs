//! The list of live streams, for all parts of this process that serve viewers.

use std::sync::Arc;

use tokio::sync::watch;
use weir_model::Timestamp;
use weir_model::snapshot::{StreamSnapshot, Viewers};

use super::clocks::Clocks;
use crate::demand::{self, Demand};
use crate::streams::{Live, StreamId};

/// A live stream.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The stream and its media.
    pub live: Live,
    /// Start of the publish.
    pub since: Timestamp,
    /// Frames per second; 0 if unknown.
    pub fps: f64,
    /// Bitrate from the publisher, in bit/s; 0 if unknown.
    pub bitrate: u64,
    /// Viewers that nginx served at the last query.
    pub viewers: Viewers,
}

impl Entry {
    /// Returns application and name.
    pub(crate) fn id(&self) -> StreamId {
        (self.live.app.clone(), self.live.name.clone())
    }
}

/// The live streams: one task updates them, all others read them.
#[derive(Debug)]
pub(crate) struct Board {
    live: watch::Sender<Arc<Vec<Entry>>>,
    /// The clocks of watched streams.
    pub(super) clocks: Arc<Clocks>,
    /// Streams that start on demand.
    pub demand: Arc<Demand>,
}

impl Default for Board {
    fn default() -> Self {
        Self { live: watch::channel(Arc::default()).0, clocks: Arc::default(), demand: Arc::default() }
    }
}

impl Board {
    /// Sets the live streams, with the facts of nginx's snapshot.
    pub(crate) fn tell<'l>(&self, live: impl Iterator<Item = &'l Live>, snapshot: &[StreamSnapshot]) {
        let entry = |live: &Live| {
            let stream = snapshot.iter().find(|stream| stream.session == live.session)?;
            Some(Entry {
                live: live.clone(),
                since: stream.since,
                fps: stream.video.map_or(0.0, |video| video.fps().per_second()),
                bitrate: stream.bitrate_in,
                viewers: stream.viewers,
            })
        };
        self.live.send_replace(Arc::new(live.filter_map(entry).collect()));
    }

    /// Returns all live streams.
    pub(crate) fn all(&self) -> Arc<Vec<Entry>> {
        self.live.borrow().clone()
    }

    /// Returns a live stream.
    pub(crate) fn find(&self, id: &StreamId) -> Option<Entry> {
        self.live.borrow().iter().find(|entry| (&entry.live.app, &entry.live.name) == (&id.0, &id.1)).cloned()
    }

    /// Waits for a stream that starts on demand. Returns when the stream is live, or when it does not start.
    pub(crate) async fn wait_for(&self, id: &StreamId) {
        if self.find(id).is_some() || !self.demand.ask(id) {
            return;
        }
        let mut news = self.live.subscribe();
        let is_there = news.wait_for(|all| all.iter().any(|entry| entry.id() == *id));
        let _ = tokio::time::timeout(demand::PATIENCE, is_there).await;
    }

    /// Returns a receiver that is notified of each change.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Vec<Entry>>> {
        self.live.subscribe()
    }
}
