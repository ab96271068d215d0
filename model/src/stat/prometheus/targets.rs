//! The metrics of push targets, which identify a target by its id, never by its URL.

use super::metric::{COUNTER, GAUGE, Metric, Value, head, label, push_value, stream_labels};
use crate::snapshot::StreamSnapshot;
use crate::target::{PushState, PushView, TargetId};
use crate::time::Timestamp;

/// Capacity for each target of a stream.
pub(super) const TARGET_LEN: usize = 1000;

const STATE: &str = "weir_target_state";

const PUSH: [Metric<PushView>; 3] = [
    ("weir_target_bytes_total", COUNTER, "Bytes sent to the target.", |push, _| Value::Whole(push.bytes_out)),
    ("weir_target_transmit_bytes", GAUGE, "Bytes a second to the target.", |push, _| {
        Value::bytes(push.bitrate_out)
    }),
    ("weir_target_reconnects_total", COUNTER, "How often the target was tried again.", |push, _| {
        Value::Whole(push.reconnects)
    }),
];

/// One stream at one target.
struct Push<'a> {
    stream: &'a StreamSnapshot,
    target: TargetId,
    view: &'a PushView,
}

pub(super) fn targets(out: &mut String, streams: &[&StreamSnapshot], several: bool, now: Timestamp) {
    let pushes = pushes(streams);
    head(out, STATE, GAUGE, "1 for the state in which the push of a stream to a target is.");
    for push in &pushes {
        for state in PushState::ALL {
            push.start(out, STATE, several);
            out.push(',');
            label(out, "state", state.as_str());
            out.push_str(if push.view.state == state { "} 1\n" } else { "} 0\n" });
        }
    }
    for (name, kind, help, value) in &PUSH {
        head(out, name, kind, help);
        for push in &pushes {
            push.start(out, name, several);
            out.push_str("} ");
            push_value(out, &value(push.view, now));
            out.push('\n');
        }
    }
}

/// Returns one push per stream and target, because no sample may appear twice.
fn pushes<'a>(streams: &[&'a StreamSnapshot]) -> Vec<Push<'a>> {
    let mut pushes = Vec::new();
    for &stream in streams {
        let mut seen: Vec<TargetId> = Vec::with_capacity(stream.targets.len());
        for target in &stream.targets {
            let view = target.sessions.iter().find(|view| view.stream == stream.name);
            if let Some(view) = view.filter(|_| !seen.contains(&target.id)) {
                seen.push(target.id);
                pushes.push(Push { stream, target: target.id, view });
            }
        }
    }
    pushes
}

impl Push<'_> {
    /// The name and the labels, without the closing brace.
    fn start(&self, out: &mut String, name: &str, several: bool) {
        out.push_str(name);
        out.push('{');
        stream_labels(out, self.stream, several);
        out.push(',');
        label(out, "target", &self.target.to_string());
    }
}
