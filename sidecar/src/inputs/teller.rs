//! Sends the events of an input, each once.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::plan::InputJob;
use crate::clock;
use crate::events::Bus;
use crate::supervise::Shared;

/// Event sender of one input.
#[derive(Debug)]
pub(super) struct Teller {
    bus: Arc<Bus>,
    shared: Arc<Shared>,
    path: String,
    about: Value,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The stream is playable.
    is_live: bool,
    /// The last reported failure, until the input works again.
    told: Option<String>,
}

impl Teller {
    pub(super) fn new(job: &InputJob, bus: Arc<Bus>, shared: Arc<Shared>) -> Self {
        let input = &job.input;
        let about = json!({ "app": input.app, "name": input.stream, "input": input.source.word() });
        Self { bus, shared, path: job.path(), about, state: Mutex::default() }
    }

    /// Follows the ends of runs until the future is dropped.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut ends = self.shared.ends();
        while ends.changed().await.is_ok() {
            let end = ends.borrow_and_update().clone();
            match end.error {
                Some(error) => self.fail(&error),
                None => self.end(if end.is_told { "stopped" } else { "ended" }, None),
            }
        }
    }

    /// Notes that players can join now.
    pub(super) fn playable(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut state.is_live, true) {
            state.told = None;
            self.shared.set_ready();
            tracing::info!(stream = self.path, "input started");
            self.tell("input.started", json!({}));
        }
    }

    /// Reports a failed run. A repeated failure of the same kind is not reported again.
    pub(super) fn fail(&self, error: &str) {
        self.end("failed", Some(error));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.told.as_deref() != Some(error) {
            state.told = Some(error.to_owned());
            tracing::error!(stream = self.path, "input failed: {error}");
            self.tell("input.failed", json!({ "error": error }));
        }
    }

    /// Notes that the job has ended.
    pub(super) fn stop(&self) {
        self.end("stopped", None);
    }

    fn end(&self, reason: &str, error: Option<&str>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.is_live) {
            tracing::info!(stream = self.path, "input ended: {reason}");
            self.tell("input.ended", json!({ "reason": reason, "error": error }));
        }
    }

    fn tell(&self, kind: &str, mut data: Value) {
        for (key, value) in self.about.as_object().into_iter().flatten() {
            data[key] = value.clone();
        }
        data["at"] = json!(clock::now());
        self.bus.tell(kind, data);
    }
}
