//! State that all handlers share.

use std::sync::Arc;

use super::guesses::Guesses;
use super::office::{Office, Running};
use super::shares::Shares;
use super::stills::Stills;
use super::{access, news};
use crate::cluster::agent::Membership;
use crate::cluster::figures::Gauge;
use crate::cluster::machine::Meter;
use crate::cluster::origin::Origin;
use crate::cluster::pair::Pair;
use crate::config::Config;
use crate::context::Context;
use crate::ladder::family::source_of;
use crate::live::board::Board;
use crate::live::hub::Hub;
use crate::streams::StreamId;
use crate::webrtc;

/// Maximum number of messages of a pair read simultaneously, each of at most 2 MiB.
const LETTERS: usize = 32;
/// Maximum number of such messages per client.
const LETTERS_PER_CLIENT: usize = 2;

/// State that all handlers share.
#[derive(Debug)]
pub(crate) struct Web {
    /// State that all jobs share, with the current configuration.
    pub(super) context: Arc<Context>,
    /// Live streams.
    pub(super) board: Arc<Board>,
    /// Streams that have viewers.
    pub(super) hub: Arc<Hub>,
    /// Access rules for viewers.
    pub(super) doors: access::Doors,
    /// Sessions over WebRTC; `None` if WebRTC is off.
    pub(super) webrtc: Option<Arc<webrtc::Engine>>,
    /// Clients that have tried keys that nginx does not know.
    pub(super) guesses: Guesses,
    /// Messages to front ends.
    pub(super) news: news::Newsroom,
    /// Edges that viewers can be sent to; `None` without a cluster.
    pub(super) origin: Option<Arc<Origin>>,
    /// Membership of this server in a cluster; `None` if it is no edge.
    pub(super) membership: Option<Membership>,
    /// Limits for people in the chat of the origin.
    pub(super) guests: Shares,
    /// Other node of a pair, if there is one.
    pub(super) pair: Option<Arc<Pair>>,
    /// Limits for messages of the other node that are read simultaneously.
    pub(super) letters: Shares,
    /// Stills that were made because somebody asked.
    pub(super) stills: Stills,
    /// Load of this machine.
    pub(super) meter: Meter,
    /// Figures of this machine for administrators.
    pub(super) gauge: Gauge,
    /// State of the dashboard.
    pub(super) office: Arc<Office>,
}

impl Web {
    /// Creates the state from the configuration, and from the ports of WebRTC if it is on.
    pub(crate) fn new(
        context: Arc<Context>,
        board: Arc<Board>,
        ports: Option<webrtc::Ports>,
        origin: Option<Arc<Origin>>,
        membership: Option<Membership>,
        running: Running,
    ) -> Result<Arc<Self>, webrtc::Error> {
        let config = context.config();
        let doors = access::Doors::new(&config);
        let most = config.edge.as_ref().map_or(0, |edge| edge.max_chat_connections);
        // One client cannot take all of them.
        let guests = Shares::new(most, most.div_ceil(4), |_| false);
        let hub = Hub::new(context.clone(), board.clone(), source_of);
        let webrtc = ports.map(|ports| webrtc::Engine::start(ports, &context, &hub)).transpose()?;
        let (guesses, news) = (Guesses::default(), news::Newsroom::default());
        let (meter, pair) = (Meter::default(), running.pair.clone());
        let office = Arc::new(Office::open(running, &config));
        Ok(Arc::new(Self {
            context,
            board,
            hub,
            doors,
            webrtc,
            guesses,
            news,
            origin,
            membership,
            guests,
            pair,
            letters: Shares::new(LETTERS, LETTERS_PER_CLIENT, |_| false),
            stills: Stills::default(),
            meter,
            gauge: Gauge::default(),
            office,
        }))
    }

    /// Returns whether a stream was live since the daemon started.
    pub(super) fn has_been_live(&self, id: &StreamId) -> bool {
        self.news.has_known(id)
    }

    /// Applies a changed configuration.
    pub(crate) fn configure(&self, config: &Config) {
        self.doors.configure(config);
    }
}
