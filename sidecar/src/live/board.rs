//! What is live now, for everybody in this process who serves viewers.

use std::sync::Arc;

use tokio::sync::watch;
use weir_model::Timestamp;

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
pub struct Board(watch::Sender<Arc<Vec<Entry>>>);

impl Default for Board {
    fn default() -> Self {
        Self(watch::channel(Arc::default()).0)
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
                viewers: stream.viewers,
            })
        };
        self.0.send_replace(Arc::new(live.filter_map(entry).collect()));
    }

    /// All that is live.
    pub fn all(&self) -> Arc<Vec<Entry>> {
        self.0.borrow().clone()
    }

    /// One of them.
    pub fn find(&self, id: &StreamId) -> Option<Entry> {
        self.0.borrow().iter().find(|entry| (&entry.live.app, &entry.live.name) == (&id.0, &id.1)).cloned()
    }

    /// Tells of each change.
    pub fn watch(&self) -> watch::Receiver<Arc<Vec<Entry>>> {
        self.0.subscribe()
    }
}
