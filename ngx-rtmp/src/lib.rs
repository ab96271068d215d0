//! Safe Rust for nginx-rtmp, as the crate `ngx` is for nginx: the only crate with unsafe code.
//!
//! It knows nginx, nginx-rtmp and TLS, and nothing of what a module does with them. A module is a type that implements
//! the traits of [`module`], one for each kind of callback, and hands itself to [`export!`].
//!
//! | room | what it wraps |
//! |---|---|
//! | [`module`], [`mod@export`] | what nginx looks for in a module: its types, its callbacks, the module tables |
//! | `rtmp_sys` | nginx-rtmp's types (bindgen) and symbols (found at run time) |
//! | `callback` | the border: no panic crosses it |
//! | [`address`] | addresses, the server's own too |
//! | `collections` | nginx's arrays and lists |
//! | [`conf`] | directives and settings |
//! | [`blocks`], [`neighbours`] | `server` blocks and applications, with what nginx-rtmp's own directives say there |
//! | [`zone`] | shared memory, its lock, its life over reloads |
//! | [`session`], [`message`] | an RTMP session, and a message of it |
//! | `chain` | where nginx-rtmp's handlers are hooked |
//! | `codec_header` | the configuration of a decoder that nginx-rtmp does not know |
//! | [`incoming`] | what the other end sends, as it is read |
//! | `relay` | nginx-rtmp's `push` lines |
//! | `client_log` | what nginx-rtmp logs of a client |
//! | `commands` | where the directives of other modules write to |
//! | `netcall` | the answers to `on_connect`, `on_publish` and `on_play` |
//! | [`disk`] | what nginx-rtmp writes, and how it stops |
//! | [`push`], `tls`, [`resolver`] | connections to push targets |
//! | [`outgoing`] | which connections are those to push targets, and how one ended |
//! | [`interworker`] | sockets between workers, and pushes to them |
//! | [`cycle`] | the life of a configuration and of a worker |
//! | [`timer`], [`thread`], [`log`], [`process`] | events, the thread pool, the log, the clock |
//! | [`request`] | an HTTP request |
//! | [`gate`], [`value`], `variables` | who gets an answer of http, answers that are rewritten, and variables |
//! | [`event_stream`], `pieces`, `outlet` | requests that are answered with events, or piece by piece |
//!
//! # Floors
//!
//! A file imports only from lines below its own. What does not is counted in `tests/tests/layers`.
//!
//! ```floors
//! export
//! chain
//! cycle
//! push relay
//! codec_header incoming tls
//! outgoing
//! message
//! request
//! pieces
//! event_stream
//! thread outlet
//! blocks
//! client_log
//! session
//! timer resolver
//! interworker disk zone neighbours variables
//! netcall commands gate
//! conf
//! module
//! callback
//! log
//! rtmp_sys
//! process address collections value
//! ```

pub mod address;
pub mod blocks;
mod callback;
mod chain;
mod client_log;
mod codec_header;
mod collections;
mod commands;
pub mod conf;
pub mod cycle;
pub mod disk;
pub mod event_stream;
pub mod export;
pub mod gate;
pub mod incoming;
pub mod interworker;
pub mod log;
pub mod message;
pub mod module;
pub mod neighbours;
mod netcall;
pub mod outgoing;
mod outlet;
mod pieces;
pub mod process;
pub mod push;
mod relay;
pub mod request;
pub mod resolver;
mod rtmp_sys;
pub mod session;
pub mod thread;
pub mod timer;
mod tls;
pub mod value;
mod variables;
pub mod zone;
