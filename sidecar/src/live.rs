//! The streams that viewers of the daemon watch.
//!
//! - [`board`]: the live streams, as the part of the daemon that follows nginx reports them
//! - [`hub`]: the watched streams, each a [`station`]
//! - `clocks`: the times of streams, which renditions share
//! - `source`: plays a stream from nginx; [`ring`]: its newest media, which each viewer reads at its own speed

pub(crate) mod board;
mod clocks;
pub(crate) mod hub;
mod reader;
pub(crate) mod ring;
mod source;
pub(crate) mod station;
