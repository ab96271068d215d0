//! Determines when the outputs of a job are playable.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use weir_media::playlist::Role;

use super::ffmpeg::{self, Output};
use super::plan::LadderJob;
use crate::clock;
use crate::config::Delivery;
use crate::events::Bus;
use crate::supervise::Shared;

/// Time after the first video by which audio that ffmpeg can decode is playable.
const SILENCE: Duration = Duration::from_secs(20);

/// The outputs of a job that are not playable yet. Sends one event when all are playable.
#[derive(Debug)]
pub struct Readiness {
    missing: Mutex<Vec<Output>>,
    /// Time at which the first video was playable.
    seen: OnceLock<Instant>,
    decodes_sound: bool,
    bus: Arc<Bus>,
    shared: Arc<Shared>,
    told: serde_json::Value,
}

impl Readiness {
    /// Returns the state of a job without playable outputs.
    pub fn new(job: &LadderJob, bus: Arc<Bus>, shared: Arc<Shared>) -> Self {
        let outputs = ffmpeg::outputs(job);
        let names: Vec<String> = job.renditions.iter().map(|rendition| rendition.name().to_owned()).collect();
        let told = json!({
            "app": job.live.app, "name": job.live.name, "session": job.live.session, "renditions": names,
            "deliver": match job.delivery { Delivery::Files(_) => "files", Delivery::Rtmp(_) => "rtmp" },
        });
        let (missing, seen) = (Mutex::new(outputs), OnceLock::new());
        Self { missing, seen, decodes_sound: job.decodes_sound(), bus, shared, told }
    }

    /// Notes that an output is playable.
    pub fn playable(&self, output: &str) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = missing.len();
        missing.retain(|known| known.name != output);
        let is_silent = before > 0 && missing.iter().all(|known| known.role != Role::Video);
        let seen = self.seen.get_or_init(Instant::now);
        if self.decodes_sound && is_silent && !missing.is_empty() && seen.elapsed() > SILENCE {
            self.shared.fail_sound();
        }
        if missing.is_empty() && before > 0 {
            let mut data = self.told.clone();
            data["at"] = json!(clock::now());
            tracing::info!(
                stream = format!("{}/{}", self.told["app"], self.told["name"]).replace('"', ""),
                "stream ready"
            );
            self.bus.tell("stream.ready", data);
            self.shared.set_ready();
        }
    }
}
