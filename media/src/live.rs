//! A live stream as fragments that viewers take one by one, with all tracks in each file.
//!
//! - [`codecs`]: how a browser names a codec
//! - [`packager`]: steps of a run to initialization segments and fragments
//! - `fragment`: one fragment as bytes
//! - [`unpack`]: initialization segments and fragments back to frames, for who takes a stream from another node
//! - [`annexb`]: pictures of H.264 as RTP and decoders take them
//! - [`ogg`]: reads Opus out of what ffmpeg writes
//! - [`hls`]: fragments to parts and segments of Low-Latency HLS, and their playlist

pub mod annexb;
pub mod codecs;
mod fragment;
pub mod hls;
pub mod ogg;
pub mod packager;
#[cfg(test)]
mod tests;
pub mod unpack;

pub use fragment::Layout;
pub use packager::{Fragment, Init, Output, Packager};
