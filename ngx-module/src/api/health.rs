//! `GET /v1/health`: whether the workers come round and the zone has room.

use serde_json::json;

use super::{Answer, Call, answer};
use crate::ffi::process;

/// A worker whose event loop has not come round for so long is stuck, in milliseconds.
const STUCK_MS: u64 = 2000;
/// Share of the zone in use from which on it is nearly full, percent.
const NEARLY_FULL: usize = 90;

pub(super) fn show(call: &Call<'_>) -> Answer {
    let zone = &call.runtime.zone;
    let now = process::now();
    let mut reasons = Vec::new();
    let mut workers = Vec::new();
    for worker in zone.workers().into_iter().filter(|worker| process::alive(worker.pid)) {
        let heartbeat_ms = now.millis_since(worker.heartbeat);
        if heartbeat_ms > STUCK_MS {
            reasons.push(format!("worker {} has been stuck for {heartbeat_ms} ms", worker.pid));
        }
        workers.push(json!({
            "pid": worker.pid, "since": worker.since, "draining": worker.draining, "heartbeat_ms": heartbeat_ms,
        }));
    }
    let (used, all) = zone.usage();
    if used * 100 >= all * NEARLY_FULL {
        reasons.push(format!("the zone is {} % full", used * 100 / all.max(1)));
    }
    if !zone.is_state_written() {
        reasons.push(
            "the state file cannot be written: no key can be added, rotated or revoked for good".to_owned(),
        );
    }
    let status = if reasons.is_empty() { "ok" } else { "degraded" };
    let zone = json!({ "size": zone.size(), "used": zone.used_bytes() });
    answer(200, &json!({ "status": status, "reasons": reasons, "workers": workers, "zone": zone }))
}
