//! The streams that viewers of the daemon watch.
//!
//! - [`board`]: the live streams, as reported by the part of the daemon that follows nginx
//! - [`hub`]: the streams that have viewers, each as a [`station`]
//! - `source`: plays a stream from nginx; [`ring`]: the newest media of a stream, read by each viewer at its own speed

pub mod board;
pub mod hub;
mod reader;
pub mod ring;
mod source;
pub mod station;
