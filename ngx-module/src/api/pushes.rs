//! `/v1/pushes`: whether this node pushes anything. The waiting node of a pair holds all its pushes.

use serde::Deserialize;
use serde_json::json;
use weir_model::{api::ApiError, state_file::Change};

use super::call::{Answer, Call, answer, changed};
use crate::state;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    held: bool,
}

pub(super) fn show(call: &Call<'_>) -> Answer {
    answer(200, &view(call, call.runtime.zone().is_held()))
}

pub(super) fn hold(call: &Call<'_>) -> Answer {
    let wanted: Wanted =
        serde_json::from_slice(call.body).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let view = view(call, wanted.held);
    Ok(state::persist(&call.runtime, call.by(), Change::Hold(wanted.held), move |outcome| {
        changed(200, &view, outcome)
    }))
}

fn view(call: &Call<'_>, held: bool) -> serde_json::Value {
    json!({ "held": held, "paired": call.runtime.replica_token.is_some() })
}
