//! Helpers: programs that work for viewers and publishers of this process. They are listed with the jobs, and count as processes like
//! jobs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use weir_model::{AppName, StreamName};

use super::Shared;
use super::job::State;
use super::output::Line;
use crate::clock;

/// Application and name.
type StreamId = (AppName, StreamName);

/// All helpers.
#[derive(Debug, Default)]
pub(crate) struct Helpers {
    all: Mutex<BTreeMap<String, Known>>,
    /// Number of processes that belong to jobs.
    jobs: AtomicUsize,
}

/// A helper in the list.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The helper's stream.
    pub stream: StreamId,
    /// Its product, for example `opus`.
    pub makes: &'static str,
    /// Its state and its log lines.
    pub shared: Arc<Shared>,
    restart: Arc<Notify>,
}

/// A helper's place in the list, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Helper {
    helpers: Arc<Helpers>,
    id: String,
    known: Known,
}

impl Helpers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the number of processes that belong to jobs.
    pub(crate) fn set_jobs(&self, count: usize) {
        self.jobs.store(count, Ordering::Relaxed);
    }

    /// Returns the number of helpers that have a process.
    pub(crate) fn running(&self) -> usize {
        self.all().values().filter(|known| known.shared.status().pid.is_some()).count()
    }

    /// Returns all helpers by their ids.
    pub(crate) fn list(&self) -> BTreeMap<String, Known> {
        self.all().clone()
    }

    /// Orders a restart of a helper. Returns false if no helper has this id.
    pub(crate) fn restart(&self, id: &str) -> bool {
        self.all().get(id).map(|known| known.restart.notify_one()).is_some()
    }

    /// Adds a helper for a stream. `kind` is the end of its id.
    pub(crate) fn enter(self: &Arc<Self>, stream: StreamId, kind: &str, makes: &'static str) -> Helper {
        let id = format!("{}/{}/{kind}", stream.0, stream.1);
        let known = Known { stream, makes, shared: Shared::new(), restart: Arc::default() };
        self.all().insert(id.clone(), known.clone());
        Helper { helpers: self.clone(), id, known }
    }
}

impl Helper {
    /// Returns `APP/NAME`.
    pub(crate) fn stream(&self) -> String {
        format!("{}/{}", self.known.stream.0, self.known.stream.1)
    }

    /// Returns whether the helper may start a process, if jobs and helpers may have `most` of them together.
    pub(crate) fn may_start(&self, most: usize) -> bool {
        let may = self.helpers.jobs.load(Ordering::Relaxed) + self.helpers.running() < most;
        if !may {
            self.note(State::Waiting, None, Some(format!("waits: max_processes = {most} are running")));
        }
        may
    }

    /// Notes that the process has started.
    pub(crate) fn started(&self, pid: Option<u32>) {
        self.note(State::Running, pid, None);
    }

    /// Notes that the helper produces output.
    pub(crate) fn works(&self) {
        self.known.shared.set_ready();
    }

    /// Notes that the process has ended.
    pub(crate) fn ended(&self, error: Option<String>) {
        self.known.shared.update(|status| status.restarts += 1);
        self.note(State::Waiting, None, error);
    }

    fn note(&self, state: State, pid: Option<u32>, error: Option<String>) {
        self.known.shared.update(|status| {
            if status.state != state {
                (status.state, status.since) = (state, clock::now());
            }
            status.pid = pid;
            if error.is_some() {
                status.last_error = error;
            }
        });
    }

    /// Stores a line that the process wrote.
    pub(crate) fn said(shared: &Shared, level: &'static str, text: String) {
        shared.output.push(Line { at: clock::now(), level, text });
    }

    /// Returns its state and its log lines.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.known.shared
    }

    /// Waits until an operator orders a restart.
    pub(crate) async fn restart(&self) {
        self.known.restart.notified().await;
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let mut all = self.helpers.all();
        // Another publisher may use the name by now.
        if all.get(&self.id).is_some_and(|known| Arc::ptr_eq(&known.shared, &self.known.shared)) {
            all.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_counted_with_the_jobs() {
        let helpers = Arc::new(Helpers::default());
        let id: StreamId = ("live".parse().unwrap(), "show".parse().unwrap());
        let first = helpers.enter(id.clone(), "opus", "opus");
        assert!(first.may_start(1));
        helpers.set_jobs(1);
        assert!(!first.may_start(1) && first.may_start(2));
        first.started(Some(1));
        let second = helpers.enter(id, "opus", "opus");
        drop(first);
        assert_eq!(helpers.list().into_keys().collect::<Vec<_>>(), ["live/show/opus"]);
        drop(second);
        assert!(helpers.list().is_empty());
    }
}
