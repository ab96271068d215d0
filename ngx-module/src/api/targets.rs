//! `/v1/targets`: lists, creates, changes and removes push targets.

use serde_json::json;
use weir_model::{
    api::ApiError,
    state_file::Change,
    target::{NewTarget, PatchTarget, Target, TargetId, TargetView},
};
use weir_zone::ZoneFull;

use super::{
    applications,
    call::{Answer, Call, answer, changed, random},
    list,
};
use crate::{process, runtime, snapshot, state};

pub(super) fn list(call: &Call<'_>) -> Answer {
    list::list("targets", snapshot::targets(&call.runtime))
}

pub(super) fn show(call: &Call<'_>, id: &str) -> Answer {
    let number = parse(id)?;
    let made = call.runtime.zone().lock(process::pid()).target(number);
    let found = made.as_ref().or_else(|| of_configuration(call, number)).ok_or_else(|| unknown(id))?;
    answer(200, &snapshot::target(&call.runtime, found))
}

pub(super) fn create(call: &Call<'_>) -> Answer {
    let new = NewTarget::from_json(call.body)?;
    applications::check(&call.runtime, new.app.as_str())?;
    let known = call.runtime.check_server(new.server.as_ref(), &new.app);
    known.map_err(|error| ApiError::bad_field("server", error))?;
    let target = new.into_target(TargetId(random::<8>().map(u64::from_le_bytes)?));
    pend(call, &target, true)?;
    let made = target.clone();
    Ok(state::persist(&call.runtime, call.by(), Change::AddTarget(target), move |outcome| {
        changed(201, &view(&made), outcome)
    }))
}

pub(super) fn change(call: &Call<'_>, id: &str) -> Answer {
    let patch = PatchTarget::from_json(call.body)?;
    let before = find(call, id)?;
    patch.check(&before)?;
    let mut target = before.clone();
    patch.apply(&mut target);
    if target.url != before.url || target.note != before.note {
        // The pending copy reserves memory in the zone until the change is in force.
        pend(call, &target, target.url != before.url)?;
    }
    let change = Change::ChangeTarget { id: target.id, patch };
    Ok(state::persist(&call.runtime, call.by(), change, move |outcome| changed(200, &view(&target), outcome)))
}

pub(super) fn remove(call: &Call<'_>, id: &str) -> Answer {
    let id = find(call, id)?.id;
    Ok(state::persist(&call.runtime, call.by(), Change::RemoveTarget(id), move |outcome| {
        changed(200, &json!({ "id": id }), outcome)
    }))
}

/// Adds a target to the zone as pending; nothing is pushed to it yet. `is_new`: nothing has been pushed to its URL before.
fn pend(call: &Call<'_>, target: &Target, is_new: bool) -> Result<(), ApiError> {
    let of_configuration = call.runtime.file_targets.iter().find(|other| target.repeats(other));
    let zone = call.runtime.zone().lock(process::pid());
    let repeated = of_configuration.map(|other| other.id).or_else(|| zone.repeated_target(target));
    if let Some(id) = repeated.filter(|_| is_new) {
        return Err(ApiError::conflict(format!(
            "target \"{id}\" already pushes \"{}/{}\" to this URL: change or remove it, or use another URL",
            target.app, target.stream
        )));
    }
    zone.pend_target(target, process::pid()).map_err(full)
}

/// Returns a target that the API may change.
fn find(call: &Call<'_>, id: &str) -> Result<Target, ApiError> {
    let number = parse(id)?;
    if of_configuration(call, number).is_some() {
        return Err(ApiError::conflict(format!(
            "target \"{id}\" comes from a \"weir_push_to\": change it there"
        )));
    }
    call.runtime.zone().lock(process::pid()).target(number).ok_or_else(|| unknown(id))
}

fn of_configuration<'c>(call: &'c Call<'_>, id: TargetId) -> Option<&'c Target> {
    call.runtime.file_targets.iter().map(|target| &**target).find(|target| target.id == id)
}

fn parse(id: &str) -> Result<TargetId, ApiError> {
    id.parse().map_err(|_| unknown(id))
}

fn unknown(id: &str) -> ApiError {
    ApiError::not_found(format!("there is no target \"{id}\""))
}

fn full(error: ZoneFull) -> ApiError {
    ApiError::zone_full(error.to_string())
}

/// Returns a target with its present state.
fn view(target: &Target) -> TargetView {
    match runtime::current() {
        Some(runtime) => snapshot::target(&runtime, target),
        None => target.view(Vec::new()),
    }
}
