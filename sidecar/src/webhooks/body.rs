//! The body of a request.

use serde::Serialize;
use weir_model::Timestamp;

#[derive(Serialize)]
struct Body<'a, D> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: Timestamp,
    data: &'a D,
}

/// Returns the body in the format of Standard Webhooks.
pub(super) fn body(kind: &str, at: Timestamp, data: &impl Serialize) -> String {
    // Only a map with keys that are not text could fail, and no event has one.
    serde_json::to_string(&Body { kind, timestamp: at, data }).unwrap_or_default()
}
