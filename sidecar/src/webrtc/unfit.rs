//! Reports streams that WebRTC cannot carry, each at most once per minute, and keeps the reason until the publisher is gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::WebRtcUnsuitable;

use crate::clock;
use crate::events::Bus;
use crate::live::board::Board;
use crate::streams::StreamId;

/// Shortest time between two reports of the same reason.
const QUIET: Duration = Duration::from_secs(60);

/// The reports made so far.
#[derive(Debug)]
pub(super) struct Unfit {
    bus: Arc<Bus>,
    board: Arc<Board>,
    told: Mutex<HashMap<StreamId, (&'static str, Instant)>>,
    /// The session of the publish, and the newest reason.
    known: Mutex<HashMap<StreamId, (String, &'static str)>>,
}

impl Unfit {
    pub(super) fn new(bus: Arc<Bus>, board: Arc<Board>) -> Self {
        Self { bus, board, told: Mutex::default(), known: Mutex::default() }
    }

    /// Returns the reason why viewers of the current publish could not watch it.
    pub(super) fn reason(&self, id: &StreamId) -> Option<&'static str> {
        let session = self.board.find(id)?.live.session;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).filter(|(of, _)| *of == session).map(|(_, reason)| *reason)
    }

    fn note(&self, id: &StreamId, reason: &'static str) {
        let Some(entry) = self.board.find(id) else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| self.board.find(id).is_some());
        known.insert(id.clone(), (entry.live.session, reason));
    }

    /// Reports that a viewer could not watch this stream for this reason.
    pub(super) fn tell(&self, id: &StreamId, reason: &'static str) {
        self.note(id, reason);
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, (_, at)| now.duration_since(*at) < QUIET);
        if told.get(id).is_some_and(|(last, _)| *last == reason) {
            return;
        }
        told.insert(id.clone(), (reason, now));
        let (app, name) = id;
        tracing::warn!(stream = format!("{app}/{name}"), "not for viewers over WebRTC: {reason}");
        let (app, name, reason) = (app.to_string(), name.to_string(), reason.to_owned());
        let unsuitable = WebRtcUnsuitable { at: clock::now(), app, name, reason };
        self.bus.tell(&DaemonEvent::WebRtcUnsuitable(unsuitable));
    }
}
