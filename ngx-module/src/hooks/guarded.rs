//! What is known of a session before which the guard stands.

use weir_model::{
    Timestamp,
    guard::{
        Gate,
        guest::{Pace, Role},
    },
};

/// The address that a connection is counted for.
pub(super) type Bucket = [u8; 16];

/// What the guard knows of a session.
pub struct Guarded {
    pub(super) gate: Gate,
    /// Whether it is a guest.
    pub(super) standing: Standing,
    /// A client made the connection; what this server or another worker connects to has no deadline.
    pub(super) client: bool,
    /// Something was read of it.
    pub(super) begun: bool,
    /// A `publish` went through, and its stream was not closed.
    pub(super) publishes: bool,
    /// The name of that, where names are nginx-rtmp's business.
    pub(super) name: Option<String>,
    /// nginx-rtmp's live module was seen to publish it.
    pub(super) live: bool,
}

/// What is known of a client's standing.
pub struct Standing {
    pub(super) role: Role,
    /// Since when it is in that role, or when media last came from it, by the clock that is never set.
    pub(super) since: Timestamp,
    pub(super) pace: Pace,
    /// The address for which it is counted.
    pub(super) counted: Option<Bucket>,
    /// Its address is known, and was looked at.
    pub(super) looked: bool,
    /// A key or token of it was accepted for what it publishes.
    pub(super) authorised: bool,
    /// Audio or video came from it.
    pub(super) media: bool,
    /// A `play` went through, and its stream was not closed.
    pub(super) plays: bool,
    /// When media was last on its way to it.
    pub(super) fed: Option<Timestamp>,
    /// nginx-rtmp's count of what was sent to it, and how much it had said, when a file was last on its way to it.
    pub(super) sent: u32,
    pub(super) said: u32,
    /// Its socket is not read until the answer to its `publish` is there.
    pub(super) paused: bool,
}

impl Standing {
    pub(super) fn new(now: Timestamp) -> Standing {
        Standing {
            role: Role::Arriving,
            since: now,
            pace: Pace::new(now),
            counted: None,
            looked: false,
            authorised: false,
            media: false,
            plays: false,
            fed: None,
            sent: 0,
            said: 0,
            paused: false,
        }
    }
}
