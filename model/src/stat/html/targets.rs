//! The table of push targets.

use super::cells::{push_cell, push_count, push_duration};
use super::parts::{flow, name, table};
use crate::snapshot::{Snapshot, StreamSnapshot};
use crate::stat::text::push_escaped;
use crate::target::{PushState, PushView, TargetView};

const HEADS: [&str; 9] =
    ["Stream", "Target", "State", "Up", "Out", "Reconnects", "URL", "Last error", "Note"];

/// Appends a row per stream and target; if `full`, with the URLs, errors and notes.
pub(super) fn push_table(out: &mut String, snapshot: &Snapshot, full: bool) {
    table(out, "Targets", if full { &HEADS } else { &HEADS[..6] });
    let most = rows(snapshot).map(|(_, _, push)| push.bitrate_out).max().unwrap_or(0);
    for (stream, target, push) in rows(snapshot) {
        let millis = snapshot.now.millis_since(push.since);
        out.push_str("<tr><th scope=\"row\">");
        name(out, stream, snapshot.has_several_servers());
        out.push_str("</th>");
        push_cell(out, "Target", |out| push_escaped(out, &target.id.to_string()));
        push_cell(out, "State", |out| state(out, push));
        push_cell(out, "Up", |out| push_duration(out, millis));
        push_cell(out, "Out", |out| flow(out, push.bitrate_out, most, push.bytes_out));
        push_cell(out, "Reconnects", |out| push_count(out, push.reconnects, "", ""));
        if full {
            push_cell(out, "URL", |out| text(out, target.url.as_deref()));
            push_cell(out, "Last error", |out| text(out, push.last_error.as_deref()));
            push_cell(out, "Note", |out| text(out, target.note.as_deref()));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

fn rows(snapshot: &Snapshot) -> impl Iterator<Item = (&StreamSnapshot, &TargetView, &PushView)> {
    snapshot.streams.iter().flat_map(|stream| {
        let targets = stream.targets.iter();
        targets.flat_map(move |target| target.sessions.iter().map(move |push| (stream, target, push)))
    })
}

fn state(out: &mut String, push: &PushView) {
    let class = match push.state {
        PushState::Live => "ok",
        PushState::Connecting | PushState::Off => "idle",
        PushState::Waiting => "stuck",
    };
    for part in ["<span class=\"", class, "\">", push.state.as_str(), "</span>"] {
        out.push_str(part);
    }
    if let Some(millis) = push.retry_in_ms {
        out.push_str("<small>again in ");
        push_duration(out, millis);
        out.push_str("</small>");
    }
}

fn text(out: &mut String, text: Option<&str>) {
    match text {
        None | Some("") => out.push('-'),
        Some(text) => push_escaped(out, text),
    }
}
