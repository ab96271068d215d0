//! Queries of the history and of past chat messages over HTTP, as JSON or CSV, in pages. Callers check the access.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use weir_model::Timestamp;

use super::{answer, compress};
use crate::chat::{Chat, read as past};
use crate::clock;
use crate::config::event::PlannedEvent;
use crate::database::csv;
use crate::database::rows::Rows;
use crate::history::History;
use crate::history::read::{self, MOST_ROWS, NoTable, Table};

/// Arguments of a query.
pub(crate) type Asked = Result<Query<read::Query>, QueryRejection>;

/// The result of a query, or an error answer.
pub(crate) type Found = Result<Sheet, Response>;

/// A text with its type.
#[derive(Debug)]
pub(crate) struct Sheet {
    kind: &'static str,
    text: Vec<u8>,
    /// File name under which a browser saves the text.
    file: Option<String>,
}

impl Sheet {
    /// Returns a JSON value as a sheet.
    pub(crate) fn json(value: &Value) -> Self {
        Self { kind: "application/json", text: value.to_string().into(), file: None }
    }

    /// Returns rows as CSV.
    pub(crate) fn csv(rows: &Rows, name: &str) -> Self {
        Self {
            kind: "text/csv; charset=utf-8",
            text: csv::text(rows).into(),
            file: Some(format!("weir-{name}.csv")),
        }
    }

    /// Returns the answer for a browser, or 304 if the browser has the same version.
    pub(crate) fn for_browser(self, headers: &HeaderMap) -> Response {
        let tag = format!("W/\"{}\"", HEXLOWER.encode(&Sha256::digest(&self.text)[..16]));
        let known =
            headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let mut response = match known {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => compress::answer(self.kind, self.text, headers),
        };
        let set = [
            (header::ETAG, Some(tag)),
            (header::CACHE_CONTROL, Some("private, no-cache".into())),
            (header::CONTENT_DISPOSITION, self.file.map(|file| format!("attachment; filename=\"{file}\""))),
        ];
        for (name, value) in set {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl IntoResponse for Sheet {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, self.kind)], self.text).into_response()
    }
}

/// Returns rows of the table `name`; in JSON, `next` is the `offset` of the next page. `usual` is the default of `limit`.
pub(crate) async fn rows(history: &Arc<History>, name: &str, query: Asked, usual: u32) -> Found {
    let table: Table = name.parse().map_err(|why: NoTable| {
        answer::error(StatusCode::NOT_FOUND, "not_found", &format!("{name:?}: {why}"))
    })?;
    let Query(mut query) = query.map_err(|why| bad_request(&sentence(&why.body_text())))?;
    if query.kind.is_some() && table != Table::Sessions {
        return Err(bad_request("argument \"kind\": only sessions have one"));
    }
    check_limit(query.limit)?;
    let is_csv = is_csv(query.format.as_deref())?;
    let most = query.limit.unwrap_or(if is_csv { MOST_ROWS } else { usual }).min(MOST_ROWS);
    let offset = query.offset.unwrap_or(0);
    // One extra row shows whether more rows follow.
    query.limit = Some(most.saturating_add(1).min(MOST_ROWS));
    let mut found = read(history, move |file| read::table(file, table, &query)).await?;
    let has_more = found.rows.len() > most as usize;
    found.rows.truncate(most as usize);
    Ok(match is_csv {
        true => Sheet::csv(&found, table.name()),
        false => Sheet::json(
            &json!({ table.name(): found.objects(), "next": has_more.then(|| offset.saturating_add(most)) }),
        ),
    })
}

/// Returns one publish session with all its data, and with the `title` of its planned event if there is one.
pub(crate) async fn session(history: &Arc<History>, events: &[PlannedEvent], id: String) -> Found {
    match read(history, move |file| read::session(file, &id)).await? {
        Some(mut found) => {
            if let Some(title) = title(events, &found, clock::now()) {
                found["title"] = json!(title);
            }
            Ok(Sheet::json(&found))
        }
        None => Err(answer::error(StatusCode::NOT_FOUND, "not_found", "the history has no such session")),
    }
}

/// Returns the title of the event of the session's stream that has most of the session's time.
fn title<'e>(events: &'e [PlannedEvent], session: &Value, now: Timestamp) -> Option<&'e str> {
    let time = |field: &str| session[field].as_str()?.parse::<Timestamp>().ok();
    let (begin, end) = (time("started_at")?, time("ended_at").unwrap_or(now));
    let common = |event: &PlannedEvent| {
        let until = event.start.plus_seconds(event.length.as_secs());
        end.min(until).as_millis().saturating_sub(begin.max(event.start).as_millis())
    };
    let of_stream = events
        .iter()
        .filter(|event| session["app"] == event.app.as_str() && session["stream"] == event.stream.as_str());
    let best = of_stream.filter(|event| common(event) > 0).max_by_key(|event| common(event))?;
    Some(&best.title)
}

/// Returns messages of the chat, oldest first.
pub(crate) async fn messages(chat: &Arc<Chat>, query: Result<Query<past::Query>, QueryRejection>) -> Found {
    let Query(query) = query.map_err(|why| bad_request(&sentence(&why.body_text())))?;
    check_limit(query.limit)?;
    let is_csv = is_csv(query.format.as_deref())?;
    let message =
        "there is no chat: set enabled of [chat] in weir.toml, or the file cannot be used (see the log)";
    let file = chat.file().ok_or_else(|| answer::error(StatusCode::NOT_FOUND, "not_found", message))?;
    let found = asked(move || past::messages(&file, &query)).await?;
    Ok(match is_csv {
        true => Sheet::csv(&found, "chat"),
        false => Sheet::json(&json!({ "messages": found.objects() })),
    })
}

/// Returns whether the format is CSV.
#[expect(clippy::result_large_err, reason = "an answer is made once")]
fn is_csv(format: Option<&str>) -> Result<bool, Response> {
    match format {
        None | Some("json") => Ok(false),
        Some("csv") => Ok(true),
        Some(_) => Err(bad_request("argument \"format\": must be \"json\" or \"csv\"")),
    }
}

fn bad_request(message: &str) -> Response {
    answer::error(StatusCode::BAD_REQUEST, "bad_request", message)
}

#[expect(clippy::result_large_err, reason = "an answer is made once")]
fn check_limit(limit: Option<u32>) -> Result<(), Response> {
    match limit {
        Some(0) => Err(bad_request(WRONG_LIMIT)),
        _ => Ok(()),
    }
}

const WRONG_LIMIT: &str = "argument \"limit\": must be a number of rows, from 1";

/// Returns the sentence for a query that serde refuses, whose text is `Failed to deserialize query string: NAME: REASON`.
fn sentence(refusal: &str) -> String {
    let reason = refusal.split_once("query string: ").map_or(refusal, |(_, reason)| reason);
    let Some((name, reason)) = reason.split_once(": ") else { return reason.to_owned() };
    match (name, reason.split_once("expected one of ")) {
        ("limit", _) => WRONG_LIMIT.to_owned(),
        ("offset", _) => "argument \"offset\": must be a number of rows, from 0".to_owned(),
        (_, Some((_, known))) => {
            format!("argument {name:?}: is unknown; must be one of {}", known.replace('`', ""))
        }
        (_, None) => format!("argument {name:?}: {reason}"),
    }
}

async fn read<T: Send + 'static>(
    history: &Arc<History>,
    question: impl FnOnce(&Path) -> Result<T, read::Error> + Send + 'static,
) -> Result<T, Response> {
    let message = "there is no history: file of [history] in weir.toml is \"off\", or the file cannot be used (see the log)";
    let file = history.file().ok_or_else(|| answer::error(StatusCode::NOT_FOUND, "not_found", message))?;
    asked(move || question(&file)).await
}

/// Reads the disk on a separate thread.
async fn asked<T: Send + 'static, E: Display + Send + 'static>(
    question: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Response> {
    let unreadable = |why: String| answer::error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &why);
    let found = spawn_blocking(question).await.map_err(|why| unreadable(why.to_string()))?;
    found.map_err(|why| unreadable(why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_the_title_of_the_event_that_has_most_of_its_time() {
        let event = |stream: &str, title: &str, start: &str| PlannedEvent {
            app: "live".parse().unwrap(),
            stream: stream.parse().unwrap(),
            title: title.into(),
            start: start.parse().unwrap(),
            length: std::time::Duration::from_secs(3600),
            description: String::new(),
            poster: None,
        };
        let events = [
            event("show", "Morning", "2026-12-24T09:00:00Z"),
            event("show", "Noon", "2026-12-24T10:00:00Z"),
            event("other", "Other", "2026-12-24T10:00:00Z"),
        ];
        let now = "2026-12-24T10:30:00Z".parse().unwrap();
        for (started, ended, expected) in [
            ("08:50:00", json!("2026-12-24T10:05:00Z"), Some("Morning")),
            ("09:55:00", json!("2026-12-24T11:05:00Z"), Some("Noon")),
            ("09:58:00", Value::Null, Some("Noon")),
            ("08:00:00", json!("2026-12-24T09:00:00Z"), None),
            ("11:00:00", Value::Null, None),
        ] {
            let session = json!({ "app": "live", "stream": "show",
                "started_at": format!("2026-12-24T{started}Z"), "ended_at": ended });
            assert_eq!(title(&events, &session, now), expected, "{session}");
        }
    }

    #[test]
    fn a_wrong_argument_is_named_with_what_would_be_right() {
        let said = |query: &str| {
            let uri = format!("http://localhost/v1/history?{query}").parse().unwrap();
            Query::<read::Query>::try_from_uri(&uri).map(|_| ()).map_err(|why| sentence(&why.body_text()))
        };
        for (query, expected) in [
            ("limit=x", WRONG_LIMIT),
            ("offset=-1", "argument \"offset\": must be a number of rows, from 0"),
            (
                "nope=1",
                "argument \"nope\": is unknown; must be one of app, stream, kind, since, until, limit, offset, format",
            ),
            (
                "since=nope",
                "argument \"since\": not an RFC 3339 time with an offset, such as 2026-11-20T18:00:00Z",
            ),
        ] {
            assert_eq!(said(query), Err(expected.to_owned()));
        }
        assert_eq!(said("limit=5&app=live"), Ok(()));
        assert!(check_limit(Some(0)).is_err() && check_limit(None).is_ok());
    }
}
