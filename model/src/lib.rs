//! What Weir's words mean, and every decision that needs no nginx, no clock and no I/O.
//!
//! The nginx module and the daemon both speak through this crate. Time, addresses and random
//! bytes come in as arguments, so that each decision can be tested by itself.
//!
//! - What is named: [`time`], [`stream_name`], [`secret`], [`network`], [`client`]
#![forbid(unsafe_code)]

pub mod client;
pub mod network;
pub mod secret;
pub mod stream_name;
pub mod time;

pub use client::ClientAddr;
pub use network::Network;
pub use secret::{Digest, Secret};
pub use stream_name::{AppName, StreamName};
pub use time::Timestamp;
