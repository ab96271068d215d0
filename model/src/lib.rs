//! What Weir's words mean, and every decision that needs no nginx, no clock and no I/O.
//!
//! The nginx module and the daemon both speak through this crate. Time, addresses and random
//! bytes come in as arguments, so that each decision can be tested by itself.
//!
//! - What is named: [`time`], [`stream_name`], [`server`], [`secret`], [`network`], [`client`]
//! - Text: [`text`], [`arguments`] (`name?arguments`), [`masking`]
//! - A publish: [`publish`] (what is presented), [`key`] and [`token`] (what opens), [`verdict`] and
//!   [`refusal`] (the answer), [`duplicate`] (who wins), [`throttle`] (what is logged)
//! - Who watches: [`playback`] (the stream that a URI is of, playlists that carry a token), [`link`] (addresses for people),
//!   [`viewers`] (how many), [`audience`] (who is told)
//! - The protocol: [`guard`] (what is refused before nginx-rtmp sees it)
//! - What is live: [`snapshot`], [`media`] (codec facts), [`rate`], [`bitrate`] (its limit), [`stat`] (its formats)
//! - The API: [`fields`] (a request's body), [`api`] (routes and errors), [`health`], [`origin`] (whose page asks),
//!   [`page`] (a part of a list); requests stand beside their nouns,
//!   such as [`key::NewKey`] and [`token::TokenRequest`]
//! - nginx's configuration: [`lint`] (what is dangerous in it)
//! - Files: [`key_file`] (keys that an admin writes), [`state_file`] (what outlives nginx), [`replica`] (what a pair
//!   has in common)
//!
//! # Floors
//!
//! A file imports only from lines below its own.
//!
//! ```floors
//! stat lint audience replica
//! snapshot push state_file key_file duplicate page
//! verdict guard target
//! publish key playback link
//! refusal
//! token
//! fields access viewers
//! client api rate bitrate throttle
//! admission exec health masking media network origin secret server stream_name text time
//! directive arguments escape
//! ```
#![forbid(unsafe_code)]

pub mod access;
pub mod admission;
pub mod api;
pub mod arguments;
pub mod audience;
pub mod bitrate;
pub mod client;
pub mod directive;
pub mod duplicate;
mod escape;
pub mod exec;
pub mod fields;
pub mod guard;
pub mod health;
pub mod key;
pub mod key_file;
pub mod link;
pub mod lint;
pub mod masking;
pub mod media;
pub mod network;
pub mod origin;
pub mod page;
pub mod playback;
pub mod publish;
pub mod push;
pub mod rate;
pub mod refusal;
pub mod replica;
pub mod secret;
pub mod server;
pub mod snapshot;
pub mod stat;
pub mod state_file;
pub mod stream_name;
pub mod target;
pub mod text;
pub mod throttle;
pub mod time;
pub mod token;
pub mod verdict;
pub mod viewers;

pub use api::ApiError;
pub use client::ClientAddr;
pub use key::{KeyId, KeySource, KeyView, StreamKey};
pub use media::{AudioFacts, VideoFacts};
pub use network::Network;
pub use publish::Presented;
pub use rate::Rate;
pub use refusal::Refusal;
pub use secret::{Digest, Secret};
pub use server::{Server, ServerAddr};
pub use snapshot::Snapshot;
pub use state_file::State;
pub use stream_name::{AppName, StreamName};
pub use target::{Target, TargetId, TargetUrl};
pub use time::Timestamp;
