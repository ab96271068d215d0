//! What all handlers have in common.

use std::sync::Arc;

use super::guesses::Guesses;
use super::office::{Office, Running};
use super::shares::Shares;
use super::{access, news};
use crate::cluster::agent::Membership;
use crate::cluster::machine::Meter;
use crate::cluster::origin::Origin;
use crate::cluster::pair::Pair;
use crate::config::Config;
use crate::context::Context;
use crate::live::board::Board;
use crate::live::hub::Hub;
use crate::streams::StreamId;
use crate::webrtc;

/// Letters that are read at the same time, each of at most 2 MiB.
const LETTERS: usize = 32;
/// And those of one client.
const LETTERS_PER_CLIENT: usize = 2;

/// What all handlers have in common.
#[derive(Debug)]
pub struct Web {
    /// The configuration that holds.
    pub(super) context: Arc<Context>,
    /// What is live.
    pub(super) board: Arc<Board>,
    /// What is watched.
    pub(super) hub: Arc<Hub>,
    /// Who may watch.
    pub(super) doors: access::Doors,
    /// Sessions over WebRTC; none where it is off.
    pub(super) webrtc: Option<Arc<webrtc::Engine>>,
    /// Who has tried keys that nginx does not know.
    pub(super) guesses: Guesses,
    /// What front ends hear.
    pub(super) news: news::Newsroom,
    /// Where else to watch; none where there is no cluster.
    pub(super) origin: Option<Arc<Origin>>,
    /// This server's place among the edges; none where it is none.
    pub(super) membership: Option<Membership>,
    /// The other node of a pair; none where there is none.
    pub(super) pair: Option<Arc<Pair>>,
    /// Its letters that are being read.
    pub(super) letters: Shares,
    /// How busy this machine is.
    pub(super) meter: Meter,
    /// The dashboard's side.
    pub(super) office: Arc<Office>,
}

impl Web {
    /// With what the configuration says, and the ports of WebRTC where it is on.
    pub fn new(
        context: Arc<Context>,
        board: Arc<Board>,
        ports: Option<webrtc::Ports>,
        origin: Option<Arc<Origin>>,
        membership: Option<Membership>,
        running: Running,
    ) -> Result<Arc<Self>, webrtc::Error> {
        let doors = access::Doors::new(&context.config());
        let hub = Hub::new(context.clone(), board.clone());
        let webrtc = ports.map(|ports| webrtc::Engine::start(ports, &context, &hub)).transpose()?;
        let (guesses, news) = (Guesses::default(), news::Newsroom::default());
        let (meter, pair) = (Meter::default(), running.pair.clone());
        let office = Arc::new(Office::open(running, &context.config()));
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
            pair,
            letters: Shares::new(LETTERS, LETTERS_PER_CLIENT, |_| false),
            meter,
            office,
        }))
    }

    /// Whether a stream was live since the daemon runs.
    pub(super) fn has_been_live(&self, id: &StreamId) -> bool {
        self.news.has_known(id)
    }

    /// The configuration has changed.
    pub fn configure(&self, config: &Config) {
        self.doors.configure(config);
    }
}
