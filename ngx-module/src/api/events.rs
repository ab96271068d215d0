//! `GET /v1/events`: what happens, as server-sent events (HTML Standard, section 9.2).

use std::fmt::Write;

use weir_model::api::ApiError;
use weir_zone::Event;

use super::{Answer, Call, Response, Step};

/// Where the client wants to go on: after `Last-Event-ID`, or from now on.
pub(super) fn follow(call: &Call<'_>) -> Answer {
    if call.head.method == "HEAD" {
        let (headers, body) = (Vec::new(), String::new());
        return Ok(Step::Answer(Response { status: 200, content_type: "text/event-stream", headers, body }));
    }
    let last = call.runtime.zone.last_event();
    let after = match call.head.last_event_id {
        None => last,
        Some(id) => id
            .trim()
            .parse()
            .map_err(|_| ApiError::bad_request("header \"Last-Event-ID\": expected a number"))?,
    };
    Ok(Step::Follow(after))
}

/// Events on the wire. `after` is the id that the client has; `missed` says how many are gone since.
#[must_use]
pub fn wire(events: &[Event], after: u64, missed: u64) -> String {
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
