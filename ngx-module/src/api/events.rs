//! `GET /v1/events`: what happens, as server-sent events (HTML Standard, section 9.2).

use std::fmt::Write;

use ngx_rtmp::event_stream::Events;
use ngx_rtmp::request::{Response, Step};
use weir_model::{Timestamp, api::ApiError, audience::Told};
use weir_zone::{Event, Resume};

use super::call::{Answer, Call};
use crate::{
    process,
    runtime::{self, Runtime},
    snapshot,
};

/// Events that are sent at once, at most.
const AT_ONCE: usize = 32;

/// Where a client goes on.
struct Position {
    /// The id of the event before the first that the client gets.
    after: u64,
    /// The id that the client gave, when this zone has not given it: the zone was made anew, its clock
    /// was set back, or another server was asked before.
    unknown: Option<u64>,
}

/// Where the client wants to go on: after `Last-Event-ID`, or from now on. Nobody can tell what followed an id
/// that this zone has not given: who sends one gets all that is kept, and hears that events are missing.
pub(super) fn follow(call: &Call<'_>) -> Answer {
    if call.head.method == "HEAD" {
        let (headers, body) = (Vec::new(), String::new());
        return Ok(Step::Answer(Response { status: 200, content_type: "text/event-stream", headers, body }));
    }
    let zone = call.runtime.zone();
    let position = match call.head.last_event_id.map(str::trim).filter(|id| !id.is_empty()) {
        None => Position { after: zone.last_event(), unknown: None },
        Some(id) if id.bytes().all(|byte| byte.is_ascii_digit()) => {
            // A number that is too large is ahead of every event.
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

/// The events from there on.
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

/// What a client was told of viewers. These events are not kept: who connects is told how it stands.
#[derive(Default)]
struct Audience {
    told: Told,
    /// The number of changes that were looked at.
    changes: Option<u64>,
    /// Not before this moment of the clock that is never set.
    next_look: Timestamp,
}

impl Audience {
    /// Appends the events `viewers`; looks once a second, if anything changed.
    fn tell(&mut self, runtime: &Runtime, text: &mut String) {
        const EACH_MS: u64 = 1000;
        let (now, changes) = (process::uptime(), runtime.zone().audience_changes());
        if now < self.next_look || (self.changes == Some(changes) && !self.told.is_pending()) {
            return;
        }
        self.next_look = Timestamp::from_millis(now.as_millis() + EACH_MS);
        self.changes = Some(changes);
        for one in self.told.news(snapshot::audiences(runtime), now) {
            // It has no map with keys that are no text, which is all that could fail.
            let data = serde_json::to_string(&one).unwrap_or_default();
            let fields = data.strip_prefix('{').unwrap_or(&data);
            let _ = write!(text, "event: viewers\ndata: {{\"at\":\"{}\",{fields}\n\n", process::now());
        }
    }
}

/// What a client is sent at once.
fn hello(position: &Position) -> String {
    let mut text = ": events of weir\n\n".to_owned();
    if let Some(id) = position.unknown {
        let _ = write!(text, "event: missed\ndata: {{\"after\":{id},\"count\":null}}\n\n");
    }
    text
}

/// Events on the wire. `after` is the id that the client has; `missed` says how many are gone since.
fn wire(events: &[Event], after: u64, missed: u64) -> String {
    let mut text = String::new();
    if missed > 0 {
        let _ = write!(text, "event: missed\ndata: {{\"after\":{after},\"count\":{missed}}}\n\n");
    }
    for event in events {
        let (id, kind, at, data) = (event.id, &event.kind, event.at, &event.data);
        let fields = data.strip_prefix('{').unwrap_or(data);
        let _ = write!(text, "id: {id}\nevent: {kind}\ndata: {{\"at\":\"{at}\",{fields}\n\n");
    }
    text
}
