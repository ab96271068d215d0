//! RTMP messages: their types, and the payloads of control messages and commands (specification, sections 5.4 and 7).

use crate::amf0::Writer;

/// The type of a message. This is not an enum, because peers send numbers of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageKind(pub u8);

#[allow(missing_docs)]
impl MessageKind {
    pub const SET_CHUNK_SIZE: Self = Self(1);
    pub const ABORT: Self = Self(2);
    pub const ACKNOWLEDGEMENT: Self = Self(3);
    pub const USER_CONTROL: Self = Self(4);
    pub const WINDOW_SIZE: Self = Self(5);
    pub const PEER_BANDWIDTH: Self = Self(6);
    pub const AUDIO: Self = Self(8);
    pub const VIDEO: Self = Self(9);
    /// A byte, then data as in `DATA`.
    pub const DATA_AMF3: Self = Self(15);
    /// A byte, then a shared object as in `SHARED`.
    pub const SHARED_AMF3: Self = Self(16);
    /// A byte, then a command as in `COMMAND`.
    pub const COMMAND_AMF3: Self = Self(17);
    /// AMF 0 data: `onMetaData` and `@setDataFrame`.
    pub const DATA: Self = Self(18);
    pub const SHARED: Self = Self(19);
    /// An AMF 0 command.
    pub const COMMAND: Self = Self(20);
    pub const AGGREGATE: Self = Self(22);
}

/// Event types of a user control message (specification, section 7.1.7).
#[allow(missing_docs)]
pub mod user_control {
    pub const SET_BUFFER_LENGTH: u16 = 3;
    pub const PING_REQUEST: u16 = 6;
    pub const PING_RESPONSE: u16 = 7;
}

/// One complete message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its type.
    pub kind: MessageKind,
    /// The message stream; 0 is the connection itself.
    pub stream_id: u32,
    /// Milliseconds, wrapping.
    pub timestamp: u32,
    /// The payload, without any header.
    pub payload: Vec<u8>,
}

impl Message {
    /// Returns a message of the connection itself: stream 0, timestamp 0.
    pub fn control(kind: MessageKind, payload: Vec<u8>) -> Self {
        Self { kind, stream_id: 0, timestamp: 0, payload }
    }

    /// Returns a Set Chunk Size, Acknowledgement or Window Acknowledgement Size: a type and one number.
    pub fn number(kind: MessageKind, value: u32) -> Self {
        Self::control(kind, value.to_be_bytes().to_vec())
    }

    /// Returns a user control event with its 4- or 8-byte data.
    pub fn user_control(event: u16, data: &[u32]) -> Self {
        let mut payload = event.to_be_bytes().to_vec();
        payload.extend(data.iter().flat_map(|word| word.to_be_bytes()));
        Self::control(MessageKind::USER_CONTROL, payload)
    }

    /// Returns a command: its name, its transaction number, and the values that `arguments` writes. `arguments` returns
    /// the writer, so that a chain of calls is one expression.
    pub fn command(
        stream_id: u32,
        name: &str,
        transaction: f64,
        arguments: impl FnOnce(&mut Writer) -> &mut Writer,
    ) -> Self {
        let mut writer = Writer::new();
        writer.string(name.as_bytes()).number(transaction);
        arguments(&mut writer);
        Self { kind: MessageKind::COMMAND, stream_id, timestamp: 0, payload: writer.into_bytes() }
    }
}
