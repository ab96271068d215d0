//! The body of a request.

use serde_json::{Value, json};
use weir_model::Timestamp;

/// Returns the body in the format of Standard Webhooks.
pub(super) fn body(kind: &str, at: Timestamp, data: &Value) -> String {
    json!({ "type": kind, "timestamp": at, "data": data }).to_string()
}
