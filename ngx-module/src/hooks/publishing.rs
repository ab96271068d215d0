//! How far a session's publish has come.

use weir_model::{Digest, Timestamp, token::TokenMark, verdict::Accepted};

use super::live::Live;
use crate::session::Session;

/// How far a session's publish has come.
#[derive(Default)]
pub enum Publish {
    /// There is none.
    #[default]
    Idle,
    /// It waits for the publisher that it replaces to be gone.
    Waiting(Box<Waiting>),
    /// It holds a stream.
    Live(Box<Live>),
    /// It publishes, but the zone had no room to show it.
    Unseen,
    /// It brings the stream of this name, which another worker holds.
    FromWorker(String),
}

impl Publish {
    /// The stream that it holds.
    pub fn live(&mut self) -> Option<&mut Live> {
        match self {
            Publish::Live(live) => Some(live),
            _ => None,
        }
    }

    /// The token that opened it.
    #[must_use]
    pub fn token(&self) -> Option<&TokenMark> {
        match self {
            Publish::Live(live) => live.token.as_ref(),
            Publish::Waiting(waiting) => waiting.grant.token.as_ref(),
            Publish::Idle | Publish::Unseen | Publish::FromWorker(_) => None,
        }
    }

    /// Its worker was told to close the publisher.
    #[must_use]
    pub fn is_ordered_to_close(&self) -> bool {
        matches!(self, Publish::Live(live) if live.is_ordered_to_close())
    }
}

/// A publish that was accepted and cannot go on yet.
pub struct Waiting {
    pub(super) grant: Grant,
    pub(super) name: Vec<u8>,
    pub(super) kind: &'static str,
    pub(super) until: Timestamp,
}

/// A verdict in favour of a publisher.
pub(super) struct Grant {
    pub(super) accepted: Accepted,
    /// The digest of the key of the zone that opened it: it may be revoked before the stream is claimed.
    pub(super) digest: Option<Digest>,
    /// The token that opened it, which may be revoked as well.
    pub(super) token: Option<TokenMark>,
}

impl From<Accepted> for Grant {
    fn from(accepted: Accepted) -> Grant {
        Grant { accepted, digest: None, token: None }
    }
}

pub(super) fn set(session: &mut Session, publish: Publish) {
    if let Some(state) = session.state() {
        state.publish = publish;
    }
}
