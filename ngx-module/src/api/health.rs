//! `GET /v1/health`: whether the workers respond and the zone has free memory.

use ngx_rtmp::disk::{self, Stop};
use serde_json::json;
use weir_model::health::Reason;

use super::call::{Answer, Call, answer};
use crate::{process, snapshot};

pub(super) fn show(call: &Call<'_>) -> Answer {
    let zone = call.runtime.zone();
    let workers = snapshot::workers(&call.runtime);
    let stuck = workers.iter().filter(|worker| worker.is_stuck());
    let mut reasons: Vec<Reason> =
        stuck.map(|worker| Reason::StuckWorker { pid: worker.pid, ms: worker.heartbeat_ms }).collect();
    let (used, all) = (zone.used_bytes(), zone.size());
    reasons.extend(Reason::of_zone(used, all));
    if zone.is_saturated(process::uptime()) {
        reasons.push(Reason::ViewersSaturated);
    }
    if !zone.is_state_written() {
        reasons.push(Reason::StateFile);
    }
    reasons.extend(disk::stopped().into_iter().map(|(writer, why)| match why {
        Stop::Full => Reason::DiskFull { app: writer.app },
        Stop::Silent => Reason::DiskSilent { app: writer.app },
    }));
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    let status = if reasons.is_empty() { "ok" } else { "degraded" };
    let zone = json!({ "size": all, "used": used });
    answer(200, &json!({ "status": status, "reasons": reasons, "workers": workers, "zone": zone }))
}
