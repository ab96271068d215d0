//! Planned events: `/events.ics`, and the images of events and of the site.

use std::path::Path;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path as UrlPath, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use weir_model::Timestamp;
use weir_model::event::EndReason;

use super::answer;
use super::asker::asker;
use super::common::Web;
use crate::clock;
use crate::config::event::PlannedEvent;
use crate::streams::StreamId;

/// Maximum size of an image, in bytes.
const MOST_BYTES: u64 = 8 << 20;

/// What the pages need to know about the stream of an event.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The stream was live since the start of the event.
    pub(super) was_live: bool,
    /// Why the last publisher is gone; `None` while it publishes, or if the reason is unknown.
    pub(super) last_end: Option<EndReason>,
    /// Viewers need a token, as far as the daemon knows.
    pub(super) protected: bool,
}

/// Returns the events of a stream, or of all streams, up to one hour after their end. `root` leads from the page to the root. `facts`
/// returns the facts about the stream of an event with this start.
pub(super) fn of(
    events: &[PlannedEvent],
    id: Option<&StreamId>,
    root: &str,
    now: Timestamp,
    facts: impl Fn(&StreamId, Timestamp) -> Facts,
) -> Vec<Value> {
    let is_wanted = |event: &PlannedEvent| {
        id.is_none_or(|id| (&event.app, &event.stream) == (&id.0, &id.1))
            && event.start.plus_seconds(event.length.as_secs() + 3600) > now
    };
    let numbered = events.iter().enumerate().filter(|(_, event)| is_wanted(event));
    numbered
        .map(|(number, event)| {
            let poster = event.poster.as_ref().map(|_| format!("{root}/poster/{number}"));
            let Facts { was_live, last_end, protected } = facts(&(event.app.clone(), event.stream.clone()), event.start);
            json!({ "app": event.app, "stream": event.stream, "title": event.title, "start": event.start,
                "end": event.start.plus_seconds(event.length.as_secs()), "description": event.description, "poster": poster,
                "was_live": was_live, "last_end": last_end, "protected": protected })
        })
        .collect()
}

/// Returns `/events.ics` (RFC 5545).
pub(super) async fn calendar(
    State(web): State<Arc<Web>>,
    ConnectInfo(peer): ConnectInfo<std::net::SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let config = web.context.config();
    let asker = asker(peer, &headers, &config.web.trusted_proxies, &config.web.base);
    let place = config.web.url.clone().or(asker.url).unwrap_or_default();
    let text = ics(&config.events, &place, clock::now());
    ([(header::CONTENT_TYPE, "text/calendar; charset=utf-8")], text).into_response()
}

fn ics(events: &[PlannedEvent], place: &str, now: Timestamp) -> String {
    let mut text = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Weir//weir serve//EN\r\n");
    for event in events {
        let url = format!("{place}/watch/{}/{}", event.app, event.stream);
        let end = event.start.plus_seconds(event.length.as_secs());
        let uid = format!("{}-{}-{}@weir", event.app, event.stream, event.start.as_seconds());
        for (name, value) in [
            ("BEGIN", "VEVENT".to_owned()),
            ("UID", content(&uid)),
            ("DTSTAMP", moment(now)),
            ("DTSTART", moment(event.start)),
            ("DTEND", moment(end)),
            ("SUMMARY", content(&event.title)),
            ("DESCRIPTION", content(&event.description)),
            ("URL", url),
            ("END", "VEVENT".to_owned()),
        ] {
            folded(&mut text, &format!("{name}:{value}"));
        }
    }
    text + "END:VCALENDAR\r\n"
}

/// Formats a time as `20261224T180000Z`.
fn moment(at: Timestamp) -> String {
    Timestamp::from_millis(at.as_seconds() * 1000).to_string().replace(['-', ':'], "")
}

/// Escapes a text (RFC 5545, section 3.3.11).
fn content(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,").replace("\r\n", "\n");
    text.replace('\n', "\\n").chars().filter(|c| !c.is_control()).collect()
}

/// Folds a line into lines of at most 75 bytes (RFC 5545, section 3.1).
fn folded(text: &mut String, line: &str) {
    let mut length = 0;
    for c in line.chars() {
        if length + c.len_utf8() > 73 {
            text.push_str("\r\n ");
            length = 1;
        }
        text.push(c);
        length += c.len_utf8();
    }
    text.push_str("\r\n");
}

/// Returns `/poster/NUMBER`.
pub(super) async fn poster(State(web): State<Arc<Web>>, UrlPath(number): UrlPath<String>) -> Response {
    let config = web.context.config();
    let number = number.parse().ok();
    match number.and_then(|number: usize| config.events.get(number)).and_then(|event| event.poster.as_ref()) {
        Some(file) => picture(file).await,
        None => answer::nothing_here().await,
    }
}

/// Returns `/logo`.
pub(super) async fn logo(State(web): State<Arc<Web>>) -> Response {
    match &web.context.config().web.brand.logo {
        Some(file) => picture(file).await,
        None => answer::nothing_here().await,
    }
}

async fn picture(file: &Path) -> Response {
    let size = tokio::fs::metadata(file).await.map(|file| file.len());
    if size.as_ref().is_ok_and(|size| *size > MOST_BYTES) {
        tracing::warn!("image not served: more than 8 MiB, file: {file:?}");
        return answer::nothing_here().await;
    }
    let bytes = match tokio::fs::read(file).await {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!("image not served: {error}, file: {file:?}");
            return answer::nothing_here().await;
        }
    };
    let Some(kind) = kind_of(&bytes) else {
        tracing::warn!("image not served: must be JPEG, PNG, WebP or SVG, file: {file:?}");
        return answer::nothing_here().await;
    };
    let mut response =
        ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=300")], bytes).into_response();
    // An SVG image that somebody opens directly must not run scripts.
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// Returns the content type, determined from the content.
fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => {
            let text = std::str::from_utf8(bytes).ok()?.trim_start();
            (text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg")))
                .then_some("image/svg+xml")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calendar_reads_it() {
        let event = PlannedEvent {
            app: "live".parse().unwrap(),
            stream: "show".parse().unwrap(),
            title: "Service, part 1; äöü ".repeat(6),
            start: "2026-12-24T18:00:00Z".parse().unwrap(),
            length: std::time::Duration::from_secs(3600),
            description: "Two\nlines".into(),
            poster: None,
        };
        let facts = |_: &StreamId, since| Facts { was_live: since > event.start, ..Facts::default() };
        let listed = of(std::slice::from_ref(&event), None, ".", event.start, facts);
        assert_eq!(
            [&listed[0]["end"], &listed[0]["was_live"]],
            [&json!("2026-12-24T19:00:00Z"), &json!(false)]
        );
        let text = ics(&[event], "https://live.example.org", Timestamp::default());
        assert!(text.lines().all(|line| line.len() <= 75), "{text}");
        assert!(text.contains("\r\nDTSTART:20261224T180000Z\r\nDTEND:20261224T190000Z\r\n"), "{text}");
        let unfolded = text.replace("\r\n ", "");
        assert!(unfolded.contains("\r\nSUMMARY:Service\\, part 1\\; äöü Service"), "{unfolded}");
        assert!(unfolded.contains("\r\nDESCRIPTION:Two\\nlines\r\n"));
        assert!(unfolded.contains("\r\nURL:https://live.example.org/watch/live/show\r\n"));
    }

    #[test]
    fn only_pictures_are_pictures() {
        assert_eq!(kind_of(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(kind_of(b"<svg xmlns="), Some("image/svg+xml"));
        for other in [&b"<html><svg"[..], b"", b"root:x:0:0"] {
            assert_eq!(kind_of(other), None);
        }
    }
}
