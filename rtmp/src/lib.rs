//! RTMP and FLV as bytes: no sockets, no clock, no threads.
//!
//! # Layout
//!
//! - [`amf0`]: the values inside command and data messages
//! - [`message`]: message types, and the payloads of control messages and commands
//! - [`command`]: commands of clients in one plain form
//! - [`chunk`]: converts messages to chunks and back
//! - [`handshake`]: the simple handshake, client side
//! - [`url`]: parses `rtmp://host/app/name?args`
//! - [`status`]: reads a server's answers leniently
//! - [`client`]: a publishing or playing session that reads and returns bytes
//! - [`flv`]: tags to and from a file
//! - [`hide`]: log lines without the secrets of URLs
//! - [`media`]: the content of audio and video messages
//! - [`merge`]: when messages that wait for a player are sent
//! - [`gop`]: the messages since the last keyframe, for players that join
//!
//! Specification: Adobe's Real-Time Messaging Protocol 1.0 and AMF 0 (2007).
//!
//! # Floors
//!
//! A file imports only from lines below its own.
//!
//! ```floors
//! client gop
//! chunk flv
//! command message status
//! amf0 handshake hide media merge url
//! ```
#![forbid(unsafe_code)]

pub mod amf0;
pub mod chunk;
pub mod client;
pub mod command;
pub mod flv;
pub mod gop;
pub mod handshake;
pub mod hide;
pub mod media;
pub mod merge;
pub mod message;
pub mod status;
pub mod url;
