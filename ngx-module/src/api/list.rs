//! Lists: a short one is one answer, a long one is made and sent in pieces, so that no worker stands still for it.

use ngx_rtmp::request::{Pieces, Response, Step};
use serde::Serialize;

use super::call::Answer;

/// Rows that are made at once.
pub(super) const AT_ONCE: usize = 256;

/// `{"NAME":[...]}` of what is known already.
pub(super) fn list<T: Serialize + 'static>(name: &'static str, rows: Vec<T>) -> Answer {
    let is_short = rows.len() <= AT_ONCE;
    Ok(step(name, is_short, parts(rows, String::new())))
}

/// What comes next in a list.
pub(super) enum Part<T> {
    /// Some rows, or none: others have their turn, and the list goes on.
    Rows(Vec<T>),
    /// The list ends; this follows it.
    End(String),
}

/// The parts of what is known already, and what follows the list.
pub(super) fn parts<T>(rows: Vec<T>, end: String) -> impl FnMut() -> Part<T> {
    let mut rows = rows.into_iter();
    let mut end = Some(end);
    move || {
        let part: Vec<T> = rows.by_ref().take(AT_ONCE).collect();
        if part.is_empty() { Part::End(end.take().unwrap_or_default()) } else { Part::Rows(part) }
    }
}

/// `{"NAME":[...]END}`. `part` gives some rows at a time; a short list is answered whole.
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
            // A row has no map with keys that are no text, which is all that could fail.
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
