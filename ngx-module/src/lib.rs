//! Weir's module for nginx, loaded beside a stock nginx-rtmp.
//!
//! # The life of a publish
//!
//! 1. nginx-rtmp reads the AMF command `publish`. [`ffi::chain`] stands in its table of commands, so it sees
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
//! | [`hooks`] | the publish, the play, their end, and the guard before them |
//! | [`push`] | streams on their way to push targets |
//! | [`state`] | the state file |
//! | [`disk`] | free space for what nginx-rtmp writes |
//! | [`snapshot`], [`stat`] | what is live, for the API and for `weir_stat` |
//! | [`api`] | the JSON API, one file a resource |
//! | [`ffi`] | all unsafe code |
//!
//! # Floors
//!
//! A file imports only from lines below its own. What does not is counted in `tests/tests/layers`.
//!
//! ```floors
//! ffi/export
//! api worker stat advice
//! hooks
//! push disk
//! state snapshot
//! runtime directives
//! settings
//! ffi
//! ```

// Everything is called from C: the compiler cannot see who uses what is public.
#![deny(unsafe_code)]

pub mod advice;
pub mod api;
pub mod directives;
pub mod disk;
#[allow(unsafe_code)]
pub mod ffi;
pub mod hooks;
pub mod push;
pub mod runtime;
pub mod settings;
pub mod snapshot;
pub mod stat;
pub mod state;
pub mod worker;
