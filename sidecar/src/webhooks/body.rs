//! The body of a request.

use serde_json::{Value, json};
use weir_model::Timestamp;

/// What is sent, as Standard Webhooks shape it.
pub(super) fn body(kind: &str, at: Timestamp, data: &Value) -> String {
    json!({ "type": kind, "timestamp": at, "data": data }).to_string()
}
