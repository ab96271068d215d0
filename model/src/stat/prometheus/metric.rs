//! A metric and its text form.

use crate::snapshot::StreamSnapshot;
use crate::stat::text::push_number;
use crate::time::Timestamp;

/// Prometheus' types of a metric that only increases, and of one that also decreases.
pub(super) const COUNTER: &str = "counter";
pub(super) const GAUGE: &str = "gauge";

/// A metric: its name, its type, its help, and its value of `T`.
pub(super) type Metric<T> = (&'static str, &'static str, &'static str, fn(&T, Timestamp) -> Value);

pub(super) enum Value {
    Whole(u64),
    Thousandths(u64),
    /// Unknown, so that there is no sample.
    Unknown,
}

impl Value {
    /// Converts bits per second to bytes per second.
    pub(super) fn bytes(bits: u64) -> Value {
        Value::Whole(bits / 8)
    }
}

/// Appends the labels of a stream. The `server` block appears only if there are several, because another label would
/// make another series.
pub(super) fn stream_labels(out: &mut String, stream: &StreamSnapshot, several: bool) {
    label(out, "app", &stream.app);
    out.push(',');
    label(out, "stream", &stream.name);
    if several {
        out.push(',');
        label(out, "server", stream.server.name());
    }
}

pub(super) fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"] {
        out.push_str(part);
    }
}

pub(super) fn push_value(out: &mut String, value: &Value) {
    match *value {
        Value::Unknown => {}
        Value::Whole(number) => push_number(out, number),
        Value::Thousandths(number) => {
            push_number(out, number / 1000);
            for (place, divisor) in [100, 10, 1].into_iter().enumerate() {
                if number % (divisor * 10) != 0 {
                    if place == 0 {
                        out.push('.');
                    }
                    push_number(out, number / divisor % 10);
                }
            }
        }
    }
}

/// Appends a label; the format requires backslashes, quotes and line feeds to be escaped.
pub(super) fn label(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    if value.contains(['\\', '"', '\n']) {
        for character in value.chars() {
            match character {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                character => out.push(character),
            }
        }
    } else {
        out.push_str(value);
    }
    out.push('"');
}
