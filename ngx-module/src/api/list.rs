//! Lists: a short one is one answer, a long one is made and sent in pieces, so that no worker stands still for it.

use ngx_rtmp::request::{Pieces, Response, Step};
use serde::Serialize;

use super::call::Answer;

/// Rows that are made at once.
pub(super) const AT_ONCE: usize = 256;

/// `{"NAME":[...]}` of what is known already.
pub(super) fn list<T: Serialize + 'static>(name: &'static str, rows: Vec<T>) -> Answer {
    let is_short = rows.len() <= AT_ONCE;
    let mut rows = rows.into_iter();
    let part = move || Some(rows.by_ref().take(AT_ONCE).collect::<Vec<T>>()).filter(|part| !part.is_empty());
    Ok(step(name, is_short, part, String::new()))
}

/// `{"NAME":[...]END}`. `part` gives some rows at a time, and `None` at the end; a short list is answered whole.
pub(super) fn step<T: Serialize>(
    name: &'static str,
    is_short: bool,
    mut part: impl FnMut() -> Option<Vec<T>> + 'static,
    end: String,
) -> Step {
    let mut begin = Some(format!("{{\"{name}\":["));
    let mut end = Some(format!("]{end}}}"));
    let mut separator = "";
    let next = move || {
        if let Some(begin) = begin.take() {
            return Some(begin);
        }
        let Some(rows) = part() else { return end.take() };
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
