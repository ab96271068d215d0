//! Weir's module for nginx, loaded beside a stock nginx-rtmp.
//!
//! # The life of a publish
//!
//! 1. nginx-rtmp reads the AMF command `publish`. The fence has replaced its handler in the table of commands, so it sees
//!    the command before nginx-rtmp logs its name.
//! 2. [`hooks::publish::on_publish`] parses the name and its arguments, finds the key in the zone and asks the model for
//!    a verdict. On a refusal, the module tells the client the reason and closes the connection.
//! 3. The module claims the stream's row in the zone. If another publisher is live with the name, the module refuses the
//!    new publisher, or orders the old one to close.
//! 4. nginx-rtmp's own handler gets a command with the public name. It never reads the memory that holds the key.
//! 5. Audio and video update the row. When the stream and its files are closed, the module releases the row.
//!
//! # Rooms
//!
//! | room | what it does |
//! |---|---|
//! | [`directives`], [`settings`] | the directives in nginx.conf |
//! | [`advice`] | warnings about dangerous lines in the rest of nginx.conf |
//! | [`runtime`], [`worker`] | the parts that a running configuration shares, and a worker's tasks ten times per second |
//! | [`registration`], [`orders`] | a worker's row in the zone, and orders to close a publisher or a player |
//! | [`hooks`] | the publish, the play, their end, and the guard before them |
//! | [`playback`] | access of viewers over HTTP |
//! | [`viewers`] | the number of viewers over HTTP |
//! | [`push`] | pushes of streams to targets |
//! | [`state`] | the state file |
//! | [`disk`] | free space for the files that nginx-rtmp writes |
//! | [`snapshot`], [`stat`] | the live streams and sessions, for the API and for `weir_stat` |
//! | [`api`] | the JSON API, one file per resource |
//! | [`module`] | all traits of the fence, the crate `ngx_rtmp` |
//! | [`configuration`] | a configuration: read, checked, and in force |
//!
//! # Floors
//!
//! A file imports only from lines below its own line.
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
