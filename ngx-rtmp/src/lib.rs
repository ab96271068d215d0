//! Safe Rust for nginx-rtmp, as the crate `ngx` is for nginx. This crate is the only one with unsafe code.
//!
//! The crate knows nginx, nginx-rtmp and TLS. It must not know what a module does with them. A module is a type that implements the traits
//! of [`module`], one trait for each kind of callback, and passes itself to [`export!`].
//!
//! | room | what it wraps |
//! |---|---|
//! | [`module`], [`mod@export`] | the parts of a module that nginx looks for: its types, its callbacks, the module tables |
//! | `rtmp_sys` | nginx-rtmp's types (bindgen) and symbols (found at run time) |
//! | `callback` | the border to C: it catches panics |
//! | `types`, `slots` | the types of a module, and the places where nginx keeps their values |
//! | [`address`] | addresses, including the server's own |
//! | `collections`, `buffers` | nginx's arrays and lists, and its chains of buffers |
//! | [`conf`], [`files`] | directives and settings, and the files that directives name |
//! | [`blocks`], [`neighbours`] | `server` blocks and applications, with the settings of nginx-rtmp's own directives there |
//! | [`zone`], `handover` | shared memory, its lock, its life across reloads and upgrades |
//! | [`session`], [`sessions`], [`message`] | an RTMP session, all sessions of the process, and a message of a session |
//! | `connections`, `client` | the life of a session, and the commands of a client |
//! | `chain` | hooks into nginx-rtmp's handlers |
//! | `gather`, `merge`, `waiting` | messages to players, whole and several messages per send |
//! | `gop` | the messages since the last keyframe, for players that join |
//! | `codec_header` | the decoder configuration of a codec that nginx-rtmp does not know |
//! | [`incoming`] | bytes that the other end sends, as nginx-rtmp reads them |
//! | `relay` | nginx-rtmp's `push` and `pull` lines |
//! | [`ends`] | the addresses of both ends of a connection |
//! | `client_log` | nginx-rtmp's log lines about a client |
//! | `commands`, `explicit` | offsets that other modules' directives write to; `off` told apart from a missing directive |
//! | `netcall` | the answers to `on_connect`, `on_publish` and `on_play` |
//! | [`disk`] | the files that nginx-rtmp writes, and how it stops writing |
//! | [`push`], `ticket`, `failure`, `tls`, [`resolver`] | connections to push targets, and the reasons of their failures |
//! | [`outgoing`] | the list of connections to push targets, and how a connection ended |
//! | [`wake`] | how workers wake each other |
//! | [`interworker`] | sockets between workers, and pushes to them |
//! | [`cycle`] | the life of a configuration and of a worker |
//! | [`timer`], [`thread`], [`log`], [`process`] | events, the thread pool, the log, the clock |
//! | [`mod@local`] | state that only one event loop touches |
//! | [`request`] | an HTTP request |
//! | [`gate`], [`value`], `variables` | access to HTTP answers, rewritten answers, and variables |
//! | [`event_stream`], `pieces`, `outlet` | requests that are answered with events, or in pieces |
//!
//! # Why safe code cannot misuse it
//!
//! - **Threads.** nginx reads configurations and handles events on one thread of a process. Modules declare state of that thread with
//!   [`local!`](local!), which gives each thread a value of its own. Functions that touch timers, connections or the resolver panic on any
//!   other thread ([`process`]), and the border to C catches the panic. Work for a pool is `Send` and gets its data by value.
//! - **[`session::Session`]** is a value with the lifetime of a callback. The module borrows it and cannot keep it; it can keep tickets
//!   and state. The settings that a session hands out live as long as the callback too, and a configuration outlives its sessions
//!   (ngx_clean_old_cycles). Closing is posted (ngx_rtmp_finalize_session), so no callback frees a session that is lent. The fence owns the
//!   session's timer and drops it with the session.
//! - **[`sessions::Sessions`]** is the right to borrow sessions, one after the other. Each callback has this right once: as an argument,
//!   or in the session that the callback is about ([`session::Session::all`]). A function that may call back into the module before it
//!   returns borrows this right: [`push::leave`], [`resolver::resolve`], [`request::Waiting::answer`]. So the state of a session is never
//!   lent twice.
//! - **[`message::Message`]** borrows the buffers of the message that is being handled. Reading its pieces borrows it, and writing
//!   borrows it exclusively.
//! - **[`conf::Context`]** lends one piece of settings at a time, by a borrow of itself. The types tie a directive's block, its place and
//!   its table together ([`conf::Place`], [`export::rtmp_command`] and its siblings).
//! - **[`blocks::Block`]** lends each application's settings once, before anything runs with them.
//! - **[`zone::Memory`]** keeps the mapping for as long as the value exists. It lends values for which any bytes are valid
//!   ([`zerocopy::FromBytes`]) and which may be shared (`Sync`): only atomics in them change, whichever process writes. It checks bounds
//!   and alignment against the size and address that nginx's allocator noted.
//! - **[`request::Head`]** borrows a live request. [`request::Waiting`] keeps nginx from freeing a request (ngx_http_terminate_request),
//!   and answers it once.
//! - **[`gate::Asked`]** borrows a live request too. The settings that it comes with are borrowed for the same callback.
//! - **[`value::Value`]** knows its configuration: it has no text once the configuration is gone, and none for a request of another one.
//! - **[`request::Pieces`] and [`event_stream::Events`]** go to the fence by value, and their functions borrow nothing of a request. The
//!   fence drops them with the request (ngx_http_free_request).
//! - **[`push::Dial`]** borrows its texts for one call. A connection is known by a number, its ticket. A ticket of a closed connection
//!   leads to nothing, because a session leaves the table before nginx-rtmp frees it (ngx_rtmp_close_session_handler).
//! - **[`timer::Alarm`]** owns its event. Dropping it takes the event out of nginx's timer tree (ngx_event_del_timer). It is not `Send`,
//!   and neither is [`timer::Hold`], so another thread cannot touch the tree.
//! - **[`thread::Pool`]** is a name. Work is posted to the pool of the configuration that runs (ngx_thread_pool_get), and its result comes
//!   back as an event of the loop (ngx_thread_pool_handler).
//! - **[`disk::stop`]** writes only to flags of the running configuration, which the fence found itself ([`disk::Facts`] is a copy).
//! - **[`wake::ring`]** writes to an eventfd that the process owns until it ends.
//! - **[`ends::Ends`], [`blocks::Listen`], [`neighbours::AccessRule`], [`disk::Space`], [`session::Codecs`]** and the enums are copies of
//!   facts and refer to nothing of nginx's.
//! - **[`module::Tables`]** is the one promise: that its tables belong to the type. [`export!`] makes both.
//!
//! # Floors
//!
//! A file imports only from lines below its own line.
//!
//! ```floors
//! export
//! chain
//! module
//! cycle
//! push variables
//! outgoing codec_header incoming gate blocks gop
//! merge relay message interworker client_log netcall request ends
//! connections client sessions gather
//! session conf
//! event_stream pieces disk zone neighbours
//! wake handover
//! tls resolver timer outlet waiting ticket
//! failure slots
//! types
//! thread explicit
//! buffers
//! callback commands value files
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
pub mod ends;
pub mod event_stream;
mod explicit;
pub mod export;
mod failure;
pub mod files;
pub mod gate;
mod gather;
mod gop;
mod handover;
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
mod ticket;
pub mod timer;
mod tls;
mod types;
pub mod value;
mod variables;
mod waiting;
pub mod wake;
pub mod zone;
