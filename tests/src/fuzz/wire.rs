//! Converts messages to chunks, in all valid forms and some invalid ones.

use std::collections::BTreeMap;

use weir_rtmp::chunk::{DEFAULT_CHUNK_SIZE, Format, Header};
use weir_rtmp::message::{Message, MessageKind};

use crate::harness::Random;

const FORMATS: &[Format] = &[Format::Full, Format::SameStream, Format::SameShape, Format::Nothing];

/// Chunk streams of all three forms, with both limits of each.
pub(super) const CHUNK_STREAMS: &[u32] = &[2, 3, 4, 5, 6, 8, 31, 32, 33, 63, 64, 65, 319, 320, 1_000, 65_599];

/// Wrong lengths for a header.
const LENGTHS: &[u32] = &[0, 1, 2, 3, 11, 127, 128, 129, 4_096, 70_000, 1 << 20, (1 << 20) + 1, 0x00ff_ffff];

/// The sender's half of a connection.
pub(super) struct Wire {
    chunk_size: usize,
    last: BTreeMap<u32, Header>,
    /// One chunk in this many is wrong; 0 means none.
    wrong: usize,
}

impl Wire {
    /// Returns a writer whose chunks are wrong once in `wrong` times, never if that is 0.
    pub(super) fn new(wrong: usize) -> Self {
        Self { chunk_size: DEFAULT_CHUNK_SIZE, last: BTreeMap::new(), wrong }
    }

    /// Appends messages; the chunks of several are mixed.
    pub(super) fn write(&mut self, random: &mut Random, messages: &[(u32, Message)], out: &mut Vec<u8>) {
        let mut rest: Vec<_> = messages
            .iter()
            .map(|(chunk_stream, message)| (self.header(random, *chunk_stream, message), 0, message))
            .collect();
        while !rest.is_empty() {
            let nth = random.below(rest.len());
            let (header, sent, message) = &mut rest[nth];
            let first = *sent == 0;
            let mut header = if first { *header } else { Header { format: Format::Nothing, ..*header } };
            if self.is_wrong(random) {
                spoil(random, &mut header);
            }
            header.encode(out);
            let size = self.chunk_size.min(message.payload.len() - *sent);
            let mut piece = &message.payload[*sent..*sent + size];
            if self.is_wrong(random) {
                piece = &piece[..random.below(size + 1)];
            }
            out.extend_from_slice(piece);
            *sent += size;
            if *sent >= message.payload.len() {
                self.after(message);
                rest.swap_remove(nth);
            }
        }
    }

    fn is_wrong(&self, random: &mut Random) -> bool {
        self.wrong > 0 && random.one_in(self.wrong)
    }

    /// Sets the chunk size of the following messages.
    fn after(&mut self, message: &Message) {
        if message.kind == MessageKind::SET_CHUNK_SIZE
            && let Some(size) = message.payload.first_chunk()
        {
            // The rest may become wrong if the server refuses a size, which is a valid test too.
            self.chunk_size = (u32::from_be_bytes(*size) as usize).clamp(1, 1 << 24);
        }
    }

    /// Returns a header for the message, in any form that expresses the changes.
    fn header(&mut self, random: &mut Random, chunk_stream: u32, message: &Message) -> Header {
        let mut header = Header {
            format: Format::Full,
            chunk_stream,
            time: message.timestamp,
            length: message.payload.len() as u32,
            kind: message.kind,
            stream_id: message.stream_id,
        };
        if let Some(last) = self.last.get(&chunk_stream)
            && last.stream_id == header.stream_id
            && !random.one_in(3)
        {
            header.time = header.time.wrapping_sub(last.time);
            header.format = match last.length == header.length && last.kind == header.kind {
                false => Format::SameStream,
                true => random.pick(&FORMATS[1..]),
            };
        }
        self.last.insert(chunk_stream, Header { time: message.timestamp, ..header });
        header
    }
}

fn spoil(random: &mut Random, header: &mut Header) {
    match random.below(6) {
        0 => header.format = random.pick(FORMATS),
        1 => header.chunk_stream = random.pick(CHUNK_STREAMS),
        2 | 3 => {
            header.length = random.pick(LENGTHS);
            header.format = random.pick(&FORMATS[..2]);
        }
        4 => header.time = random.pick(&[0, 1, 0x00ff_fffe, 0x00ff_ffff, 0x0100_0000, u32::MAX]),
        _ => header.kind = MessageKind(random.byte() % 24),
    }
}
