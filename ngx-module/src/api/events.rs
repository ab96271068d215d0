//! `GET /v1/events`: events as server-sent events (HTML Standard, section 9.2).

use ngx_rtmp::event_stream::Events;
use ngx_rtmp::request::{Response, Step};
use weir_model::{
    Timestamp,
    api::ApiError,
    audience::Told,
    event::{self, Event, Missed},
};
use weir_zone::{Resume, StoredEvent};

use super::call::{Answer, Call};
use crate::{
    process,
    runtime::{self, Runtime},
    snapshot,
};

/// Most events per send.
const AT_ONCE: usize = 32;

/// The position of a client in the events.
struct Position {
    /// The id of the event before the client's first event.
    after: u64,
    /// The client's id, if this zone has not given this id: the zone was created again, its clock was set back, or the client asked another
    /// server before.
    unknown: Option<u64>,
}

/// Answers with the events after `Last-Event-ID`, or from now on. If this zone has not given the id, the events after the id are unknown:
/// the client gets all stored events, and a notice that events are missing.
pub(super) fn follow(call: &Call<'_>) -> Answer {
    if call.head.method == "HEAD" {
        let (headers, body) = (Vec::new(), String::new());
        return Ok(Step::Answer(Response { status: 200, content_type: "text/event-stream", headers, body }));
    }
    let zone = call.runtime.zone();
    let position = match call.head.last_event_id.map(str::trim).filter(|id| !id.is_empty()) {
        None => Position { after: zone.last_event(), unknown: None },
        Some(id) if id.bytes().all(|byte| byte.is_ascii_digit()) => {
            // A number that is too large is after every event.
            let id = id.parse().unwrap_or(u64::MAX);
            match zone.lock(process::pid()).resume_after(id) {
                Resume::After(after) => Position { after, unknown: None },
                Resume::FromOldest(after) => Position { after, unknown: Some(id) },
            }
        }
        Some(_) => return Err(ApiError::bad_request("header \"Last-Event-ID\": expected a number")),
    };
    Ok(Step::Follow(events(position)))
}

/// Returns the events after a position.
fn events(position: Position) -> Events {
    let hello = hello(&position);
    let mut seen = position.after;
    let mut audience = Audience::default();
    let news = move || {
        let runtime = runtime::current()?;
        let mut text = String::new();
        if runtime.zone().last_event() != seen {
            let after = seen;
            let (events, missed) = runtime.zone().lock(process::pid()).events_after(after, AT_ONCE);
            seen = events.last().map_or(runtime.zone().last_event(), |event| event.id);
            text = wire(&events, after, missed);
        }
        audience.tell(&runtime, &mut text);
        Some(text)
    };
    Events { hello, news: Box::new(news) }
}

/// The viewers that a client has been told about. These events are not stored, so a new client gets the present numbers.
#[derive(Default)]
struct Audience {
    told: Told,
    /// The number of changes at the last check.
    changes: Option<u64>,
    /// The earliest time of the next check, by the clock that is never set.
    next_look: Timestamp,
}

impl Audience {
    /// Appends the events `viewers`. Checks once per second, if the numbers have changed.
    fn tell(&mut self, runtime: &Runtime, text: &mut String) {
        const EACH_MS: u64 = 1000;
        let (now, changes) = (process::uptime(), runtime.zone().audience_changes());
        if now < self.next_look || (self.changes == Some(changes) && !self.told.is_pending()) {
            return;
        }
        self.next_look = Timestamp::from_millis(now.as_millis() + EACH_MS);
        self.changes = Some(changes);
        for one in self.told.news(snapshot::audiences(runtime), now) {
            append(text, Some(process::now()), &Event::Viewers(one));
        }
    }
}

/// Returns the text that a client gets immediately.
fn hello(position: &Position) -> String {
    let mut text = ": events of weir\n\n".to_owned();
    if let Some(id) = position.unknown {
        append(&mut text, None, &Event::Missed(Missed { after: id, count: None }));
    }
    text
}

/// Formats events for the wire. `after` is the client's id; `missed` is the number of events that are gone since.
fn wire(events: &[StoredEvent], after: u64, missed: u64) -> String {
    let mut text = String::new();
    if missed > 0 {
        append(&mut text, None, &Event::Missed(Missed { after, count: Some(missed) }));
    }
    for StoredEvent { id, at, kind, fields } in events {
        event::append(&mut text, Some(*id), Some(*at), kind, fields);
    }
    text
}

/// Appends an event that the zone does not keep.
fn append(text: &mut String, at: Option<Timestamp>, event: &Event) {
    event::append(text, None, at, event.kind(), &event.fields());
}
