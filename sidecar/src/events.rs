//! The event bus: distributes the module's events and the daemon's own to all listeners.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::broadcast;
use weir_model::Timestamp;
use weir_model::event::Event as ModuleEvent;
use weir_model::event::daemon::{CHAT_MESSAGE, DaemonEvent};

/// Number of events that the bus keeps for clients that reconnect with `Last-Event-ID`.
const KEPT: usize = 1000;
/// Most of them that are messages of the chat, so that a busy chat leaves room for others.
const KEPT_SAID: usize = 200;
/// Number of events that a listener may be behind; a slower listener misses events.
const BEHIND: usize = 256;

/// An event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Sequence number; it also increases over a restart of the daemon.
    pub id: u64,
    /// Kind, such as `stream.ready`.
    pub kind: String,
    /// Data, a JSON object.
    pub data: Value,
}

impl Event {
    /// Reads an event of the module. Returns `None` for an event of the daemon.
    pub(crate) fn of_module(&self) -> Option<ModuleEvent> {
        ModuleEvent::read(&self.kind, &self.data).ok()
    }

    /// Returns the time of the event.
    pub(crate) fn at(&self) -> Option<Timestamp> {
        self.data["at"].as_str()?.parse().ok()
    }
}

/// The event bus.
#[derive(Debug)]
pub(crate) struct Bus {
    sender: broadcast::Sender<Arc<Event>>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    next: u64,
    /// Lowest id from which all events are kept.
    complete_from: u64,
    events: VecDeque<Arc<Event>>,
}

impl Kept {
    /// Forgets the oldest event if there are too many: a message of the chat if there are too many of those.
    fn shorten(&mut self) {
        let is_said = |event: &Arc<Event>| event.kind == CHAT_MESSAGE;
        let has_many = || self.events.iter().filter(|event| is_said(event)).count() > KEPT_SAID;
        let first_said = self.events.back().is_some_and(is_said) && has_many();
        let gone = match first_said {
            true => self.events.iter().position(is_said),
            false => (self.events.len() > KEPT).then_some(0),
        };
        if let Some(gone) = gone.and_then(|gone| self.events.remove(gone)) {
            self.complete_from = self.complete_from.max(gone.id + 1);
        }
    }
}

/// Events for a listener that reconnects.
#[derive(Debug)]
pub(crate) struct CatchUp {
    /// Events are missing between the listener's last one and the first of `events`.
    pub missed: bool,
    /// Kept events, oldest first.
    pub events: Vec<Arc<Event>>,
    /// Receiver of all later events.
    pub live: broadcast::Receiver<Arc<Event>>,
}

impl Bus {
    /// Creates an empty bus. `now` (milliseconds) makes its ids higher than those of an earlier daemon.
    pub(crate) fn new(now: u64) -> Arc<Self> {
        let next = now.saturating_mul(1000);
        let kept = Kept { next, complete_from: next, events: VecDeque::new() };
        Arc::new(Self { sender: broadcast::channel(BEHIND).0, kept: Mutex::new(kept) })
    }

    /// Sends an event of the daemon to all listeners.
    pub(crate) fn tell(&self, event: &DaemonEvent) {
        // Only a path that is not UTF-8 could fail.
        self.pass_on(event.kind(), serde_json::to_value(event).unwrap_or_default());
    }

    /// Sends an event of the module to all listeners, with all its fields: also with those that only a newer module knows.
    pub(crate) fn pass_on(&self, kind: &str, data: Value) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let event = Arc::new(Event { id: kept.next, kind: kind.to_owned(), data });
        kept.next += 1;
        kept.events.push_back(event.clone());
        kept.shorten();
        // Sending fails if there is no listener.
        let _ = self.sender.send(event);
    }

    /// Subscribes to later events; with `last`, also returns the kept events after that id.
    pub(crate) fn listen(&self, last: Option<u64>) -> CatchUp {
        // The lock is held, so that no event occurs between the subscription and the look at the kept events.
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.sender.subscribe();
        let Some(last) = last else { return CatchUp { missed: false, events: Vec::new(), live } };
        let missed = last.saturating_add(1) < kept.complete_from || last >= kept.next;
        let events = kept.events.iter().filter(|event| missed || event.id > last).cloned().collect();
        CatchUp { missed, events, live }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_comes_back_hears_what_it_missed() {
        let bus = Bus::new(1);
        for n in 0..3 {
            bus.pass_on("x", json!({ "n": n }));
        }
        let ids = |last| {
            let caught = bus.listen(last);
            (caught.missed, caught.events.iter().map(|event| event.id).collect::<Vec<_>>())
        };
        assert_eq!(ids(None), (false, vec![]));
        assert_eq!(ids(Some(1000)), (false, vec![1001, 1002]));
        assert_eq!(ids(Some(1002)), (false, vec![]));
        // The id is of an earlier daemon, or was never assigned.
        assert_eq!(ids(Some(5)), (true, vec![1000, 1001, 1002]));
        for ahead in [1003, 99_999, u64::MAX] {
            assert_eq!(ids(Some(ahead)), (true, vec![1000, 1001, 1002]));
        }
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let bus = Bus::new(0);
        for n in 0..1500 {
            bus.pass_on("x", json!(n));
        }
        let caught = bus.listen(Some(100));
        assert!(caught.missed);
        assert_eq!(caught.events.first().unwrap().id, 500);
        assert!(!bus.listen(Some(499)).missed);
    }

    #[test]
    fn a_busy_chat_drives_out_no_other_event() {
        let bus = Bus::new(0);
        bus.pass_on("stream.started", json!({}));
        for n in 0..1500 {
            bus.pass_on(CHAT_MESSAGE, json!(n));
        }
        let caught = bus.listen(Some(5));
        let ids: Vec<u64> = caught.events.iter().map(|event| event.id).collect();
        assert!(caught.missed);
        assert_eq!((ids.len(), ids[0], ids[1]), (1 + KEPT_SAID, 0, 1301));
        assert!(!bus.listen(Some(1300)).missed);
    }
}
