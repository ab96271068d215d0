//! `GET /v1/health`: whether the workers come round and the zone has room.

use serde_json::json;

use super::{Answer, Call, answer};
use crate::{ffi::disk, snapshot};

/// Share of the zone in use from which on it is nearly full, percent.
const NEARLY_FULL: usize = 90;

pub(super) fn show(call: &Call<'_>) -> Answer {
    let zone = &call.runtime.zone;
    let workers = snapshot::workers(&call.runtime);
    let stuck = workers.iter().filter(|worker| worker.is_stuck());
    let mut reasons: Vec<String> = stuck
        .map(|worker| format!("worker {} has been stuck for {} ms", worker.pid, worker.heartbeat_ms))
        .collect();
    let (used, all) = zone.usage();
    if used * 100 >= all * NEARLY_FULL {
        reasons.push(format!("the zone is {} % full", used * 100 / all.max(1)));
    }
    if !zone.is_state_written() {
        reasons.push(
            "the state file cannot be written: no key or target can be added, changed or removed for good"
                .to_owned(),
        );
    }
    reasons.extend(disk::stopped().iter().map(|writer| {
        format!("less than \"weir_min_free\" is free: application \"{}\" writes no files", writer.app)
    }));
    let status = if reasons.is_empty() { "ok" } else { "degraded" };
    let zone = json!({ "size": zone.size(), "used": zone.used_bytes() });
    answer(200, &json!({ "status": status, "reasons": reasons, "workers": workers, "zone": zone }))
}
