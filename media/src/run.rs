//! A live stream as runs that a demuxer can read from beginning to end.
//!
//! - [`timeline`] repairs times, [`cut`] divides the stream into runs
//! - [`flv`] and [`mp4`] write a run as bytes

pub mod cut;
pub mod flv;
pub mod mp4;
pub mod timeline;
