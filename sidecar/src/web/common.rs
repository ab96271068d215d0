//! What all handlers have in common.

use std::sync::Arc;

use super::access;
use crate::config::Config;
use crate::context::Context;
use crate::live::board::Board;
use crate::live::hub::Hub;

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
}

impl Web {
    /// With what the configuration says.
    pub fn new(context: Arc<Context>, board: Arc<Board>) -> Arc<Self> {
        let doors = access::Doors::new(&context.config());
        let hub = Hub::new(context.clone(), board.clone());
        Arc::new(Self { context, board, hub, doors })
    }

    /// The configuration has changed.
    pub fn configure(&self, config: &Config) {
        self.doors.configure(config);
    }
}
