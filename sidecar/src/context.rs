//! The state that all jobs share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use weir_model::Secret;
use weir_model::client::TICKET_ARGUMENT;

use crate::chat::Chat;
use crate::config::Config;
use crate::events::Bus;
use crate::history::History;
use crate::relay::paths::Paths;
use crate::relay::recent::Recents;
use crate::streams::Live;
use crate::supervise::backoff::Backoff;
use crate::supervise::helpers::Helpers;
use crate::supervise::job::Policy;

/// Minimum time without output after which a job is replaced. Segments end at keyframes, which may be rare.
const STARVE: Duration = Duration::from_secs(60);

/// The state that all jobs share.
#[derive(Debug)]
pub(crate) struct Context {
    /// Current configuration; each job reads its settings from it when the job starts.
    pub config: Mutex<Arc<Config>>,
    /// Event bus.
    pub bus: Arc<Bus>,
    /// Chat rooms of the streams.
    pub chat: Arc<Chat>,
    /// History of past events.
    pub history: Arc<History>,
    /// Ticket that the daemon's own players present, so that nginx does not count them as viewers.
    pub ticket: Mutex<Option<Secret>>,
    /// The nodes that each relayed stream came through.
    pub paths: Arc<Paths>,
    /// The newest media of streams that other nodes send.
    pub recents: Arc<Recents>,
    /// Programs that the daemon runs beside the jobs.
    pub helpers: Arc<Helpers>,
}

impl Context {
    /// Returns the current configuration.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the name under which the daemon plays a stream. It contains the ticket, so that nginx does not count the daemon as a
    /// viewer.
    pub(crate) fn own_name(&self, live: &Live) -> Secret {
        let ticket = self.ticket.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Secret::new(match ticket {
            Some(ticket) => format!("{}?{TICKET_ARGUMENT}={}", live.name, ticket.expose()),
            None => live.name.to_string(),
        })
    }
}

/// Returns the restart policy for jobs, as configured.
pub(crate) fn policy(config: &Config) -> Policy {
    let jobs = &config.jobs;
    Policy {
        stall: jobs.stall,
        starve: (jobs.stall * 4).max(STARVE),
        // ffmpeg probes its input for some seconds before it writes output.
        warm_up: jobs.stall + Duration::from_secs(10),
        grace: jobs.grace,
        backoff: Backoff { first: Duration::from_millis(500).min(jobs.backoff_max), max: jobs.backoff_max },
        healthy: jobs.healthy,
    }
}
