//! The header of one chunk in its binary form.

use super::EXTENDED;
use crate::message::MessageKind;

/// The part of the message header that a chunk carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Format {
    /// The whole header, with an absolute timestamp.
    Full = 0,
    /// The header without stream id; the timestamp is a difference.
    SameStream = 1,
    /// Only a difference of timestamps.
    SameShape = 2,
    /// No header: the chunk continues a message, or repeats the header before it.
    Nothing = 3,
}

/// The header of one chunk. Fields that the format omits are ignored when writing, and zero after reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The format, which says which of the fields are sent.
    pub format: Format,
    /// The chunk stream, 2 to 65,599.
    pub chunk_stream: u32,
    /// Timestamp or difference of timestamps, in milliseconds; above 2^24-2 in the extended form.
    pub time: u32,
    /// Bytes of the whole message.
    pub length: u32,
    /// Type of the message.
    pub kind: MessageKind,
    /// The message stream.
    pub stream_id: u32,
}

impl Header {
    /// Appends the bytes of the header. With [`Format::Nothing`] a large `time` is repeated in the extended form, as
    /// encoders do.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let format = (self.format as u8) << 6;
        match self.chunk_stream {
            id @ 2..64 => out.push(format | id as u8),
            id @ ..320 => out.extend([format, id.wrapping_sub(64) as u8]),
            id => out.extend([format | 1, (id - 64) as u8, ((id - 64) >> 8) as u8]),
        }
        if self.format != Format::Nothing {
            out.extend(&self.time.min(EXTENDED).to_be_bytes()[1..]);
        }
        if matches!(self.format, Format::Full | Format::SameStream) {
            out.extend(&self.length.to_be_bytes()[1..]);
            out.push(self.kind.0);
        }
        if self.format == Format::Full {
            out.extend(self.stream_id.to_le_bytes());
        }
        if self.time >= EXTENDED {
            out.extend(self.time.to_be_bytes());
        }
    }

    /// Reads a header without its extended timestamp. Returns the header and its length in bytes, or `None` if it is
    /// incomplete.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let first = *bytes.first()?;
        let (chunk_stream, mut at) = match first & 0x3f {
            0 => (64 + u32::from(*bytes.get(1)?), 2),
            1 => (64 + u32::from(*bytes.get(1)?) + 256 * u32::from(*bytes.get(2)?), 3),
            id => (u32::from(id), 1),
        };
        let format = match first >> 6 {
            0 => Format::Full,
            1 => Format::SameStream,
            2 => Format::SameShape,
            _ => Format::Nothing,
        };
        let mut header =
            Self { format, chunk_stream, time: 0, length: 0, kind: MessageKind(0), stream_id: 0 };
        if format != Format::Nothing {
            header.time = three(bytes.get(at..at + 3)?);
            at += 3;
        }
        if matches!(format, Format::Full | Format::SameStream) {
            header.length = three(bytes.get(at..at + 3)?);
            header.kind = MessageKind(*bytes.get(at + 3)?);
            at += 4;
        }
        if format == Format::Full {
            header.stream_id = u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
            at += 4;
        }
        Some((header, at))
    }
}

fn three(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
