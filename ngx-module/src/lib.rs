//! Weir's module for nginx, loaded beside a stock nginx-rtmp.
//!
//! # The life of a publish
//!
//! 1. nginx-rtmp reads the AMF command `publish`. The fence stands in its table of commands, so it sees
//!    the command before nginx-rtmp logs its name.
//! 2. [`hooks::publish::on_publish`] takes apart what is presented, finds the key in the zone and asks the model for
//!    a verdict. A refusal is told to the client, and the connection is closed.
//! 3. The stream's row in the zone is claimed; somebody live under the name makes it a duplicate, or is told
//!    to go.
//! 4. nginx-rtmp's own handler gets a command with the public name. The key is in no memory that it sees.
//! 5. Audio and video stamp the row. When the stream is closed, and its files with it, the row is released.
//!
//! # Rooms
//!
//! | room | what it does |
//! |---|---|
//! | [`directives`], [`settings`] | what was written in nginx.conf |
//! | [`advice`] | what is dangerous in the rest of it |
//! | [`runtime`], [`worker`] | what a running configuration shares, and what a worker does ten times a second |
//! | [`registration`], [`orders`] | a worker's row in the zone, and orders to close a publisher or a player |
//! | [`hooks`] | the publish, the play, their end, and the guard before them |
//! | [`playback`] | who may watch over HTTP |
//! | [`viewers`] | how many watch over HTTP |
//! | [`push`] | streams on their way to push targets |
//! | [`state`] | the state file |
//! | [`disk`] | free space for what nginx-rtmp writes |
//! | [`snapshot`], [`stat`] | what is live, for the API and for `weir_stat` |
//! | [`api`] | the JSON API, one file a resource |
//! | [`module`] | all traits of the fence, the crate `ngx_rtmp` |
//! | [`configuration`] | a configuration: read, checked, and in force |
//!
//! # Floors
//!
//! A file imports only from lines below its own.
//!
//! ```floors
//! module
//! worker configuration stat
//! api advice playback
//! viewers
//! hooks
//! push disk
//! hooks/live
//! state snapshot
//! orders registration
//! runtime directives
//! settings session
//! zone resolver
//! pools process weir state/file
//! ```

#![forbid(unsafe_code)]

pub mod advice;
pub mod api;
pub mod configuration;
pub mod directives;
pub mod disk;
pub mod hooks;
pub mod module;
pub mod orders;
pub mod playback;
pub mod pools;
pub mod process;
pub mod push;
pub mod registration;
pub mod resolver;
pub mod runtime;
pub mod session;
pub mod settings;
pub mod snapshot;
pub mod stat;
pub mod state;
pub mod viewers;
pub mod weir;
pub mod worker;
pub mod zone;
