//! The fence: all unsafe code of Weir. What is outside sees safe types alone.
//!
//! | room | what it wraps |
//! |---|---|
//! | `export` | what nginx looks for in a module: the module table and the contexts |
//! | `rtmp_sys` | nginx-rtmp's types (bindgen) and symbols (found at run time) |
//! | `callback` | the border: no panic crosses it |
//! | `address` | addresses, the server's own too |
//! | `collections` | nginx's arrays and lists |
//! | `conf` | directives and settings |
//! | `zone` | shared memory, its lock, its life over reloads |
//! | `session` | an RTMP session |
//! | `chain` | where nginx-rtmp's handlers are hooked |
//! | `codec_header` | the configuration of a decoder that nginx-rtmp does not know |
//! | `incoming` | what the other end sends, as it is read |
//! | `relay` | nginx-rtmp's `push` lines |
//! | `client_log` | what nginx-rtmp logs of a client |
//! | `commands` | where the directives of other modules write to |
//! | `neighbours` | `exec`, `allow` and `deny` of nginx-rtmp, as they were configured |
//! | `netcall` | the answers to `on_connect`, `on_publish` and `on_play` |
//! | `disk` | what nginx-rtmp writes, and how it stops |
//! | `push`, `tls`, `resolver` | connections to push targets |
//! | `outgoing` | which connections are those to push targets, and how one ended |
//! | `interworker` | sockets between workers, and pushes to them |
//! | `cycle` | the life of a configuration and of a worker |
//! | `advice` | warnings on a configuration |
//! | `timer`, `thread`, `log`, `process` | events, the thread pool, the log, the clock |
//! | `request` | an HTTP request |
//! | `event_stream` | requests that are answered with events |

pub mod address;
mod advice;
mod allowed;
pub mod callback;
pub mod chain;
mod client_log;
pub mod codec_header;
mod collections;
mod commands;
pub mod conf;
pub mod cycle;
pub mod disk;
pub mod event_stream;
pub mod export;
pub mod incoming;
pub mod interworker;
pub mod log;
mod neighbours;
mod netcall;
pub mod outgoing;
mod outlet;
mod pieces;
pub mod process;
pub mod push;
mod relay;
pub mod request;
pub mod resolver;
pub mod rtmp_sys;
mod servers;
pub mod session;
pub mod thread;
pub mod timer;
mod tls;
pub mod zone;
