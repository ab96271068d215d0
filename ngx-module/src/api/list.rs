//! Lists. A short list is one answer. A long list is made and sent in pieces, so that it does not block the worker.

use ngx_rtmp::request::{Pieces, Response, Step};
use serde::Serialize;

use super::call::Answer;

/// Rows that are made in one step.
pub(super) const AT_ONCE: usize = 256;

/// Answers with `{"NAME":[...]}` for rows that are already known.
pub(super) fn list<T: Serialize + 'static>(name: &'static str, rows: Vec<T>) -> Answer {
    let is_short = rows.len() <= AT_ONCE;
    Ok(step(name, is_short, parts(rows, String::new())))
}

/// The next part of a list.
pub(super) enum Part<T> {
    /// Some rows, or none. The list continues after other events of the event loop.
    Rows(Vec<T>),
    /// The end of the list, and the text after it.
    End(String),
}

/// Returns the parts of a list whose rows are already known, and the text after it.
pub(super) fn parts<T>(rows: Vec<T>, end: String) -> impl FnMut() -> Part<T> {
    let mut rows = rows.into_iter();
    let mut end = Some(end);
    move || {
        let part: Vec<T> = rows.by_ref().take(AT_ONCE).collect();
        if part.is_empty() { Part::End(end.take().unwrap_or_default()) } else { Part::Rows(part) }
    }
}

/// Answers with `{"NAME":[...]END}`. `part` returns some rows per call; a short list is one answer.
pub(super) fn step<T: Serialize>(
    name: &'static str,
    is_short: bool,
    mut part: impl FnMut() -> Part<T> + 'static,
) -> Step {
    let mut begin = Some(format!("{{\"{name}\":["));
    let mut is_over = false;
    let mut separator = "";
    let next = move || {
        if let Some(begin) = begin.take() {
            return Some(begin);
        }
        if is_over {
            return None;
        }
        let rows = match part() {
            Part::Rows(rows) => rows,
            Part::End(end) => {
                is_over = true;
                return Some(format!("]{end}}}"));
            }
        };
        let mut text = String::new();
        for row in rows {
            // Only a map with keys that are not text could fail, and a row has none.
            if let Ok(row) = serde_json::to_string(&row) {
                text.push_str(separator);
                text.push_str(&row);
                separator = ",";
            }
        }
        Some(text)
    };
    let content_type = "application/json";
    if is_short {
        let body = std::iter::from_fn(next).collect();
        return Step::Answer(Response { status: 200, content_type, headers: Vec::new(), body });
    }
    Step::Pieces(Pieces { content_type, next: Box::new(next) })
}
