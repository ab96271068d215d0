//! A live stream as runs that a demuxer reads from beginning to end.
//!
//! - [`timeline`] mends times, [`cut`] makes runs of the stream
//! - [`flv`] and [`mp4`] word a run as bytes

pub mod cut;
pub mod flv;
pub mod mp4;
pub mod timeline;
