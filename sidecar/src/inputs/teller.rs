//! Sends the events of an input, each once.

use std::sync::{Arc, Mutex, PoisonError};

use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::{InputEnd, InputEnded, InputFailed, InputStarted};

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
    /// Application and public name.
    names: (String, String),
    /// Word of the source.
    input: String,
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
        let (names, word) = ((input.app.to_string(), input.stream.to_string()), input.source.word());
        Self { bus, shared, path: job.path(), names, input: word.to_owned(), state: Mutex::default() }
    }

    /// Follows the ends of runs until the future is dropped.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut ends = self.shared.ends();
        while ends.changed().await.is_ok() {
            let end = ends.borrow_and_update().clone();
            match end.error {
                Some(error) => self.fail(&error),
                None => self.end(if end.is_told { InputEnd::Stopped } else { InputEnd::Ended }, None),
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
            let ((app, name), input) = self.about();
            self.bus.tell(&DaemonEvent::InputStarted(InputStarted { at: clock::now(), app, input, name }));
        }
    }

    /// Reports a failed run. A repeated failure of the same kind is not reported again.
    pub(super) fn fail(&self, error: &str) {
        self.end(InputEnd::Failed, Some(error));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.told.as_deref() != Some(error) {
            state.told = Some(error.to_owned());
            tracing::error!(stream = self.path, "input failed: {error}");
            let ((app, name), input) = self.about();
            let failed = InputFailed { at: clock::now(), app, error: error.to_owned(), input, name };
            self.bus.tell(&DaemonEvent::InputFailed(failed));
        }
    }

    /// Notes that the job has ended.
    pub(super) fn stop(&self) {
        self.end(InputEnd::Stopped, None);
    }

    fn end(&self, reason: InputEnd, error: Option<&str>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.is_live) {
            tracing::info!(stream = self.path, "input ended: {}", reason.as_str());
            let (((app, name), input), error) = (self.about(), error.map(str::to_owned));
            let ended = InputEnded { at: clock::now(), app, error, input, name, reason };
            self.bus.tell(&DaemonEvent::InputEnded(ended));
        }
    }

    fn about(&self) -> ((String, String), String) {
        (self.names.clone(), self.input.clone())
    }
}
