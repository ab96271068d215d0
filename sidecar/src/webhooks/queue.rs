//! Undelivered events on disk: one file per event, written atomically and removed after the delivery.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use weir_model::Timestamp;

use crate::clock;
use crate::files::{self, PRIVATE, durable};

/// Message of one event for an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// `webhook-id`: the same in each attempt, at each endpoint, and after a restart.
    pub id: String,
    /// Kind of the event.
    pub kind: String,
    /// Time of the event.
    pub at: Timestamp,
    /// The exact body.
    pub body: String,
}

/// The undelivered events of one endpoint, in order.
#[derive(Debug)]
pub(crate) struct Queue {
    folder: PathBuf,
    waiting: Mutex<VecDeque<u64>>,
    news: Notify,
}

impl Queue {
    /// Opens the queue. Events that an earlier daemon left in `folder` are first.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        PRIVATE.make_folder(&folder)?;
        let mut waiting = Vec::new();
        for entry in fs::read_dir(&folder)?.flatten() {
            let path = entry.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => waiting.extend(number_of(&path)),
                // The daemon died while it wrote this file.
                Some("new") => fs::remove_file(&path)?,
                _ => {}
            }
        }
        waiting.sort_unstable();
        Ok(Self { folder, waiting: Mutex::new(waiting.into()), news: Notify::new() })
    }

    /// Returns the number of waiting events.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Returns whether no event waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends an event. Beyond `limit` events, the oldest are dropped. Returns the number of dropped events.
    pub(crate) fn push(&self, message: &Message, limit: usize) -> io::Result<usize> {
        let number = clock::next_number();
        let path = self.path(number);
        let unfinished = path.with_extension("new");
        let durability = durable::replace(&path, &unfinished, 0o600, &serde_json::to_vec(message)?)?;
        files::warn_if_uncertain(durability, "webhook event", &path);
        let mut waiting = self.lock();
        waiting.push_back(number);
        let too_many = waiting.len().saturating_sub(limit);
        let oldest: Vec<u64> = waiting.drain(..too_many).collect();
        drop(waiting);
        for number in oldest {
            let _ = fs::remove_file(self.path(number));
        }
        self.news.notify_one();
        Ok(too_many)
    }

    /// Waits for the oldest event. Unreadable files are set aside.
    pub(crate) async fn next(&self) -> (u64, Message) {
        loop {
            let news = self.news.notified();
            if let Some(first) = self.first() {
                return first;
            }
            news.await;
        }
    }

    fn first(&self) -> Option<(u64, Message)> {
        loop {
            let number = *self.lock().front()?;
            let path = self.path(number);
            let message = fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
            match message {
                Ok(message) => return Some((number, message)),
                // The file was dropped a moment ago because the queue was too long.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::error!("webhook event set aside: {error}, file: {path:?}");
                    let _ = fs::rename(&path, path.with_extension("corrupt"));
                }
            }
            self.forget(number);
        }
    }

    /// Removes a delivered or abandoned event.
    pub(crate) fn done(&self, number: u64) {
        if let Err(error) = fs::remove_file(self.path(number))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("webhook event will be sent again after a restart: {error}");
        }
        self.forget(number);
    }

    fn forget(&self, number: u64) {
        self.lock().retain(|waiting| *waiting != number);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, number: u64) -> PathBuf {
        // The padded numbers sort the names in order, for people.
        self.folder.join(format!("{number:020}.json"))
    }
}

fn number_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(n: usize) -> Message {
        Message {
            id: format!("weir_{n}"),
            kind: "x".into(),
            at: Timestamp::default(),
            body: format!("{{\"n\":{n}}}"),
        }
    }

    fn ids(queue: &Queue) -> Vec<String> {
        std::iter::from_fn(|| {
            let (number, message) = queue.first()?;
            queue.done(number);
            Some(message.id)
        })
        .collect()
    }

    #[test]
    fn events_come_in_their_order_and_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(folder.path().join("q")).unwrap();
        for n in 0..5 {
            assert_eq!(queue.push(&message(n), 100).unwrap(), 0);
        }
        let (first, _) = queue.first().unwrap();
        queue.done(first);
        drop(queue);
        fs::write(folder.path().join("q/00000000000000000001.new"), b"half").unwrap();
        let queue = Queue::open(folder.path().join("q")).unwrap();
        assert_eq!(queue.len(), 4);
        queue.push(&message(5), 100).unwrap();
        assert_eq!(ids(&queue), ["weir_1", "weir_2", "weir_3", "weir_4", "weir_5"]);
        assert!(queue.is_empty());
        assert_eq!(fs::read_dir(folder.path().join("q")).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("00000000000000000007.json"), b"{\"id\":").unwrap();
        let queue = Queue::open(folder.path().into()).unwrap();
        queue.push(&message(1), 100).unwrap();
        assert_eq!(ids(&queue), ["weir_1"]);
        assert!(queue.path(7).with_extension("corrupt").exists());
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(folder.path().into()).unwrap();
        let dropped: usize = (0..10).map(|n| queue.push(&message(n), 3).unwrap()).sum();
        assert_eq!((dropped, ids(&queue)), (7, vec!["weir_7".into(), "weir_8".into(), "weir_9".into()]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
