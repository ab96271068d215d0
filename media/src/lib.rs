//! Media formats as bytes. The crate uses no clock and no I/O: callers pass bytes and times as arguments.
//!
//! - [`run`]: a live stream from RTMP, cut into runs that a demuxer can read from beginning to end
//! - [`cmaf`]: fragmented MP4 of one track, cut into the files that players request, with the facts that playlists need
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
