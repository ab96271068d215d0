//! A live stream as fragments that viewers take one by one, with all tracks in each file.
//!
//! - [`codecs`]: how a browser names a codec
//! - [`packager`]: steps of a run to initialization segments and fragments
//! - `fragment`: one fragment as bytes
//! - [`hls`]: fragments to parts and segments of Low-Latency HLS, and their playlist

pub mod codecs;
mod fragment;
pub mod hls;
pub mod packager;
#[cfg(test)]
mod tests;

pub use packager::{Fragment, Init, Output, Packager};
