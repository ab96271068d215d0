//! A live stream as fragments that viewers request one by one, with all tracks in each file.
//!
//! - [`codecs`]: the names that browsers use for codecs
//! - [`packager`]: converts the steps of a run to initialization segments and fragments
//! - `fragment`: writes one fragment as bytes
//! - [`unpack`]: converts initialization segments and fragments back to frames, for a node that receives a stream from
//!   another node
//! - [`annexb`]: frames of H.264 in the form that RTP and decoders need
//! - [`captions`]: finds captions in frames of H.264 and HEVC
//! - [`ogg`]: reads Opus from the output of ffmpeg
//! - [`hls`]: groups fragments into parts and segments of Low-Latency HLS, and writes their playlist

pub mod annexb;
pub mod captions;
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
