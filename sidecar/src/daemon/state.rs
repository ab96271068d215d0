//! State that the daemon's own API shows.

use std::sync::{Arc, Mutex};

use crate::chat::Chat;
use crate::cluster::agent::Membership;
use crate::cluster::origin::Origin;
use crate::cluster::pair::Pair;
use crate::events::Bus;
use crate::history::History;
use crate::jobs::Jobs;
use crate::webhooks::Hooks;

/// State that the daemon's own API shows.
#[derive(Debug)]
pub(crate) struct State {
    /// Jobs of all live streams and inputs.
    pub jobs: Arc<Mutex<Jobs>>,
    /// Event bus.
    pub bus: Arc<Bus>,
    /// Webhooks and commands for events.
    pub hooks: Arc<Hooks>,
    /// The edges; `None` without a cluster.
    pub origin: Option<Arc<Origin>>,
    /// Membership of this node in a cluster; `None` if it is no edge.
    pub membership: Option<Membership>,
    /// Other node of a pair, if there is one.
    pub pair: Option<Arc<Pair>>,
    /// Database of past streams.
    pub history: Arc<History>,
    /// Chat rooms.
    pub chat: Arc<Chat>,
    /// Health of the daemon.
    pub health: Mutex<Health>,
}

/// Health of the daemon.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    /// Reason why nginx does not answer; `None` if it answers.
    pub nginx: Option<String>,
    /// Number of live streams.
    pub streams: usize,
    /// Numbers of successful and of failed reloads of the configuration.
    pub reloads: (u64, u64),
}
