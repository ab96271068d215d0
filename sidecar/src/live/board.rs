//! What is live now, for everybody in this process who serves viewers.

use std::sync::Arc;

use tokio::sync::watch;
use weir_model::Timestamp;

use crate::demand::{self, Demand};
use crate::nginx;
use crate::streams::{Live, StreamId};

/// A live stream.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What is known of it.
    pub live: Live,
    /// Since when it is live.
    pub since: Timestamp,
    /// Pictures per second; 0 when not known.
    pub fps: f64,
    /// What the publisher sends, in bit/s; 0 when not known.
    pub bitrate: u64,
    /// Viewers that nginx serves, when it was last asked.
    pub viewers: nginx::Viewers,
}

impl Entry {
    /// Application and name.
    pub fn id(&self) -> StreamId {
        (self.live.app.clone(), self.live.name.clone())
    }
}

/// Told by one, seen by all.
#[derive(Debug)]
pub struct Board {
    live: watch::Sender<Arc<Vec<Entry>>>,
    /// What is not live, and could be.
    pub demand: Arc<Demand>,
}

impl Default for Board {
    fn default() -> Self {
        Self { live: watch::channel(Arc::default()).0, demand: Arc::default() }
    }
}

impl Board {
    /// These are live, out of what nginx says.
    pub fn tell<'l>(&self, live: impl Iterator<Item = &'l Live>, snapshot: &[nginx::Stream]) {
        let entry = |live: &Live| {
            let stream = snapshot.iter().find(|stream| stream.session == live.session)?;
            Some(Entry {
                live: live.clone(),
                since: stream.since,
                fps: stream.video.as_ref().map_or(0.0, |video| video.fps),
                bitrate: stream.bitrate_in,
                viewers: stream.viewers,
            })
        };
        self.live.send_replace(Arc::new(live.filter_map(entry).collect()));
    }

    /// All that is live.
    pub fn all(&self) -> Arc<Vec<Entry>> {
        self.live.borrow().clone()
    }

    /// One of them.
    pub fn find(&self, id: &StreamId) -> Option<Entry> {
        self.live.borrow().iter().find(|entry| (&entry.live.app, &entry.live.name) == (&id.0, &id.1)).cloned()
    }

    /// Waits for a stream that begins when somebody asks for it; returns when it is live or does not become so.
    pub async fn wait_for(&self, id: &StreamId) {
        if self.find(id).is_some() || !self.demand.ask(id) {
            return;
        }
        let mut news = self.live.subscribe();
        let is_there = news.wait_for(|all| all.iter().any(|entry| entry.id() == *id));
        let _ = tokio::time::timeout(demand::PATIENCE, is_there).await;
    }

    /// Tells of each change.
    pub fn watch(&self) -> watch::Receiver<Arc<Vec<Entry>>> {
        self.live.subscribe()
    }
}
