//! What viewers of the daemon watch.
//!
//! - [`board`]: what is live, as the daemon that follows nginx tells it

pub mod board;
