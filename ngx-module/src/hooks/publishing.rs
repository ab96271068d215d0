//! State of a session's publish.

use weir_model::{Digest, Timestamp, token::TokenMark, verdict::Accepted};

use super::live::Live;
use crate::session::Session;

/// State of a session's publish.
#[derive(Default)]
pub enum Publish {
    /// The session has no publish.
    #[default]
    Idle,
    /// The publish waits until the publisher that it replaces is gone.
    Waiting(Box<Waiting>),
    /// The session publishes a stream that has a row in the zone.
    Live(Box<Live>),
    /// The session publishes, but the zone was too full for a row.
    Unseen,
    /// Another worker pushes the stream with this name over this session.
    FromWorker(String),
}

impl Publish {
    /// Returns the stream with its row, if there is one.
    pub fn live(&mut self) -> Option<&mut Live> {
        match self {
            Publish::Live(live) => Some(live),
            _ => None,
        }
    }

    /// Returns the token that authorised the publish.
    #[must_use]
    pub fn token(&self) -> Option<&TokenMark> {
        match self {
            Publish::Live(live) => live.token.as_ref(),
            Publish::Waiting(waiting) => waiting.grant.token.as_ref(),
            Publish::Idle | Publish::Unseen | Publish::FromWorker(_) => None,
        }
    }

    /// Returns whether its worker was ordered to close the publisher.
    #[must_use]
    pub fn is_ordered_to_close(&self) -> bool {
        matches!(self, Publish::Live(live) if live.is_ordered_to_close())
    }
}

/// An accepted publish that must wait.
pub struct Waiting {
    pub(super) grant: Grant,
    pub(super) name: Vec<u8>,
    pub(super) kind: &'static str,
    pub(super) until: Timestamp,
}

/// A verdict in favour of a publisher.
pub(super) struct Grant {
    pub(super) accepted: Accepted,
    /// The digest of the zone's key that authorised it. The key may be revoked before the stream is claimed.
    pub(super) digest: Option<Digest>,
    /// The token that authorised it. It may be revoked too.
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
