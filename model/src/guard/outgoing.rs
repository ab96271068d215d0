//! Filters messages on a connection that this server opened, to push a stream or to pull one.
//!
//! nginx-rtmp treats the other end of its own connections as a client: it would let it close the stream, connect to
//! another application, and play or publish there. A server needs to send only answers and protocol control messages.
//! [`admits`] recognises them; Weir ignores all other messages.

use super::bytes::Bytes;
use super::{Violation, amf, kind};

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This server sends a stream there.
    Push,
    /// This server receives a stream from there.
    Pull,
}

/// The longest message from the target of a push, in bytes.
pub const MAX_ANSWER: u32 = 65_536;

/// How many bytes the target of a push may send, in addition to a share of the bytes sent to it: 16 bytes for each
/// acknowledgement, and answers.
const MAX_RETURN: u64 = 131_072;

/// The target may send one part of this many of the bytes sent to it.
const RETURN_SHARE: u64 = 8;

/// User control events (specification, section 7.1.7).
mod event {
    pub(super) const STREAM_BEGIN: u16 = 0;
    pub(super) const STREAM_DRY: u16 = 2;
    pub(super) const RECORDED: u16 = 4;
    pub(super) const PING_REQUEST: u16 = 6;
    pub(super) const PING_RESPONSE: u16 = 7;
}

/// Returns whether a server may send this message. `body` as for [`Gate::message`](super::Gate::message).
pub fn admits<'a>(role: Role, kind: u8, body: impl Iterator<Item = &'a [u8]>) -> bool {
    let body = Bytes::new(body);
    match kind {
        kind::SET_CHUNK_SIZE | kind::ABORT | kind::ACKNOWLEDGEMENT | kind::WINDOW_SIZE | kind::BANDWIDTH => {
            true
        }
        kind::USER => is_event(role, body),
        kind::AUDIO | kind::VIDEO | kind::AGGREGATE => role == Role::Pull,
        kind::COMMAND | kind::COMMAND_AMF3 | kind::DATA | kind::DATA_AMF3 => {
            amf::name(kind, body).is_some_and(|name| is_answer(role, kind, &name))
        }
        _ => false,
    }
}

fn is_event<'a>(role: Role, mut body: Bytes<'a, impl Iterator<Item = &'a [u8]>>) -> bool {
    match body.array().map(u16::from_be_bytes) {
        Some(event::PING_REQUEST | event::PING_RESPONSE) => true,
        Some(event::STREAM_BEGIN..=event::STREAM_DRY | event::RECORDED) => role == Role::Pull,
        _ => false,
    }
}

fn is_answer(role: Role, kind: u8, name: &amf::Name) -> bool {
    let is_command = matches!(kind, kind::COMMAND | kind::COMMAND_AMF3);
    name.is("onStatus")
        || is_command && (name.is("_result") || name.is("_error"))
        // Metadata, captions and cue points. No command of a client begins like this.
        || role == Role::Pull && (name.is("@setDataFrame") || name.begins_with("on"))
}

/// Bytes received and sent on the connection of a push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    received: u64,
    sent: u64,
    /// The last value of nginx-rtmp's counter of sent bytes, which has 32 bits and wraps.
    counter: u32,
}

impl Balance {
    /// Counts received bytes. `counter`: nginx-rtmp's counter of sent bytes.
    pub fn received(&mut self, bytes: usize, counter: u32) -> Result<(), Violation> {
        self.sent += u64::from(counter.wrapping_sub(self.counter));
        self.counter = counter;
        self.received = self.received.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.received > MAX_RETURN + self.sent / RETURN_SHARE { Err(Violation::Answers) } else { Ok(()) }
    }
}

/// Decides on the message length in a header from a push's target.
#[inline]
pub const fn length(length: u32) -> Result<(), Violation> {
    if length > MAX_ANSWER { Err(Violation::Answers) } else { Ok(()) }
}

/// State of the exchange with the other end. Without it, nginx-rtmp would restart the exchange at each answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exchange {
    /// `connect` is not answered yet.
    #[default]
    Connecting,
    /// `createStream` is not answered yet.
    Creating,
    /// `publish` or `play` was sent.
    Begun,
}

/// The command that a `_result` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// `connect`.
    Connect,
    /// `createStream`.
    CreateStream,
    /// `publish`, which some services answer with a `_result`.
    Publish,
    /// No command that was sent.
    Nothing,
}

/// Transaction number of `connect` (`NGX_RTMP_RELAY_CONNECT_TRANS`).
pub const CONNECT: u32 = 1;

/// Transaction number of `createStream` (`NGX_RTMP_RELAY_CREATE_STREAM_TRANS`).
pub const CREATE_STREAM: u32 = 2;

/// Transaction number of `publish` and `play` (`ngx_rtmp_relay_send_publish`).
const PUBLISH: u32 = 0;

impl Exchange {
    /// Processes a `_result`. `transaction` is `None` if the message has no readable number: then it answers the last
    /// command.
    pub fn result(&mut self, transaction: Option<f64>) -> Answered {
        let is = |number: u32| transaction.is_none_or(|said| said == f64::from(number));
        match self {
            Exchange::Connecting if is(CONNECT) => {
                *self = Exchange::Creating;
                Answered::Connect
            }
            Exchange::Creating if is(CREATE_STREAM) => {
                *self = Exchange::Begun;
                Answered::CreateStream
            }
            Exchange::Begun if transaction == Some(f64::from(PUBLISH)) => Answered::Publish,
            _ => Answered::Nothing,
        }
    }
}

#[cfg(test)]
mod tests;
