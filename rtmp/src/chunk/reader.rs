//! Converts chunks to messages.

use std::collections::BTreeMap;

use super::{DEFAULT_CHUNK_SIZE, EXTENDED, Error, Format, Header, MAX_CHUNK_SIZE};
use crate::message::{Message, MessageKind};

/// The most chunk streams that a peer may use; real peers use about six.
const MAX_STREAMS: usize = 64;

/// Converts bytes to messages. It obeys Set Chunk Size and Abort, and also returns them.
///
/// It stores at most one message of `max_message` bytes per chunk stream.
#[derive(Debug)]
pub struct Reader {
    buffer: Vec<u8>,
    at: usize,
    chunk_size: usize,
    max_message: usize,
    streams: BTreeMap<u32, Stream>,
}

/// The state of a chunk stream.
#[derive(Debug)]
struct Stream {
    header: Header,
    /// The timestamp of the current message.
    timestamp: u32,
    /// Whether the last header with a timestamp had four more bytes of timestamp.
    extended: bool,
    payload: Vec<u8>,
    /// Whether a message has begun, even if none of its bytes has arrived.
    open: bool,
}

impl Reader {
    /// Returns a reader with the default chunk size that accepts messages up to `max_message` bytes.
    pub fn new(max_message: usize) -> Self {
        Self {
            buffer: Vec::new(),
            at: 0,
            chunk_size: DEFAULT_CHUNK_SIZE,
            max_message,
            streams: BTreeMap::new(),
        }
    }

    /// Adds bytes from the peer. Call [`next_message`](Self::next_message) afterwards until it returns `None`.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete message, or `None` if more bytes are needed. After an error the connection is
    /// unusable.
    pub fn next_message(&mut self) -> Result<Option<Message>, Error> {
        while let Some(complete) = self.next_chunk()? {
            if let Some(message) = complete {
                self.obey(&message)?;
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Reads one chunk. Returns `None` if the chunk is incomplete, and `Some(None)` if it did not complete a message.
    fn next_chunk(&mut self) -> Result<Option<Option<Message>>, Error> {
        let bytes = &self.buffer[self.at..];
        let Some((header, mut used)) = Header::decode(bytes) else { return Ok(None) };
        let id = header.chunk_stream;
        let known = self.streams.get(&id);
        if known.is_none() && self.streams.len() >= MAX_STREAMS {
            return Err(Error::TooManyStreams(MAX_STREAMS));
        }
        let Some(start) = Start::of(header, known)? else { return Ok(None) };
        if start.length() > self.max_message {
            return Err(Error::TooLong(start.length()));
        }
        let Some((time, extra)) = start.time(&bytes[used..], known) else { return Ok(None) };
        used += extra;
        let missing = start.length() - start.received;
        let take = missing.min(self.chunk_size);
        let Some(payload) = bytes.get(used..used + take) else { return Ok(None) };

        let stream = self.streams.entry(id).or_insert_with(|| Stream::new(header));
        stream.accept(start, time, payload);
        self.at += used + take;
        Ok(Some((take == missing).then(|| stream.complete())))
    }

    fn obey(&mut self, message: &Message) -> Result<(), Error> {
        let Some(number) = message.payload.first_chunk().map(|word| u32::from_be_bytes(*word)) else {
            return Ok(());
        };
        match message.kind {
            MessageKind::SET_CHUNK_SIZE if number == 0 || number > MAX_CHUNK_SIZE => {
                return Err(Error::ChunkSize(number));
            }
            MessageKind::SET_CHUNK_SIZE => self.chunk_size = number as usize,
            MessageKind::ABORT => {
                if let Some(stream) = self.streams.get_mut(&number) {
                    stream.payload.clear();
                    stream.open = false;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The header of a chunk, with the omitted fields filled in from the chunk stream.
struct Start {
    header: Header,
    format: Format,
    extended: bool,
    received: usize,
    goes_on: bool,
}

impl Start {
    fn of(header: Header, known: Option<&Stream>) -> Result<Option<Self>, Error> {
        let (id, format) = (header.chunk_stream, header.format);
        let mut start =
            Self { header, format, extended: header.time == EXTENDED, received: 0, goes_on: false };
        let Some(stream) = known else {
            return if format == Format::Full { Ok(Some(start)) } else { Err(Error::NoHeader(id)) };
        };
        if stream.open && format != Format::Nothing {
            return Err(Error::Interrupted(id));
        }
        let last = &stream.header;
        match format {
            Format::Full => {}
            Format::SameStream => start.header.stream_id = last.stream_id,
            Format::SameShape => start.header = Header { time: header.time, ..*last },
            Format::Nothing => {
                start.header = *last;
                start.extended = stream.extended;
                start.goes_on = stream.open;
                start.received = stream.payload.len();
            }
        }
        Ok(Some(start))
    }

    fn length(&self) -> usize {
        self.header.length as usize
    }

    /// Returns the full timestamp field, and how many bytes of it followed the header, or `None` if they have not
    /// arrived yet.
    fn time(&self, rest: &[u8], known: Option<&Stream>) -> Option<(u32, usize)> {
        if !self.extended {
            return Some((self.header.time, 0));
        }
        if self.format != Format::Nothing {
            return rest.first_chunk().map(|word| (u32::from_be_bytes(*word), 4));
        }
        // Most peers repeat an extended timestamp here, but some do not. The bytes are a timestamp if they equal the
        // last one.
        let last = known.map_or(0, |stream| stream.header.time);
        let expected = last.to_be_bytes();
        let there = rest.len().min(4);
        match rest[..there] == expected[..there] {
            true if there == 4 => Some((last, 4)),
            true => None,
            false => Some((last, 0)),
        }
    }
}

impl Stream {
    fn new(header: Header) -> Self {
        Self { header, timestamp: 0, extended: false, payload: Vec::new(), open: false }
    }

    fn accept(&mut self, start: Start, time: u32, payload: &[u8]) {
        if !start.goes_on {
            self.header = Header { time, ..start.header };
            self.extended = start.extended;
            self.timestamp = match start.format {
                Format::Full => time,
                _ => self.timestamp.wrapping_add(time),
            };
        }
        self.open = true;
        self.payload.extend_from_slice(payload);
    }

    fn complete(&mut self) -> Message {
        self.open = false;
        Message {
            kind: self.header.kind,
            stream_id: self.header.stream_id,
            timestamp: self.timestamp,
            payload: std::mem::take(&mut self.payload),
        }
    }
}
