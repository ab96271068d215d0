//! What viewers of the daemon watch.
//!
//! - [`board`]: what is live, as the daemon that follows nginx tells it
//! - [`hub`]: the streams that somebody watches, each a [`station`]
//! - `source`: plays a stream from nginx; [`ring`]: its newest media, read by each viewer at its own speed

pub mod board;
pub mod hub;
mod reader;
pub mod ring;
mod source;
pub mod station;
