//! What all jobs have in common.

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

/// Segments end with key frames, which may be rare.
const STARVE: Duration = Duration::from_secs(60);

/// What all jobs have in common.
#[derive(Debug)]
pub struct Context {
    /// Which holds now; jobs take from it what they need when they start.
    pub config: Mutex<Arc<Config>>,
    /// Where events go.
    pub bus: Arc<Bus>,
    /// What viewers say.
    pub chat: Arc<Chat>,
    /// What happened.
    pub history: Arc<History>,
    /// What players of ours present, so that nginx does not count them.
    pub ticket: Mutex<Option<Secret>>,
    /// Over which nodes streams came.
    pub paths: Arc<Paths>,
    /// The newest media of streams that come from other nodes.
    pub recents: Arc<Recents>,
    /// Programs beside the jobs.
    pub helpers: Arc<Helpers>,
}

impl Context {
    /// The configuration that holds now.
    pub fn config(&self) -> Arc<Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The name under which the daemon plays a stream, so that nginx does not count it as somebody who watches.
    pub fn own_name(&self, live: &Live) -> Secret {
        let ticket = self.ticket.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Secret::new(match ticket {
            Some(ticket) => format!("{}?{TICKET_ARGUMENT}={}", live.name, ticket.expose()),
            None => live.name.to_string(),
        })
    }
}

/// As the configuration has it for all jobs.
pub fn policy(config: &Config) -> Policy {
    let jobs = &config.jobs;
    Policy {
        stall: jobs.stall,
        starve: (jobs.stall * 4).max(STARVE),
        // It looks at the input for some seconds first.
        warm_up: jobs.stall + Duration::from_secs(10),
        grace: jobs.grace,
        backoff: Backoff { first: Duration::from_millis(500).min(jobs.backoff_max), max: jobs.backoff_max },
        healthy: jobs.healthy,
    }
}
