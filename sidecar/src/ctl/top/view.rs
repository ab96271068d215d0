//! The display of `weir top` as lines of text. This module uses no clock and no terminal.

use std::cmp::Reverse;

use weir_model::Timestamp;
use weir_model::snapshot::{PublisherSnapshot, StreamSnapshot, WorkerSnapshot, ZoneSnapshot};
use weir_model::target::{PushState, TargetView};

use crate::ctl::table::{age, frame_rate, plain, rate, table, video};
use crate::jobs;
use crate::nginx::Health;

/// The data to show.
#[derive(Default)]
pub(super) struct View {
    /// Last answer.
    pub live: Option<Live>,
    /// Reason why the answer is not the newest.
    pub error: Option<String>,
}

/// Answers of the API at one time.
pub(super) struct Live {
    /// Time of the answers.
    pub at: Timestamp,
    /// Workers, zone, and problems.
    pub health: Health,
    /// Live streams.
    pub streams: Vec<StreamSnapshot>,
    /// Running inputs.
    pub inputs: Inputs,
}

/// The inputs of the daemon.
pub(super) enum Inputs {
    /// Those that run.
    These(Vec<jobs::View>),
    /// The daemon does not answer, for this reason.
    Unknown(String),
}

impl Default for Inputs {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

/// Size of a terminal.
#[derive(Clone, Copy)]
pub(super) struct Size {
    /// Characters per line.
    pub columns: usize,
    /// Number of lines.
    pub rows: usize,
}

/// A column of the table.
struct Column {
    head: &'static str,
    /// Whether the column is aligned right, as numbers are.
    right: bool,
    /// Order in which columns are dropped if a line is too short: the highest first; 0 is never dropped.
    spare: u8,
    cell: fn(&StreamSnapshot, Timestamp) -> String,
}

const COLUMNS: [Column; 12] = [
    Column { head: "STREAM", right: false, spare: 0, cell: |stream, _| name(stream) },
    Column { head: SERVER, right: false, spare: 2, cell: |stream, _| stream.server.to_string() },
    Column { head: "UP", right: true, spare: 2, cell: |stream, now| age(stream.since, now) },
    Column { head: "VIDEO", right: false, spare: 3, cell: |stream, _| video(stream.video.as_ref()) },
    Column { head: "FPS", right: true, spare: 4, cell: |stream, _| frame_rate(stream.video.as_ref()) },
    Column { head: "IN", right: true, spare: 0, cell: |stream, _| rate(stream.bitrate_in) },
    Column { head: "OUT", right: true, spare: 0, cell: |stream, _| rate(stream.bitrate_out) },
    Column { head: "VIEWERS", right: true, spare: 0, cell: |stream, _| stream.viewers.total().to_string() },
    Column { head: "PLAYERS", right: true, spare: 4, cell: |stream, _| stream.viewers.rtmp.to_string() },
    Column { head: "TARGETS", right: true, spare: 4, cell: |stream, _| targets(stream) },
    Column {
        head: "WORKER",
        right: true,
        spare: 5,
        cell: |stream, _| publisher(stream).worker_pid.to_string(),
    },
    Column { head: "PUBLISHER", right: false, spare: 6, cell: |stream, _| publisher(stream).addr },
];

/// Column that appears only if the streams arrive through several `server` blocks.
const SERVER: &str = "SERVER";

/// Minimum width to which a long name is shortened in favour of the other columns.
const SHORTEST_NAME: usize = 16;

/// Returns the lines, cut to the size if one is given; only then the table's header is highlighted.
pub(super) fn render(view: &View, size: Option<Size>) -> Vec<String> {
    let width = size.map_or(usize::MAX, |size| size.columns);
    let mut lines = Vec::new();
    if let Some(error) = &view.error {
        lines.extend(wrap(&plain(format!("weir: {error}")), width));
    }
    let Some(live) = &view.live else { return lines };
    lines.extend(head(live).iter().map(|line| clip(&plain(line.clone()), width)));
    lines.push(String::new());
    let room = size.map_or(usize::MAX, |size| size.rows.saturating_sub(lines.len()));
    let mut inputs = inputs(&live.inputs, live.at, width);
    // Streams get at least half of the screen, and an empty line follows them.
    let most = (room / 2).saturating_sub(1);
    if most < 2 {
        inputs.clear();
    }
    shorten(&mut inputs, most, width);
    let mut streams = streams(live, width);
    shorten(&mut streams, room.saturating_sub(inputs.len() + usize::from(!inputs.is_empty())), width);
    for table in [&mut streams, &mut inputs] {
        if let (Some(first), Some(_)) = (table.first_mut(), size) {
            *first = format!("\x1b[7m{first}\x1b[27m");
        }
    }
    lines.extend(streams);
    if !inputs.is_empty() {
        lines.push(String::new());
        lines.extend(inputs);
    }
    lines.truncate(size.map_or(usize::MAX, |size| size.rows));
    lines
}

/// Cuts a table to a number of lines; the last one counts the missing ones.
fn shorten(table: &mut Vec<String>, room: usize, width: usize) {
    if table.len() > room {
        let left_out = table.len() - room.max(1) + 1;
        table.truncate(room.saturating_sub(1));
        if room > 0 {
            table.push(clip(&format!("... and {left_out} more"), width));
        }
    }
}

/// Returns the header and one line per input; nothing without inputs.
fn inputs(inputs: &Inputs, now: Timestamp, width: usize) -> Vec<String> {
    let jobs = match inputs {
        Inputs::These(jobs) if jobs.is_empty() => return Vec::new(),
        Inputs::These(jobs) => jobs,
        Inputs::Unknown(why) => return vec![clip(&plain(format!("inputs unknown: {why}")), width)],
    };
    let row = |job: &jobs::View| {
        let status = &job.status;
        [
            format!("{}/{}", job.app, job.stream),
            status.state.to_string(),
            age(status.since, now),
            status.restarts.to_string(),
            status.last_error.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = jobs.iter().map(row).collect();
    let text = table(["INPUT", "STATE", "SINCE", "RESTARTS", "LAST ERROR"], &rows);
    text.lines().map(|line| clip(line, width)).collect()
}

fn head(live: &Live) -> Vec<String> {
    let sum = |of: fn(&StreamSnapshot) -> u64| live.streams.iter().map(of).fold(0, u64::saturating_add);
    let workers: Vec<String> = live.health.workers.iter().map(worker).collect();
    let mut lines = vec![
        format!(
            "streams {}  viewers {}  players {}  in {}  out {}  zone {}  at {}",
            live.streams.len(),
            sum(|stream| stream.viewers.total()),
            sum(|stream| stream.viewers.rtmp),
            rate(sum(|stream| stream.bitrate_in)),
            rate(sum(|stream| stream.bitrate_out)),
            zone(live.health.zone),
            // The time is shown to the second.
            Timestamp::from_millis(live.at.as_seconds() * 1000),
        ),
        format!("workers {}", workers.join(", ")),
    ];
    lines.extend(live.health.reasons.iter().map(|reason| format!("degraded: {reason}")));
    lines
}

fn worker(worker: &WorkerSnapshot) -> String {
    let draining = if worker.draining { " draining" } else { "" };
    let stuck = if worker.is_stuck() { " stuck" } else { "" };
    format!("{}{draining}{stuck}", worker.pid)
}

fn zone(zone: ZoneSnapshot) -> String {
    format!("{} % of {} KB", zone.used.saturating_mul(100) / zone.size.max(1), zone.size / 1024)
}

fn publisher(stream: &StreamSnapshot) -> PublisherSnapshot {
    stream.publisher.clone().unwrap_or_default()
}

fn name(stream: &StreamSnapshot) -> String {
    format!("{}/{}", stream.app, stream.name)
}

/// Returns how many of the enabled targets receive the stream.
fn targets(stream: &StreamSnapshot) -> String {
    let wanted = stream.targets.iter().filter(|target| target.enabled);
    let live = |target: &&TargetView| target.sessions.iter().any(|push| push.state == PushState::Live);
    match wanted.clone().count() {
        0 => "-".to_owned(),
        all => format!("{}/{all}", wanted.filter(live).count()),
    }
}

/// Returns the header and one line per stream, sorted by outgoing, then by incoming bitrate.
fn streams(live: &Live, width: usize) -> Vec<String> {
    let mut streams: Vec<&StreamSnapshot> = live.streams.iter().collect();
    streams.sort_by_key(|stream| {
        (
            Reverse(stream.bitrate_out),
            Reverse(stream.bitrate_in),
            &stream.app,
            &stream.name,
            stream.server.name(),
        )
    });
    let several = streams.windows(2).any(|pair| pair[0].server != pair[1].server);
    let mut columns: Vec<(&Column, Vec<String>, usize)> = COLUMNS
        .iter()
        .filter(|column| several || column.head != SERVER)
        .map(|column| {
            let mut cells = vec![column.head.to_owned()];
            cells.extend(streams.iter().map(|stream| plain((column.cell)(stream, live.at))));
            let widest = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
            (column, cells, widest)
        })
        .collect();
    fit(&mut columns, width);
    (0..=streams.len())
        .map(|row| {
            let cells: Vec<String> = columns
                .iter()
                .map(|(column, cells, width)| {
                    let cell = clip(&cells[row], *width);
                    if column.right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                })
                .collect();
            clip(cells.join("  ").trim_end(), width)
        })
        .collect()
}

/// Shortens the names, then drops columns, until a line fits.
fn fit(columns: &mut Vec<(&Column, Vec<String>, usize)>, width: usize) {
    loop {
        let line = columns.iter().map(|(_, _, width)| width + 2).sum::<usize>().saturating_sub(2);
        let over = line.saturating_sub(width);
        let name = &mut columns[0].2;
        let shortest = SHORTEST_NAME.min(*name);
        let spare = *name - shortest;
        *name -= spare.min(over);
        if over <= spare {
            return;
        }
        let least = (0..columns.len()).max_by_key(|at| columns[*at].0.spare).unwrap_or(0);
        if columns[least].0.spare == 0 {
            return;
        }
        columns.remove(least);
    }
}

/// Splits the whole text into lines of `width` characters.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(width.max(1)).map(|line| line.iter().collect()).collect()
}

/// Cuts a text to `width` characters; the last one is an ellipsis if text is missing.
fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests;
