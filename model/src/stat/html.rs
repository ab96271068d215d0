//! `weir_stat html`: one page without scripts that reloads itself.
//!
//! The page is well-formed XML too, and needs no other resources, so that it works with the Content-Security-Policy
//! [`CSP`].

use super::text::push_escaped;
use crate::snapshot::{PlayerSnapshot, Snapshot, StreamSnapshot, WorkerSnapshot};

mod cells;
mod parts;
mod targets;

use cells::{push_audio, push_bar, push_bytes, push_cell, push_count, push_duration, push_rate, push_video};
use parts::{flow, name, table};

/// The permissions that the page needs, as the value of a `Content-Security-Policy` header.
pub const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

const PAGE_LEN: usize = 6 * 1024;
const STREAM_LEN: usize = 1500;
const PLAYER_LEN: usize = 640;
const TARGET_LEN: usize = 1600;

/// Renders the snapshot; if `full`, with addresses, key ids and workers of publishers and players.
pub fn render(snapshot: &Snapshot, full: bool) -> String {
    let players: usize = snapshot.streams.iter().map(|stream| stream.players.len()).sum();
    let pushes: usize = snapshot.streams.iter().map(|stream| stream.targets.len()).sum();
    let room = PAGE_LEN
        + snapshot.streams.len() * STREAM_LEN
        + pushes * TARGET_LEN
        + if full { players * PLAYER_LEN } else { 0 };
    let mut out = String::with_capacity(room);
    head(&mut out, snapshot);
    summary(&mut out, snapshot);
    if snapshot.streams.is_empty() {
        out.push_str(
            "<p class=\"empty\">Nothing is live. A stream appears here as soon as it is published.</p>\n",
        );
    } else {
        streams(&mut out, snapshot, full);
    }
    if pushes > 0 {
        targets::push_table(&mut out, snapshot, full);
    }
    if full && players > 0 {
        self::players(&mut out, snapshot);
    }
    foot(&mut out, snapshot);
    out
}

fn head(out: &mut String, snapshot: &Snapshot) {
    out.push_str(concat!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n",
        "<meta name=\"color-scheme\" content=\"light dark\" />\n",
        "<meta name=\"robots\" content=\"noindex\" />\n",
        "<meta http-equiv=\"refresh\" content=\"3\" />\n<title>"
    ));
    push_count(out, snapshot.streams.len() as u64, "stream", "streams");
    out.push_str(" - Weir</title>\n<style>\n");
    out.push_str(include_str!("html/style.css"));
    out.push_str("</style>\n</head>\n<body>\n<h1>Live streams</h1>\n");
}

fn summary(out: &mut String, snapshot: &Snapshot) {
    out.push_str("<dl>\n");
    fact(out, "Streams", |out| push_count(out, snapshot.streams.len() as u64, "", ""));
    fact(out, "Viewers", |out| push_count(out, snapshot.viewers(), "", ""));
    fact(out, "RTMP players", |out| push_count(out, snapshot.players(), "", ""));
    fact(out, "In", |out| push_rate(out, snapshot.bitrate_in));
    fact(out, "Out", |out| push_rate(out, snapshot.bitrate_out));
    fact(out, "Up", |out| push_duration(out, snapshot.now.millis_since(snapshot.since)));
    fact(out, "Workers", |out| {
        for (at, worker) in snapshot.workers.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { " " });
            self::worker(out, worker);
        }
    });
    fact(out, "Zone", |out| {
        push_bytes(out, snapshot.zone.used);
        out.push_str(" of ");
        push_bytes(out, snapshot.zone.size);
        push_bar(out, snapshot.zone.used, snapshot.zone.size);
    });
    out.push_str("</dl>\n");
}

fn fact(out: &mut String, name: &str, value: impl FnOnce(&mut String)) {
    for part in ["<div><dt>", name, "</dt><dd>"] {
        out.push_str(part);
    }
    value(out);
    out.push_str("</dd></div>\n");
}

fn worker(out: &mut String, worker: &WorkerSnapshot) {
    let (class, mark) = match (worker.is_stuck(), worker.draining) {
        (true, _) => ("stuck", " stuck"),
        (false, true) => ("draining", " draining"),
        (false, false) => ("ok", ""),
    };
    for part in ["<span class=\"", class, "\">"] {
        out.push_str(part);
    }
    push_count(out, worker.pid.into(), "", "");
    out.push_str(mark);
    out.push_str("</span>");
}

/// The heads of a table. Each cell of a row repeats its head, for screens that are too narrow for a table.
fn streams(out: &mut String, snapshot: &Snapshot, full: bool) {
    const HEADS: [&str; 12] = [
        "Stream",
        "Up",
        "Video",
        "Audio",
        "In",
        "Out",
        "Viewers",
        "Players",
        "Dropped",
        "Publisher",
        "Key",
        "Worker",
    ];
    table(out, "Streams", if full { &HEADS } else { &HEADS[..9] });
    let rate = |of: fn(&StreamSnapshot) -> u64| snapshot.streams.iter().map(of).max().unwrap_or(0);
    let several = snapshot.has_several_servers();
    let (most_in, most_out) = (rate(|stream| stream.bitrate_in), rate(|stream| stream.bitrate_out));
    for stream in &snapshot.streams {
        out.push_str("<tr><th scope=\"row\">");
        name(out, stream, several);
        out.push_str("</th>");
        push_cell(out, "Up", |out| push_duration(out, snapshot.now.millis_since(stream.since)));
        push_cell(out, "Video", |out| push_video(out, stream.video.as_ref()));
        push_cell(out, "Audio", |out| push_audio(out, stream.audio.as_ref()));
        push_cell(out, "In", |out| flow(out, stream.bitrate_in, most_in, stream.bytes_in));
        push_cell(out, "Out", |out| flow(out, stream.bitrate_out, most_out, stream.bytes_out));
        push_cell(out, "Viewers", |out| viewers(out, stream));
        push_cell(out, "Players", |out| push_count(out, stream.viewers.rtmp, "", ""));
        push_cell(out, "Dropped", |out| push_count(out, stream.dropped, "", ""));
        if full {
            publisher(out, stream);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

/// The number of all viewers; the title has the number of each kind.
fn viewers(out: &mut String, stream: &StreamSnapshot) {
    out.push_str("<span title=\"");
    for (kind, count) in stream.viewers.by_kind() {
        out.push_str(kind);
        out.push(' ');
        push_count(out, count, "", "");
        out.push_str(", ");
    }
    out.push_str("peak ");
    push_count(out, stream.viewers_peak, "", "");
    out.push_str(", total ");
    push_count(out, stream.viewers_total, "", "");
    out.push_str("\">");
    push_count(out, stream.viewers.total(), "", "");
    out.push_str("</span>");
}

fn publisher(out: &mut String, stream: &StreamSnapshot) {
    let publisher = stream.publisher.as_ref();
    push_cell(out, "Publisher", |out| match publisher {
        Some(publisher) => push_escaped(out, &publisher.addr),
        None => out.push('-'),
    });
    push_cell(out, "Key", |out| match publisher.and_then(|publisher| publisher.key_id) {
        Some(key) => push_escaped(out, &key.to_string()),
        None => out.push('-'),
    });
    push_cell(out, "Worker", |out| match publisher {
        Some(publisher) => push_count(out, publisher.worker_pid.into(), "", ""),
        None => out.push('-'),
    });
}

fn players(out: &mut String, snapshot: &Snapshot) {
    table(out, "RTMP players", &["Stream", "Player", "Address", "Worker", "Up", "Out", "Dropped"]);
    let all = || snapshot.streams.iter().flat_map(|stream| stream.players.iter().map(move |p| (stream, p)));
    let most = all().map(|(_, player)| player.bitrate_out).max().unwrap_or(0);
    for (stream, player) in all() {
        let millis = snapshot.now.millis_since(player.since);
        out.push_str("<tr><th scope=\"row\">");
        name(out, stream, snapshot.has_several_servers());
        out.push_str("</th>");
        self::player(out, player, millis, most);
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

fn player(out: &mut String, player: &PlayerSnapshot, millis: u64, most: u64) {
    push_cell(out, "Player", |out| push_escaped(out, &player.id));
    push_cell(out, "Address", |out| push_escaped(out, &player.addr));
    push_cell(out, "Worker", |out| push_count(out, player.worker_pid.into(), "", ""));
    push_cell(out, "Up", |out| push_duration(out, millis));
    push_cell(out, "Out", |out| flow(out, player.bitrate_out, most, player.bytes_out));
    push_cell(out, "Dropped", |out| push_count(out, player.dropped, "", ""));
}

fn foot(out: &mut String, snapshot: &Snapshot) {
    out.push_str("<footer>");
    push_escaped(out, &snapshot.now.to_string());
    out.push_str(concat!(" - Weir ", env!("CARGO_PKG_VERSION"), ", nginx "));
    push_escaped(out, &snapshot.nginx_version);
    out.push_str(", nginx-rtmp ");
    push_escaped(out, &snapshot.rtmp_version);
    out.push_str("</footer>\n</body>\n</html>\n");
}

#[cfg(test)]
mod tests;
