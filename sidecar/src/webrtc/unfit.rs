//! Reports streams that WebRTC cannot carry, each at most once per minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::WebRtcUnsuitable;

use crate::clock;
use crate::events::Bus;
use crate::streams::StreamId;

/// Shortest time between two reports of the same reason.
const QUIET: Duration = Duration::from_secs(60);

/// The reports made so far.
#[derive(Debug)]
pub(super) struct Unfit {
    bus: Arc<Bus>,
    told: Mutex<HashMap<StreamId, (&'static str, Instant)>>,
}

impl Unfit {
    pub(super) fn new(bus: Arc<Bus>) -> Self {
        Self { bus, told: Mutex::default() }
    }

    /// Reports that a viewer could not watch this stream for this reason.
    pub(super) fn tell(&self, id: &StreamId, reason: &'static str) {
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
