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
//! | `types`, `slots` | the types of a module, and where nginx keeps them |
//! | [`address`] | addresses, the server's own too |
//! | `collections`, `buffers` | nginx's arrays and lists, and its chains of buffers |
//! | [`conf`], [`files`] | directives and settings, and the files that they name |
//! | [`blocks`], [`neighbours`] | `server` blocks and applications, with what nginx-rtmp's own directives say there |
//! | [`zone`] | shared memory, its lock, its life over reloads |
//! | [`session`], [`sessions`], [`message`] | an RTMP session, all of them, and a message of one |
//! | `connections`, `client` | the life of a session, and the commands of a client |
//! | `chain` | where nginx-rtmp's handlers are hooked |
//! | `merge`, `waiting` | what is sent to players, several messages at a time |
//! | `gop` | the messages since the last keyframe, for players that join |
//! | `codec_header` | the configuration of a decoder that nginx-rtmp does not know |
//! | [`incoming`] | what the other end sends, as it is read |
//! | `relay` | nginx-rtmp's `push` lines |
//! | `client_log` | what nginx-rtmp logs of a client |
//! | `commands`, `explicit` | where the directives of other modules write to, and what they do not tell apart |
//! | `netcall` | the answers to `on_connect`, `on_publish` and `on_play` |
//! | [`disk`] | what nginx-rtmp writes, and how it stops |
//! | [`push`], `failure`, `tls`, [`resolver`] | connections to push targets, and why they fail |
//! | [`outgoing`] | which connections are those to push targets, and how one ended |
//! | [`wake`] | workers wake each other |
//! | [`interworker`] | sockets between workers, and pushes to them |
//! | [`cycle`] | the life of a configuration and of a worker |
//! | [`timer`], [`thread`], [`log`], [`process`] | events, the thread pool, the log, the clock |
//! | [`mod@local`] | state that one event loop alone touches |
//! | [`request`] | an HTTP request |
//! | [`gate`], [`value`], `variables` | who gets an answer of http, answers that are rewritten, and variables |
//! | [`event_stream`], `pieces`, `outlet` | requests that are answered with events, or piece by piece |
//!
//! # Why safe code cannot misuse it
//!
//! - **Threads.** nginx reads configurations and handles events on one thread of a process. State of that thread is declared with
//!   [`local!`](local!), which gives each thread a value of its own; what touches timers, connections or the resolver panics on any
//!   other thread ([`process`]), and a panic ends at the border to C. Work for a pool is `Send` and gets what it needs by value.
//! - **[`session::Session`]** is a value with the lifetime of a callback, lent to the module: it cannot be kept. What is kept are
//!   tickets and state. The settings that it hands out live as long as the callback too, and a configuration outlives its
//!   sessions (ngx_clean_old_cycles). Closing is posted (ngx_rtmp_finalize_session), so no callback frees a session that is lent.
//!   Its timer is the fence's, and goes with it.
//! - **[`sessions::Sessions`]** is the right to be lent sessions, one after the other. Each callback has it once: as an argument, or
//!   in the session that it is about ([`session::Session::all`]). What may call back into the module before it returns
//!   borrows it: [`push::leave`], [`resolver::resolve`], [`request::Waiting::answer`]. So the state of a session is never lent twice.
//! - **[`message::Message`]** borrows the buffers of the message that is handled now. Whoever reads its pieces borrows it, and
//!   whoever writes borrows it alone.
//! - **[`conf::Context`]** lends one piece of settings at a time, by a borrow of itself. That a directive's block, its place and
//!   the table it stands in belong together is in their types ([`conf::Place`], [`export::rtmp_command`] and its kin).
//! - **[`blocks::Block`]** lends each application's settings once, while nothing runs with them.
//! - **[`zone::Memory`]** keeps the mapping for as long as it is held. It lends values for which any bytes are valid
//!   ([`zerocopy::FromBytes`]) and which may be shared (`Sync`): what changes in them are atomics, whichever process writes. Bounds
//!   and alignment are checked against what nginx's allocator noted.
//! - **[`request::Head`]** borrows a live request. [`request::Waiting`] holds one back from being freed
//!   (ngx_http_terminate_request), and answers it once.
//! - **[`module::Tables`]** is the one promise: that its tables are those of the type. [`export!`] makes both.
//!
//! # Floors
//!
//! A file imports only from lines below its own.
//!
//! ```floors
//! export
//! chain
//! module
//! cycle
//! push variables
//! outgoing codec_header incoming gate blocks gop
//! merge relay message interworker client_log netcall request
//! connections client sessions
//! session conf
//! event_stream pieces disk zone neighbours
//! wake
//! tls resolver timer outlet waiting
//! failure slots
//! types
//! thread explicit
//! callback commands value files buffers
//! log
//! process
//! rtmp_sys
//! address collections
//! local
//! ```

pub mod address;
pub mod blocks;
mod buffers;
mod callback;
mod chain;
mod client;
mod client_log;
mod codec_header;
mod collections;
mod commands;
pub mod conf;
mod connections;
pub mod cycle;
pub mod disk;
pub mod event_stream;
mod explicit;
pub mod export;
mod failure;
pub mod files;
pub mod gate;
mod gop;
pub mod incoming;
pub mod interworker;
pub mod local;
pub mod log;
mod merge;
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
pub mod sessions;
mod slots;
pub mod thread;
pub mod timer;
mod tls;
mod types;
pub mod value;
mod variables;
mod waiting;
pub mod wake;
pub mod zone;
