//! `/v1/state`: writes the state file from memory.

use serde_json::json;

use super::call::{Answer, Call, changed};
use crate::state;

pub(super) fn save(call: &Call<'_>) -> Answer {
    let file = call.runtime.state_path.clone();
    state::save(&call.runtime, move |outcome| {
        let done = outcome.as_ref().ok().cloned().unwrap_or_default();
        let (keys, targets) = done.count;
        changed(
            200,
            &json!({ "file": file, "keys": keys, "targets": targets, "set_aside": done.set_aside }),
            outcome,
        )
    })
}
