//! What may come over a connection that this server made, to push a stream or to pull one.
//!
//! nginx-rtmp treats the other end of its own connections as a client: it would let it close the stream, connect to
//! another application, and play or publish there. What a server has to say is little: answers, and protocol control
//! messages. [`admits`] knows them; everything else is ignored.

use super::bytes::Bytes;
use super::{Violation, amf, kind};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A stream of this server goes there.
    Push,
    /// A stream of that server comes here.
    Pull,
}

/// The longest message from the target of a push, in bytes.
pub const MAX_ANSWER: u32 = 65_536;

/// How much may come back from the target of a push, in bytes, beside a share of what was sent there: 16 bytes for each
/// acknowledgement, and answers.
const MAX_RETURN: u64 = 131_072;

/// The share of what was sent that may come back.
const RETURN_SHARE: u64 = 8;

/// User control events (specification, section 7.1.7).
mod event {
    pub(super) const STREAM_BEGIN: u16 = 0;
    pub(super) const STREAM_DRY: u16 = 2;
    pub(super) const RECORDED: u16 = 4;
    pub(super) const PING_REQUEST: u16 = 6;
    pub(super) const PING_RESPONSE: u16 = 7;
}

/// Whether a message is something that the other end has to say. `body` as for [`Gate::message`](super::Gate::message).
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
        // Metadata, captions and cue points: no command of a client begins so.
        || role == Role::Pull && (name.is("@setDataFrame") || name.begins_with("on"))
}

/// What came and went over the connection of a push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    received: u64,
    sent: u64,
    /// nginx-rtmp's counter of what was sent, as it was last read: 32 bits that wrap.
    counter: u32,
}

impl Balance {
    /// Counts what was read. `counter`: what was sent so far.
    pub fn received(&mut self, bytes: usize, counter: u32) -> Result<(), Violation> {
        self.sent += u64::from(counter.wrapping_sub(self.counter));
        self.counter = counter;
        self.received = self.received.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.received > MAX_RETURN + self.sent / RETURN_SHARE { Err(Violation::Answers) } else { Ok(()) }
    }
}

/// Decides on the length that a header of a push's target says its message has.
#[inline]
pub const fn length(length: u32) -> Result<(), Violation> {
    if length > MAX_ANSWER { Err(Violation::Answers) } else { Ok(()) }
}

/// State of the exchange with the other end. nginx-rtmp would restart the exchange with each answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exchange {
    /// `connect` is not answered.
    #[default]
    Connecting,
    /// `createStream` is not answered.
    Creating,
    /// `publish` or `play` was sent.
    Begun,
}

/// What a `_result` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// `connect`.
    Connect,
    /// `createStream`.
    CreateStream,
    /// `publish`, which some services answer so.
    Publish,
    /// Nothing that was asked.
    Nothing,
}

/// Transaction number of `connect` (`NGX_RTMP_RELAY_CONNECT_TRANS`).
pub const CONNECT: u32 = 1;

/// Transaction number of `createStream` (`NGX_RTMP_RELAY_CREATE_STREAM_TRANS`).
pub const CREATE_STREAM: u32 = 2;

/// Transaction number of `publish` and `play` (`ngx_rtmp_relay_send_publish`).
const PUBLISH: u32 = 0;

impl Exchange {
    /// Takes in a `_result`. `transaction` is `None` where it has no number that could be read: then it answers what was
    /// asked last.
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
