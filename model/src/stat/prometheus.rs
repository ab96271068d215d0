//! `weir_stat prometheus`: the text format 0.0.4.
//!
//! If an exporter for nginx-rtmp has a metric with the same meaning, this module uses the same name. Streams have the
//! labels `app` and `stream`, and `server` if there are several `server` blocks; targets also have `target`. No label
//! identifies a publisher or a player.

use std::cmp::Reverse;

use super::text::push_number;
use crate::guard::Violation;
use crate::refusal::Refusal;
use crate::snapshot::{Snapshot, StreamSnapshot, WorkerSnapshot};
use crate::time::Timestamp;

mod metric;
mod targets;

use metric::{COUNTER, GAUGE, Metric, Value, head, label, push_value, stream_labels};
use targets::TARGET_LEN;

/// Capacity for the metrics of the server, and for each stream and worker.
const SERVER_LEN: usize = 6 * 1024;
const STREAM_LEN: usize = 1900;
const WORKER_LEN: usize = 120;

const SERVER: [Metric<Snapshot>; 9] = [
    ("nginx_rtmp_server_incoming_bytes_total", COUNTER, "Bytes received over RTMP.", |all, _| {
        Value::Whole(all.bytes_in)
    }),
    ("nginx_rtmp_server_outgoing_bytes_total", COUNTER, "Bytes sent over RTMP.", |all, _| {
        Value::Whole(all.bytes_out)
    }),
    ("nginx_rtmp_server_receive_bytes", GAUGE, "Bytes a second received over RTMP.", |all, _| {
        Value::bytes(all.bitrate_in)
    }),
    ("nginx_rtmp_server_transmit_bytes", GAUGE, "Bytes a second sent over RTMP.", |all, _| {
        Value::bytes(all.bitrate_out)
    }),
    ("nginx_rtmp_server_current_streams", GAUGE, "Live streams.", |all, _| {
        Value::Whole(all.streams.len() as u64)
    }),
    ("nginx_rtmp_server_uptime_seconds_total", COUNTER, "Seconds since the counters began.", |all, now| {
        Value::Thousandths(now.millis_since(all.since))
    }),
    ("weir_connections_accepted_total", COUNTER, "RTMP connections accepted.", |all, _| {
        Value::Whole(all.accepted)
    }),
    ("weir_zone_size_bytes", GAUGE, "Size of the shared memory.", |all, _| Value::Whole(all.zone.size)),
    ("weir_zone_used_bytes", GAUGE, "Shared memory in use.", |all, _| Value::Whole(all.zone.used)),
];

const STREAM: [Metric<StreamSnapshot>; 15] = [
    ("nginx_rtmp_stream_incoming_bytes_total", COUNTER, "Bytes received from the publisher.", |stream, _| {
        Value::Whole(stream.bytes_in)
    }),
    ("nginx_rtmp_stream_outgoing_bytes_total", COUNTER, "Bytes sent to RTMP players.", |stream, _| {
        Value::Whole(stream.bytes_out)
    }),
    ("nginx_rtmp_stream_receive_bytes", GAUGE, "Bytes a second from the publisher.", |stream, _| {
        Value::bytes(stream.bitrate_in)
    }),
    ("nginx_rtmp_stream_transmit_bytes", GAUGE, "Bytes a second to RTMP players.", |stream, _| {
        Value::bytes(stream.bitrate_out)
    }),
    ("nginx_rtmp_stream_uptime_seconds_total", COUNTER, "Seconds since the publish.", |stream, now| {
        Value::Thousandths(now.millis_since(stream.since))
    }),
    ("weir_stream_audio_receive_bytes", GAUGE, "Bytes a second of audio from the publisher.", |stream, _| {
        Value::bytes(stream.bitrate_audio)
    }),
    ("weir_stream_video_receive_bytes", GAUGE, "Bytes a second of video from the publisher.", |stream, _| {
        Value::bytes(stream.bitrate_video)
    }),
    ("weir_stream_video_frames_per_second", GAUGE, "Frame rate of the video.", |stream, _| {
        stream.video.map_or(Value::Unknown, |video| Value::Thousandths(video.fps_milli.into()))
    }),
    ("weir_stream_video_width_pixels", GAUGE, "Width of the video.", |stream, _| {
        stream.video.map_or(Value::Unknown, |video| Value::Whole(video.width.into()))
    }),
    ("weir_stream_video_height_pixels", GAUGE, "Height of the video.", |stream, _| {
        stream.video.map_or(Value::Unknown, |video| Value::Whole(video.height.into()))
    }),
    ("weir_stream_publishing", GAUGE, "1 while a publisher is there.", |stream, _| {
        Value::Whole(stream.publisher.is_some().into())
    }),
    ("weir_stream_players", GAUGE, "RTMP players.", |stream, _| Value::Whole(stream.viewers.rtmp)),
    ("weir_stream_viewers_peak", GAUGE, "The most viewers at one time since the publish.", |stream, _| {
        Value::Whole(stream.viewers_peak)
    }),
    ("weir_stream_viewers_total", COUNTER, "Viewers who came since the publish.", |stream, _| {
        Value::Whole(stream.viewers_total)
    }),
    ("weir_stream_dropped_frames_total", COUNTER, "Frames that slow players did not get.", |stream, _| {
        Value::Whole(stream.dropped)
    }),
];

const WORKER: [Metric<WorkerSnapshot>; 2] = [
    ("weir_worker_heartbeat_age_seconds", GAUGE, "Since the event loop last turned.", |worker, _| {
        Value::Thousandths(worker.heartbeat_ms)
    }),
    ("weir_worker_draining", GAUGE, "1 while a worker only ends what it has.", |worker, _| {
        Value::Whole(worker.draining.into())
    }),
];

/// Renders the snapshot. The result does not identify publishers or players.
pub fn render(snapshot: &Snapshot) -> String {
    let pushes: usize = snapshot.streams.iter().map(|stream| stream.targets.len()).sum();
    let streams = snapshot.streams.len() * STREAM_LEN + pushes * TARGET_LEN;
    let mut out = String::with_capacity(SERVER_LEN + streams + snapshot.workers.len() * WORKER_LEN);
    build_info(&mut out, snapshot);
    for metric in &SERVER {
        family(&mut out, metric, [snapshot], snapshot.now, |_, _| {});
    }
    guard(&mut out, snapshot);
    for metric in &WORKER {
        family(&mut out, metric, &snapshot.workers, snapshot.now, |out, worker| {
            out.push_str("{pid=\"");
            push_number(out, worker.pid.into());
            out.push_str("\"}");
        });
    }
    let streams = distinct(snapshot);
    let several = snapshot.has_several_servers();
    for metric in &STREAM {
        family(&mut out, metric, streams.iter().copied(), snapshot.now, |out, stream| {
            out.push('{');
            stream_labels(out, stream, several);
            out.push('}');
        });
    }
    viewers(&mut out, &streams, several);
    targets::targets(&mut out, &streams, several, snapshot.now);
    out
}

fn viewers(out: &mut String, streams: &[&StreamSnapshot], several: bool) {
    let name = "weir_stream_viewers";
    head(out, name, GAUGE, "Viewers, by what they watch.");
    for stream in streams {
        for (kind, count) in stream.viewers.by_kind() {
            out.push_str(name);
            out.push('{');
            stream_labels(out, stream, several);
            out.push(',');
            label(out, "kind", kind);
            out.push_str("} ");
            push_number(out, count);
            out.push('\n');
        }
    }
}

/// Returns one stream per name. There can be two while one publisher takes over from another, but Prometheus rejects a
/// scrape that has a sample twice, so the later stream is kept.
fn distinct(snapshot: &Snapshot) -> Vec<&StreamSnapshot> {
    let mut streams: Vec<&StreamSnapshot> = snapshot.streams.iter().collect();
    let server = |stream: &StreamSnapshot| match snapshot.has_several_servers() {
        true => stream.server.name().to_owned(),
        false => String::new(),
    };
    streams.sort_by_cached_key(|stream| {
        (stream.app.clone(), stream.name.clone(), server(stream), Reverse(stream.since))
    });
    streams.dedup_by(|a, b| a.app == b.app && a.name == b.name && server(a) == server(b));
    streams
}

fn build_info(out: &mut String, snapshot: &Snapshot) {
    head(out, "weir_build_info", GAUGE, "Versions.");
    out.push_str("weir_build_info{");
    label(out, "version", env!("CARGO_PKG_VERSION"));
    out.push(',');
    label(out, "nginx_version", &snapshot.nginx_version);
    out.push(',');
    label(out, "nginx_rtmp_version", &snapshot.rtmp_version);
    out.push_str("} 1\n");
}

fn guard(out: &mut String, snapshot: &Snapshot) {
    let name = "weir_guard_refused_total";
    head(out, name, COUNTER, "Connections that the guard refused or closed.");
    reasons(out, name, Violation::ALL.iter().map(|violation| violation.label()).zip(snapshot.guard));
    let name = "weir_publish_refused_total";
    head(out, name, COUNTER, "Publishes that were refused.");
    reasons(out, name, Refusal::LABELS.into_iter().zip(snapshot.refused.iter().copied()));
}

fn reasons(out: &mut String, name: &str, counts: impl Iterator<Item = (&'static str, u64)>) {
    for (reason, count) in counts {
        out.push_str(name);
        out.push('{');
        label(out, "reason", reason);
        out.push_str("} ");
        push_number(out, count);
        out.push('\n');
    }
}

/// Appends a metric with all its samples, which the format requires to be together.
fn family<'a, T: 'a>(
    out: &mut String,
    &(name, kind, help, value): &Metric<T>,
    samples: impl IntoIterator<Item = &'a T>,
    now: Timestamp,
    labels: impl Fn(&mut String, &T),
) {
    head(out, name, kind, help);
    for sample in samples {
        let value = value(sample, now);
        if let Value::Unknown = value {
            continue;
        }
        out.push_str(name);
        labels(out, sample);
        out.push(' ');
        push_value(out, &value);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests;
