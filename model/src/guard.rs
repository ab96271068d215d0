//! Closes harmful connections before nginx-rtmp reads their messages.
//!
//! A [`Gate`] checks every message of a connection; [`deadline`] finds connections that were silent for too long, and
//! [`throttle`](crate::throttle) limits the log lines about them. No code here allocates or recurses, and each audio or
//! video message costs one comparison.

mod aggregate;
mod amf;
mod bytes;
pub mod deadline;
pub mod early;
pub mod guest;
mod kind;
pub mod outgoing;
pub mod space;
mod violation;

use crate::publish;
use bytes::Bytes;
pub use violation::{
    MAX_BYTES_BEFORE_CONNECT, MAX_CHUNK_SIZE, MAX_CHUNK_SIZES, MAX_DEPTH, MAX_UNFINISHED, MAX_UNREAD,
    MIN_CHUNK_SIZE, Violation,
};

/// The largest chunk size, in bytes, that nginx-rtmp accepts (`NGX_RTMP_MAX_CHUNK_SIZE`).
const NGINX_MAX_CHUNK_SIZE: u32 = 10_485_760;

/// Returns the chunk size to read with if the other end announces `size` and no message is longer than `max_message`
/// bytes. Every larger size has the same effect, that no message is cut, but nginx-rtmp allocates a buffer of this size
/// for each chunk.
pub fn chunk_size(size: u32, max_message: u64) -> u32 {
    let most = u32::try_from(max_message).unwrap_or(u32::MAX).clamp(MIN_CHUNK_SIZE, NGINX_MAX_CHUNK_SIZE);
    size.min(most)
}

/// Length of a client's handshake C0, C1 and C2, in bytes (specification, section 5.2).
const HANDSHAKE: u32 = 1 + 1536 + 1536;

/// The state of the guard for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Whether the other end opened the connection, rather than this server.
    accepted: bool,
    chunk_sizes: u8,
    /// Bytes received before `connect`.
    received: u32,
}

impl Gate {
    /// Returns the gate of a connection that a client opened to this server.
    pub const fn accepted() -> Gate {
        Gate { accepted: true, chunk_sizes: 0, received: 0 }
    }

    /// Returns the gate of a connection that this server opened for a pull or a push. The gate does not wait for a
    /// `connect`.
    pub const fn outgoing() -> Gate {
        Gate { accepted: false, ..Gate::accepted() }
    }

    /// Decides on a message before any other code reads it. `connected`: an earlier `connect` was accepted. `body` is
    /// the whole message in nginx-rtmp's buffers, including the empty ones.
    #[inline]
    pub fn message<'a>(
        &mut self,
        connected: bool,
        kind: u8,
        body: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), Violation> {
        let may_speak = connected || !self.accepted;
        if may_speak && matches!(kind, kind::AUDIO | kind::VIDEO) {
            return Ok(());
        }
        if !may_speak && !may_precede_connect(kind, body.clone()) {
            return Err(Violation::NotConnected);
        }
        match kind {
            kind::SET_CHUNK_SIZE => self.chunk_size(body),
            kind::DATA_AMF3..=kind::COMMAND => amf::check(kind, Bytes::new(body)),
            kind::AGGREGATE => aggregate::check(Bytes::new(body)),
            _ => Ok(()),
        }
    }

    /// Counts the bytes that were read from the connection, including the handshake.
    #[inline]
    pub fn received(&mut self, connected: bool, bytes: usize) -> Result<(), Violation> {
        if connected || !self.accepted {
            return Ok(());
        }
        self.received = self.received.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.received > MAX_BYTES_BEFORE_CONNECT + HANDSHAKE {
            return Err(Violation::BytesBeforeConnect);
        }
        Ok(())
    }

    fn chunk_size<'a>(&mut self, body: impl Iterator<Item = &'a [u8]> + Clone) -> Result<(), Violation> {
        self.chunk_sizes = self.chunk_sizes.saturating_add(1);
        if self.chunk_sizes > MAX_CHUNK_SIZES {
            return Err(Violation::ChunkSizes);
        }
        match Bytes::new(body).array().map(u32::from_be_bytes) {
            Some(size) if !(MIN_CHUNK_SIZE..=MAX_CHUNK_SIZE).contains(&size) => Err(Violation::ChunkSize),
            // nginx-rtmp ignores a message that is too short to hold a size.
            Some(_) | None => Ok(()),
        }
    }
}

/// Returns whether a message of this type holds AMF values.
pub const fn is_amf(kind: u8) -> bool {
    matches!(kind, kind::DATA_AMF3..=kind::COMMAND)
}

/// Returns whether a message of AMF values is a command whose names and keys are checked separately: `connect`,
/// `publish`, `play` or `play2`. nginx-rtmp accepts a command in any type of message and in any case of letters.
pub fn is_judged(kind: u8, body: &[u8]) -> bool {
    const JUDGED: [&[u8]; 4] = [b"connect", b"publish", b"play", b"play2"];
    let has_prefix = matches!(kind, kind::DATA_AMF3 | kind::SHARED_AMF3 | kind::COMMAND_AMF3);
    let body = if has_prefix { body.get(1..).unwrap_or_default() } else { body };
    let is_typeless = matches!(kind, kind::SHARED | kind::SHARED_AMF3);
    let name = match (is_typeless, body) {
        (true, [high, low, rest @ ..]) | (false, [2, high, low, rest @ ..]) => {
            rest.get(..usize::from(u16::from_be_bytes([*high, *low])))
        }
        _ => None,
    };
    // nginx-rtmp reads a C string (ngx_rtmp_amf_message_handler).
    let name = name.and_then(|name| name.split(|byte| *byte == 0).next()).unwrap_or_default();
    JUDGED.iter().any(|judged| name.eq_ignore_ascii_case(judged))
}

/// Returns whether a message may come before `connect`: only `connect` itself and protocol control messages.
fn may_precede_connect<'a>(kind: u8, body: impl Iterator<Item = &'a [u8]> + Clone) -> bool {
    match kind {
        kind::SET_CHUNK_SIZE | kind::ABORT | kind::ACKNOWLEDGEMENT | kind::WINDOW_SIZE | kind::BANDWIDTH => {
            true
        }
        kind::COMMAND | kind::COMMAND_AMF3 => amf::is_connect(kind, Bytes::new(body)),
        _ => false,
    }
}

/// Returns whether a message of this type is audio or video.
#[must_use]
pub const fn is_media(kind: u8) -> bool {
    matches!(kind, kind::AUDIO | kind::VIDEO)
}

/// Returns whether a message of this type is a command.
#[must_use]
pub const fn is_command(kind: u8) -> bool {
    matches!(kind, kind::COMMAND | kind::COMMAND_AMF3)
}

/// Decides on an incomplete message: `read` bytes of it have arrived, and the latest header on its chunk stream
/// announces `length`.
#[inline]
pub const fn running_message(read: u32, length: u32) -> Result<(), Violation> {
    if length < read { Err(Violation::RunningLength) } else { Ok(()) }
}

/// Decides on a connection that has `unfinished` bytes of incomplete messages over all its chunk streams, and on which
/// no publish was accepted.
#[inline]
pub const fn unfinished(bytes: usize) -> Result<(), Violation> {
    if bytes > MAX_UNFINISHED { Err(Violation::Unfinished) } else { Ok(()) }
}

/// Decides on a client that neither publishes nor receives media, and has this many unread answers.
#[inline]
pub const fn unread(answers: usize) -> Result<(), Violation> {
    if answers > MAX_UNREAD { Err(Violation::Unread) } else { Ok(()) }
}

/// Decides on the `name?args` of a `publish` or `play` as the AMF value contains it. nginx-rtmp must not cut the text,
/// because two names could become equal.
pub fn name(raw: &[u8]) -> Result<(), Violation> {
    fits(raw.len(), raw)
}

/// Decides on the `name?args` of a `publish` whose arguments `key` and `token` Weir removes before nginx-rtmp reads it.
pub fn name_with_credential(raw: &[u8]) -> Result<(), Violation> {
    fits(publish::public_len(raw), raw)
}

fn fits(len: usize, raw: &[u8]) -> Result<(), Violation> {
    if len > publish::MAX_PRESENTED_LEN || raw.contains(&0) { Err(Violation::Name) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
