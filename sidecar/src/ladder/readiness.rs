//! Determines when the outputs of a job are playable.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use weir_media::playlist::Role;
use weir_model::Timestamp;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::{Deliver, StreamReady};

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
pub(crate) struct Readiness {
    missing: Mutex<Vec<Output>>,
    /// Time at which the first video was playable.
    seen: OnceLock<Instant>,
    decodes_sound: bool,
    bus: Arc<Bus>,
    shared: Arc<Shared>,
    /// The event; it gets the time when it is sent.
    told: StreamReady,
    path: String,
}

impl Readiness {
    /// Returns the state of a job without playable outputs.
    pub(crate) fn new(job: &LadderJob, bus: Arc<Bus>, shared: Arc<Shared>) -> Self {
        let outputs = ffmpeg::outputs(job);
        let told = StreamReady {
            at: Timestamp::default(),
            app: job.live.app.to_string(),
            deliver: match job.delivery {
                Delivery::Files(_) => Deliver::Files,
                Delivery::Rtmp(_) => Deliver::Rtmp,
            },
            name: job.live.name.to_string(),
            renditions: job.renditions.iter().map(|rendition| rendition.name().to_owned()).collect(),
            session: job.live.session.clone(),
        };
        let (missing, seen) = (Mutex::new(outputs), OnceLock::new());
        Self { missing, seen, decodes_sound: job.decodes_sound(), bus, shared, told, path: job.live.path() }
    }

    /// Notes that an output is playable.
    pub(crate) fn playable(&self, output: &str) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = missing.len();
        missing.retain(|known| known.name != output);
        let is_silent = before > 0 && missing.iter().all(|known| known.role != Role::Video);
        let seen = self.seen.get_or_init(Instant::now);
        if self.decodes_sound && is_silent && !missing.is_empty() && seen.elapsed() > SILENCE {
            self.shared.fail_sound();
        }
        if missing.is_empty() && before > 0 {
            tracing::info!(stream = self.path, "stream ready");
            // Listeners of the event look at the state of the job.
            self.shared.set_ready();
            let told = StreamReady { at: clock::now(), ..self.told.clone() };
            self.bus.tell(&DaemonEvent::StreamReady(told));
        }
    }
}
