//! Converts messages to chunks.

use std::collections::BTreeMap;

use super::{DEFAULT_CHUNK_SIZE, Format, Header, MAX_CHUNK_SIZE};
use crate::message::{Message, MessageKind};

/// The chunk stream of control messages (specification, section 5.4).
const CONTROL: u32 = 2;

/// Cuts messages into chunks, with the shortest header that expresses the changes.
#[derive(Debug)]
pub struct Writer {
    chunk_size: usize,
    streams: BTreeMap<u32, Last>,
}

/// The previous message on one chunk stream.
#[derive(Debug)]
struct Last {
    header: Header,
    timestamp: u32,
}

impl Default for Writer {
    fn default() -> Self {
        Self { chunk_size: DEFAULT_CHUNK_SIZE, streams: BTreeMap::new() }
    }
}

impl Writer {
    /// Returns a writer with the default chunk size.
    pub fn new() -> Self {
        Self::default()
    }

    /// Announces a chunk size and uses it from then on. The size is limited to 1 to 2^31-1.
    pub fn set_chunk_size(&mut self, size: u32, out: &mut Vec<u8>) {
        let size = size.clamp(1, MAX_CHUNK_SIZE);
        self.write(CONTROL, &Message::number(MessageKind::SET_CHUNK_SIZE, size), out);
        self.chunk_size = size as usize;
    }

    /// Appends `message`, on the chunk stream `chunk_stream`, to `out`. Cuts a payload at 2^24-1 bytes.
    pub fn write(&mut self, chunk_stream: u32, message: &Message, out: &mut Vec<u8>) {
        let length = message.payload.len().min(0x00ff_ffff);
        let last = self.streams.get(&chunk_stream);
        let header = next_header(chunk_stream, message, length as u32, last);
        header.encode(out);
        let mut first = true;
        for piece in message.payload[..length].chunks(self.chunk_size) {
            if !std::mem::replace(&mut first, false) {
                Header { format: Format::Nothing, ..header }.encode(out);
            }
            out.extend_from_slice(piece);
        }
        self.streams.insert(chunk_stream, Last { header, timestamp: message.timestamp });
    }
}

fn next_header(chunk_stream: u32, message: &Message, length: u32, last: Option<&Last>) -> Header {
    let full = Header {
        format: Format::Full,
        chunk_stream,
        time: message.timestamp,
        length,
        kind: message.kind,
        stream_id: message.stream_id,
    };
    let Some(last) = last else { return full };
    if last.header.stream_id != message.stream_id || message.timestamp < last.timestamp {
        return full;
    }
    let time = message.timestamp - last.timestamp;
    let same_shape = last.header.length == length && last.header.kind == message.kind;
    let format = match last.header.format {
        _ if !same_shape => Format::SameStream,
        // Peers interpret the time of a repeated full header in different ways, so the writer never repeats one.
        Format::Full => Format::SameShape,
        _ if last.header.time == time => Format::Nothing,
        _ => Format::SameShape,
    };
    Header { format, time, ..full }
}
