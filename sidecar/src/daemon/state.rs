//! What the daemon's own API shows.

use std::sync::{Arc, Mutex};

use crate::chat::Chat;
use crate::cluster::agent::Membership;
use crate::cluster::origin::Origin;
use crate::cluster::pair::Pair;
use crate::events::Bus;
use crate::history::History;
use crate::jobs::Jobs;
use crate::webhooks::Hooks;

/// What the daemon's own API shows.
#[derive(Debug)]
pub struct State {
    /// What is running.
    pub jobs: Arc<Mutex<Jobs>>,
    /// Events.
    pub bus: Arc<Bus>,
    /// Who else is told of events.
    pub hooks: Arc<Hooks>,
    /// The edges; none where there is no cluster.
    pub origin: Option<Arc<Origin>>,
    /// Its place among the edges; none where this node is none.
    pub membership: Option<Membership>,
    /// The other node of a pair; none where there is none.
    pub pair: Option<Arc<Pair>>,
    /// What happened.
    pub history: Arc<History>,
    /// What was said.
    pub chat: Arc<Chat>,
    /// Whether nginx answers, since when the daemon runs, and so on.
    pub health: Mutex<Health>,
}

/// How the daemon is.
#[derive(Clone, Debug)]
pub struct Health {
    /// Why nginx does not answer; none when it does.
    pub nginx: Option<String>,
    /// Streams that are live.
    pub streams: usize,
    /// How often the configuration was read anew, and how often it was wrong.
    pub reloads: (u64, u64),
}
