//! Media formats as bytes. No clock and no I/O: bytes and times come in as arguments.
//!
//! - [`run`]: a live stream as RTMP brings it, cut into runs that a demuxer reads from beginning to end
//! - [`cmaf`]: fragmented MP4 of one track, cut into what players ask for and read as far as playlists need
//! - [`playlist`]: the playlists of HLS and DASH
//! - [`live`]: fragments of a run for viewers, with all tracks
//! - [`piece`]: MP4 and Matroska with all tracks, cut into pieces that can follow each other in any file
//!
//! # Floors
//!
//! A file imports only from lines below its own.
//!
//! ```floors
//! live
//! run piece playlist
//! cmaf
//! ```
#![forbid(unsafe_code)]

pub mod cmaf;
pub mod live;
pub mod piece;
pub mod playlist;
pub mod run;
