//! Temporary folders, reserved ports, wait-for instead of sleep, and nothing left behind.
//!
//! A missing tool or product is a panic that says what to run, never a skipped test.

pub mod api;
pub mod browser;
pub mod clients;
pub mod crowd;
pub mod encoder;
pub mod ffmpeg;
pub mod files;
pub mod flood;
pub mod hook;
pub mod keepalived;
pub mod keys;
pub mod lan;
pub mod media;
pub mod metrics;
pub mod netns;
pub mod nginx;
pub mod obs;
pub mod player;
pub mod ports;
pub mod process;
pub mod products;
pub mod publisher;
pub mod random;
pub mod recorder;
pub mod run;
pub mod sanitized;
pub mod sidecar;
pub mod tmpfs;
pub mod valgrind;
pub mod wait;
pub mod xml;

pub use api::Api;
pub use crowd::Crowd;
pub use encoder::{Encoder, Make};
pub use ffmpeg::Ffmpeg;
pub use flood::Flood;
pub use hook::Hook;
pub use keepalived::Keepalived;
pub use lan::{Lan, Space};
pub use netns::Netns;
pub use nginx::Nginx;
pub use player::Player;
pub use publisher::{Outcome, Publisher};
pub use random::Random;
pub use recorder::Recorder;
pub use sidecar::Sidecar;
pub use tmpfs::Tmpfs;
pub use wait::{until, until_ok};
pub use xml::Xml;
