//! Stills that the daemon has made of keyframes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::streams::StreamId;

/// Time for which a still is the newest one.
const FRESH: Duration = Duration::from_secs(30);

/// Time for which nobody else waits for a keyframe that has not come.
const MISSING: Duration = Duration::from_secs(5);

/// Stills that were made because somebody asked.
#[derive(Debug, Default)]
pub(super) struct Stills {
    /// The newest still of each stream, with the time of its keyframe. `None`: ffmpeg could not make one.
    made: Mutex<HashMap<StreamId, (Instant, Option<Bytes>)>>,
    /// Stills are made one after the other.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Stills {
    fn made(&self) -> MutexGuard<'_, HashMap<StreamId, (Instant, Option<Bytes>)>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the still of a stream if it is new enough.
    pub(super) fn fresh(&self, id: &StreamId) -> Option<Option<Bytes>> {
        self.made().get(id).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, still)| still.clone())
    }

    /// Keeps for [`MISSING`] that a stream has sent no keyframe.
    pub(super) fn keep_missing(&self, id: &StreamId) {
        let now = Instant::now();
        self.keep(id, now.checked_sub(FRESH - MISSING).unwrap_or(now), None);
    }

    /// Keeps a still of a keyframe of this time.
    pub(super) fn keep(&self, id: &StreamId, at: Instant, still: Option<Bytes>) {
        let mut made = self.made();
        made.retain(|_, (at, _)| at.elapsed() < FRESH);
        made.insert(id.clone(), (at, still));
    }
}
