//! The types behind Weir's words, and every decision that needs no nginx, no clock and no I/O.
//!
//! The nginx module and the daemon share this crate. Callers pass time, addresses and random bytes as arguments, so
//! that each decision can be tested by itself.
//!
//! - Names and values: [`time`], [`stream_name`], [`server`], [`secret`], [`network`], [`client`]
//! - Text: [`text`], [`arguments`] (`name?arguments`), [`masking`]
//! - A publish: [`publish`] (the credentials that a publisher presents), [`key`] and [`token`] (the credentials that
//!   Weir accepts), [`verdict`] and [`refusal`] (the answer), [`duplicate`] (which publisher keeps the name),
//!   [`throttle`] (which refusals are logged)
//! - Viewers: [`playback`] (the stream that a URI belongs to, playlists that carry a token), [`link`] (addresses for
//!   people), [`viewers`] (the counts), [`audience`] (the time of their events), [`front`] (messages to web pages)
//! - The protocol: [`guard`] (the messages that Weir refuses before nginx-rtmp reads them)
//! - Live streams: [`snapshot`], [`media`] (codec facts), [`rate`], [`bitrate`] (the limit of a publisher), [`stat`]
//!   (output formats)
//! - The API: [`fields`] (the body of a request), [`api`] (routes and errors), [`event`], [`health`], [`origin`] (the
//!   web page that sent a request), [`page`] (one page of a list); the type of a request is in the module of its noun,
//!   such as [`key::NewKey`] and [`token::TokenRequest`]
//! - nginx's configuration: [`lint`] (dangerous settings)
//! - Files: [`key_file`] (keys that an admin writes), [`state_file`] (the state that survives a restart of nginx),
//!   [`replica`] (the state that a pair shares)
//!
//! # Floors
//!
//! A file imports only from lines below its own.
//!
//! ```floors
//! stat lint audience front replica
//! event
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
pub mod event;
pub mod exec;
pub mod fields;
pub mod front;
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
