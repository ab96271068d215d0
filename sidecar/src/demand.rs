//! Streams that are not live and begin when somebody wants to watch them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::streams::StreamId;

/// Who has asked may wait so long for the stream.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// What viewers of the daemon want.
#[derive(Debug, Default)]
pub struct Demand {
    offered: Mutex<BTreeSet<StreamId>>,
    /// What the origin of this edge has.
    relays: Mutex<BTreeSet<StreamId>>,
    asked: Mutex<BTreeMap<StreamId, Instant>>,
    news: Notify,
}

impl Demand {
    /// These streams begin when somebody asks, and no others.
    pub fn offer(&self, streams: BTreeSet<StreamId>) {
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner) = streams;
    }

    /// An edge relays these when somebody asks, beside those that are offered.
    pub fn offer_relays(&self, streams: BTreeSet<StreamId>) {
        *self.relays.lock().unwrap_or_else(PoisonError::into_inner) = streams;
    }

    /// Asks for a stream; false when it is none that begins by that.
    pub fn ask(&self, id: &StreamId) -> bool {
        let is_in =
            |set: &Mutex<BTreeSet<StreamId>>| set.lock().unwrap_or_else(PoisonError::into_inner).contains(id);
        let is_offered = is_in(&self.offered) || is_in(&self.relays);
        if is_offered {
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), Instant::now());
            self.news.notify_one();
        }
        is_offered
    }

    /// All streams that begin when somebody asks.
    pub fn all(&self) -> BTreeSet<StreamId> {
        let of = |set: &Mutex<BTreeSet<StreamId>>| set.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all = of(&self.offered);
        all.extend(of(&self.relays));
        all
    }

    /// The streams that were asked for lately.
    pub fn wanted(&self) -> BTreeSet<StreamId> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, at| at.elapsed() < PATIENCE);
        asked.keys().cloned().collect()
    }

    /// Waits until somebody asks.
    pub async fn asked(&self) {
        self.news.notified().await;
    }
}
