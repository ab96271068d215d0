//! Programs that work for viewers and publishers of this process: beside jobs in their list, and counted with them.

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

/// All of them.
#[derive(Debug, Default)]
pub struct Helpers {
    all: Mutex<BTreeMap<String, Known>>,
    /// Processes of jobs.
    jobs: AtomicUsize,
}

/// One that is known.
#[derive(Clone, Debug)]
pub struct Known {
    /// The stream that it works for.
    pub stream: StreamId,
    /// What it makes.
    pub makes: &'static str,
    /// Its state and its lines.
    pub shared: Arc<Shared>,
    restart: Arc<Notify>,
}

/// A place among them, until it is dropped.
#[derive(Debug)]
pub struct Helper {
    helpers: Arc<Helpers>,
    id: String,
    known: Known,
}

impl Helpers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many processes belong to jobs.
    pub fn set_jobs(&self, count: usize) {
        self.jobs.store(count, Ordering::Relaxed);
    }

    /// How many have a process.
    pub fn running(&self) -> usize {
        self.all().values().filter(|known| known.shared.status().pid.is_some()).count()
    }

    /// By their ids.
    pub fn list(&self) -> BTreeMap<String, Known> {
        self.all().clone()
    }

    /// Has one started anew; false when there is none of this id.
    pub fn restart(&self, id: &str) -> bool {
        self.all().get(id).map(|known| known.restart.notify_one()).is_some()
    }

    /// Makes a place for a program that works for a stream; `kind` is the end of its id.
    pub fn enter(self: &Arc<Self>, stream: StreamId, kind: &str, makes: &'static str) -> Helper {
        let id = format!("{}/{}/{kind}", stream.0, stream.1);
        let known = Known { stream, makes, shared: Shared::new(), restart: Arc::default() };
        self.all().insert(id.clone(), known.clone());
        Helper { helpers: self.clone(), id, known }
    }
}

impl Helper {
    /// `APP/NAME`.
    pub fn stream(&self) -> String {
        format!("{}/{}", self.known.stream.0, self.known.stream.1)
    }

    /// Whether there is room for its process, of `most` of jobs and helpers.
    pub fn may_start(&self, most: usize) -> bool {
        let may = self.helpers.jobs.load(Ordering::Relaxed) + self.helpers.running() < most;
        if !may {
            self.note(State::Waiting, None, Some(format!("waits: max_processes = {most} are running")));
        }
        may
    }

    /// It has a process.
    pub fn started(&self, pid: Option<u32>) {
        self.note(State::Running, pid, None);
    }

    /// It makes what it is for.
    pub fn works(&self) {
        self.known.shared.set_ready();
    }

    /// Its process is gone.
    pub fn ended(&self, error: Option<String>) {
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

    /// A line that its process wrote.
    pub fn said(shared: &Shared, level: &'static str, text: String) {
        shared.output.push(Line { at: clock::now(), level, text });
    }

    /// Its state and its lines.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.known.shared
    }

    /// Waits until an operator wants it started anew.
    pub async fn restart(&self) {
        self.known.restart.notified().await;
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let mut all = self.helpers.all();
        // Another publisher may have the name by now.
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
