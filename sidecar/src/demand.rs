//! Streams that are not live and start when a viewer asks for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::streams::StreamId;

/// Time that a viewer may wait for a stream after asking for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Time for which a request for a live stream counts: an input that is about to end for want of viewers begins again.
const FRESH: Duration = Duration::from_secs(3);

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

    /// Notes a request for a live stream, so that its input does not end now, or begins again soon. Wakes nobody.
    pub(crate) fn note(&self, id: &StreamId) {
        if self.offers(id)
            && let Some(at) = Instant::now().checked_sub(PATIENCE - FRESH)
        {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let known = asked.entry(id.clone()).or_insert(at);
            *known = at.max(*known);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_for_a_live_stream_counts_for_a_short_while() {
        tokio::time::advance(PATIENCE).await;
        let of = |name: &str| -> StreamId { ("live".parse().unwrap(), name.parse().unwrap()) };
        let demand = Demand::default();
        demand.offer([of("a"), of("b")].into());
        demand.note(&of("a"));
        demand.note(&of("c"));
        assert!(demand.ask(&of("b")));
        demand.note(&of("b"));
        assert_eq!(demand.wanted(), [of("a"), of("b")].into());
        tokio::time::advance(FRESH).await;
        assert_eq!(demand.wanted(), [of("b")].into());
    }
}
