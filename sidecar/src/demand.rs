//! Streams that are not live and start when a viewer asks for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::streams::StreamId;

/// Time that a viewer may wait for a stream after asking for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// The streams that viewers of the daemon ask for.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    offered: Mutex<BTreeSet<StreamId>>,
    /// Streams of this edge's origin.
    relays: Mutex<BTreeSet<StreamId>>,
    asked: Mutex<BTreeMap<StreamId, Instant>>,
    news: Notify,
}

impl Demand {
    /// Sets the streams that start on demand; replaces the earlier set.
    pub(crate) fn offer(&self, streams: BTreeSet<StreamId>) {
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner) = streams;
    }

    /// Sets the streams that an edge relays on demand, in addition to those of [`Demand::offer`].
    pub(crate) fn offer_relays(&self, streams: BTreeSet<StreamId>) {
        *self.relays.lock().unwrap_or_else(PoisonError::into_inner) = streams;
    }

    /// Returns whether a stream starts on demand.
    pub(crate) fn offers(&self, id: &StreamId) -> bool {
        let is_in =
            |set: &Mutex<BTreeSet<StreamId>>| set.lock().unwrap_or_else(PoisonError::into_inner).contains(id);
        is_in(&self.offered) || is_in(&self.relays)
    }

    /// Asks for a stream. Returns false if the stream does not start on demand.
    pub(crate) fn ask(&self, id: &StreamId) -> bool {
        let is_offered = self.offers(id);
        if is_offered {
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), Instant::now());
            self.news.notify_one();
        }
        is_offered
    }

    /// Returns all streams that start on demand.
    pub(crate) fn all(&self) -> BTreeSet<StreamId> {
        let of = |set: &Mutex<BTreeSet<StreamId>>| set.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all = of(&self.offered);
        all.extend(of(&self.relays));
        all
    }

    /// Returns the streams that viewers asked for within the last [`PATIENCE`].
    pub(crate) fn wanted(&self) -> BTreeSet<StreamId> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, at| at.elapsed() < PATIENCE);
        asked.keys().cloned().collect()
    }

    /// Waits until a viewer asks for a stream.
    pub(crate) async fn asked(&self) {
        self.news.notified().await;
    }
}
