//! The guard's state of a session.

use weir_model::{
    Timestamp,
    guard::{
        Gate,
        guest::{Pace, Role},
    },
};

/// The address that a connection is counted for.
pub(super) type Bucket = [u8; 16];

/// The guard's state of a session.
pub struct Guarded {
    pub(super) gate: Gate,
    /// The client's standing: whether it is a guest.
    pub(super) standing: Standing,
    /// Whether a client opened the connection. Connections of other workers, and those that nginx opened, have no deadline.
    pub(super) client: bool,
    /// Whether bytes were read from it.
    pub(super) begun: bool,
    /// Whether a `publish` succeeded, and its stream is not closed.
    pub(super) publishes: bool,
    /// The name of this publish, if nginx-rtmp alone handles names.
    pub(super) name: Option<String>,
    /// Whether nginx-rtmp's live module was seen to publish it.
    pub(super) live: bool,
}

/// State of a client's standing.
pub struct Standing {
    pub(super) role: Role,
    /// The time since when it has this role, or when its last media arrived, by the clock that is never set.
    pub(super) since: Timestamp,
    pub(super) pace: Pace,
    /// The address that it is counted for.
    pub(super) counted: Option<Bucket>,
    /// Whether its address is known and was checked.
    pub(super) looked: bool,
    /// Whether its key or token was accepted for its publish.
    pub(super) authorised: bool,
    /// Whether it has sent audio or video.
    pub(super) media: bool,
    /// Whether a `play` succeeded, and its stream is not closed.
    pub(super) plays: bool,
    /// The time when media was last sent to it.
    pub(super) fed: Option<Timestamp>,
    /// nginx-rtmp's count of bytes sent to it, and the number of its messages, when a file was last being sent to it.
    pub(super) sent: u32,
    pub(super) said: u32,
    /// Whether its socket is not read until its `publish` is answered.
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
