//! What happens, told to everybody who listens: the module's events as they come, and the daemon's own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::broadcast;

/// So many events are kept for who comes back with `Last-Event-ID`.
const KEPT: usize = 1000;
/// Who is further behind than this has missed some.
const BEHIND: usize = 256;

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Counted up, over a restart of the daemon too.
    pub id: u64,
    /// Such as `stream.ready`.
    pub kind: String,
    /// A JSON object.
    pub data: Value,
}

/// Where events go through.
#[derive(Debug)]
pub struct Bus {
    sender: broadcast::Sender<Arc<Event>>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    next: u64,
    /// Events before this id are not known any more, or never were.
    complete_from: u64,
    events: VecDeque<Arc<Event>>,
}

/// What somebody who comes back has to hear first.
#[derive(Debug)]
pub struct CatchUp {
    /// Events are missing between theirs and these.
    pub missed: bool,
    /// In order.
    pub events: Vec<Arc<Event>>,
    /// All that follow.
    pub live: broadcast::Receiver<Arc<Event>>,
}

impl Bus {
    /// One that has seen nothing. `now` (milliseconds) makes its ids higher than those of an earlier daemon.
    pub fn new(now: u64) -> Arc<Self> {
        let next = now.saturating_mul(1000);
        let kept = Kept { next, complete_from: next, events: VecDeque::new() };
        Arc::new(Self { sender: broadcast::channel(BEHIND).0, kept: Mutex::new(kept) })
    }

    /// Tells everybody.
    pub fn tell(&self, kind: &str, data: Value) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let event = Arc::new(Event { id: kept.next, kind: kind.to_owned(), data });
        kept.next += 1;
        if kept.events.len() == KEPT
            && let Some(oldest) = kept.events.pop_front()
        {
            kept.complete_from = oldest.id + 1;
        }
        kept.events.push_back(event.clone());
        // Fails when nobody listens.
        let _ = self.sender.send(event);
    }

    /// Listens from now on, or from behind the event `last`.
    pub fn listen(&self, last: Option<u64>) -> CatchUp {
        // Held, so that no event comes between the two.
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
            bus.tell("x", json!({ "n": n }));
        }
        let ids = |last| {
            let caught = bus.listen(last);
            (caught.missed, caught.events.iter().map(|event| event.id).collect::<Vec<_>>())
        };
        assert_eq!(ids(None), (false, vec![]));
        assert_eq!(ids(Some(1000)), (false, vec![1001, 1002]));
        assert_eq!(ids(Some(1002)), (false, vec![]));
        // Of an earlier daemon, or of nobody.
        assert_eq!(ids(Some(5)), (true, vec![1000, 1001, 1002]));
        for ahead in [1003, 99_999, u64::MAX] {
            assert_eq!(ids(Some(ahead)), (true, vec![1000, 1001, 1002]));
        }
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let bus = Bus::new(0);
        for n in 0..1500 {
            bus.tell("x", json!(n));
        }
        let caught = bus.listen(Some(100));
        assert!(caught.missed);
        assert_eq!(caught.events.first().unwrap().id, 500);
        assert!(!bus.listen(Some(499)).missed);
    }
}
