//! The messages of a stream since its last keyframe, as bytes for players that join.
//!
//! A player of a live stream must wait for the next keyframe before it can show video. If a server keeps the messages
//! since the last keyframe and sends them to a new player, the player shows video immediately.
//!
//! The bytes are chunks as nginx-rtmp writes them (ngx_rtmp_prepare_message): absolute for the first message of a chunk
//! stream, relative for the others. They are stored in blocks of a fixed size, which players share while they read
//! them.

use std::{cell::Cell, rc::Rc};

use crate::{
    chunk::{Format, Header},
    media::{self, Content},
    message::MessageKind,
};

/// Size of a block, in bytes.
pub const BLOCK: usize = 64 << 10;
/// The number of bytes of each message that are examined.
const HEAD: usize = 64;

/// The format in which a server writes to its players.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// Bytes of a chunk, without its header.
    pub chunk_size: usize,
    /// Whether every chunk of a message repeats an extended timestamp.
    pub repeats_time: bool,
    /// The chunk streams of video and of audio.
    pub chunk_streams: [u32; 2],
    /// Whether audio uses the chunk stream of video.
    pub interleaved: bool,
    /// Whether an empty audio message follows the header of video.
    pub announces_audio: bool,
    /// The message stream of all messages to the player.
    pub message_stream: u32,
}

/// A message of audio or video, in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Media<I> {
    /// Whether it is video.
    pub is_video: bool,
    /// Timestamp in milliseconds.
    pub timestamp: u32,
    /// The payload.
    pub pieces: I,
}

/// The newest configurations, which decoders need before the first message.
#[derive(Clone, Copy, Debug)]
pub struct Headers<I> {
    /// The configuration of the video.
    pub video: Option<I>,
    /// The configuration of the audio.
    pub audio: Option<I>,
}

/// A block that players may be reading. Written bytes never change.
type Block = Rc<[Cell<u8>]>;

/// The messages of one publisher since its last keyframe.
#[derive(Debug)]
pub struct Gop {
    /// The most bytes to keep.
    most: usize,
    blocks: Vec<Block>,
    /// Bytes in the last block.
    filled: usize,
    /// Blocks that no player reads any more.
    spare: Vec<Block>,
    /// Timestamps of the last messages of video and audio; `None` before the first.
    last: [Option<u32>; 2],
    /// Number of the keyframe.
    number: u64,
    /// Buffer for the headers of chunks.
    header: Vec<u8>,
}

/// Whether a message was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The message was kept, or is not needed.
    Yes,
    /// No message is kept until the next keyframe, because the messages since the last one are larger than allowed.
    TooLarge,
}

/// The bytes for a new player. It keeps their blocks alive.
#[derive(Debug)]
pub struct Start {
    blocks: Vec<Block>,
    filled: usize,
    /// Timestamps of the last messages of video and audio; `None` where there is none.
    pub last: [Option<u32>; 2],
    /// Number of the keyframe that it begins with.
    pub number: u64,
}

impl Gop {
    /// Returns an empty buffer that keeps at most `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let (blocks, spare, header) = (Vec::new(), Vec::new(), Vec::new());
        Self { most, blocks, filled: 0, spare, last: [None; 2], number: 0, header }
    }

    /// Adds the next message of the publisher.
    pub fn push<'m, I>(&mut self, wire: &Wire, media: &Media<I>, headers: &Headers<I>) -> Kept
    where
        I: Iterator<Item = &'m [u8]> + Clone,
    {
        let (mut head, mut length) = ([0; HEAD], 0);
        for byte in media.pieces.clone().flatten().take(HEAD) {
            head[length] = *byte;
            length += 1;
        }
        let read = if media.is_video { media::video } else { media::audio };
        let read = read(&head[..length]).map(|read| (read.content, read.is_key));
        match (media.is_video, read) {
            (true, Some((Content::Header, _))) => {
                self.clear();
                return Kept::Yes;
            }
            (true, Some((Content::Frame, true))) => self.restart(),
            // nginx-rtmp sends the newest header before the first audio message.
            (false, Some((Content::Header, _))) if self.last[wire.place(false)].is_none() => {
                return Kept::Yes;
            }
            _ => {}
        }
        if self.blocks.is_empty() {
            return Kept::Yes;
        }
        if self.last[wire.place(media.is_video)].is_none() {
            self.begin(wire, media, headers);
        } else {
            self.write(wire, media.is_video, media.timestamp, media.pieces.clone());
        }
        if self.bytes() > self.most {
            self.clear();
            return Kept::TooLarge;
        }
        Kept::Yes
    }

    /// Drops all messages until the next keyframe.
    pub fn clear(&mut self) {
        self.blocks.clear();
        self.spare.clear();
        (self.filled, self.last) = (0, [None; 2]);
    }

    /// Returns how many bytes are stored.
    #[must_use]
    pub fn bytes(&self) -> usize {
        (self.blocks.len().saturating_sub(1)) * BLOCK + self.filled
    }

    /// Returns the bytes for a player that joins now, or `None` if there are none.
    #[must_use]
    pub fn start(&self) -> Option<Start> {
        self.last[0]?;
        Some(Start { blocks: self.blocks.clone(), filled: self.filled, last: self.last, number: self.number })
    }

    /// Restarts at a keyframe, and reuses blocks that no player reads.
    fn restart(&mut self) {
        let before = std::mem::take(&mut self.blocks);
        self.spare.extend(before.into_iter().filter(|block| Rc::strong_count(block) == 1));
        let block = self.block();
        self.blocks.push(block);
        (self.filled, self.last) = (0, [None; 2]);
        self.number += 1;
    }

    /// Writes the first message of a chunk stream.
    fn begin<'m, I>(&mut self, wire: &Wire, media: &Media<I>, headers: &Headers<I>)
    where
        I: Iterator<Item = &'m [u8]> + Clone,
    {
        let (own, other) = match media.is_video {
            true => (&headers.video, &headers.audio),
            false => (&headers.audio, &headers.video),
        };
        let time = media.timestamp;
        // On a shared chunk stream, both headers come first.
        let other = other.as_ref().filter(|_| wire.interleaved);
        for (is_video, header) in [(media.is_video, own.as_ref()), (!media.is_video, other)] {
            if let Some(header) = header {
                self.write(wire, is_video, time, header.clone());
            }
        }
        if wire.announces_audio && media.is_video && other.is_none() {
            let announced = Header { kind: MessageKind::AUDIO, ..wire.header(true, time, None, 0) };
            self.head(&announced);
        }
        self.write(wire, media.is_video, time, media.pieces.clone());
    }

    /// Appends a message: absolute if it is the first of its chunk stream.
    fn write<'m>(
        &mut self,
        wire: &Wire,
        is_video: bool,
        timestamp: u32,
        pieces: impl Iterator<Item = &'m [u8]> + Clone,
    ) {
        let before = self.last[wire.place(is_video)].replace(timestamp);
        let length = pieces.clone().map(<[u8]>::len).sum();
        let header = wire.header(is_video, timestamp, before, length);
        self.head(&header);
        let mut room = wire.chunk_size;
        for mut piece in pieces {
            while !piece.is_empty() {
                if room == 0 {
                    let time = if wire.repeats_time { header.time } else { 0 };
                    self.head(&Header { format: Format::Nothing, time, ..header });
                    room = wire.chunk_size;
                }
                let (part, rest) = piece.split_at(piece.len().min(room));
                self.put(part);
                room -= part.len();
                piece = rest;
            }
        }
    }

    fn head(&mut self, header: &Header) {
        let mut bytes = std::mem::take(&mut self.header);
        header.encode(&mut bytes);
        self.put(&bytes);
        bytes.clear();
        self.header = bytes;
    }

    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.filled == BLOCK {
                let block = self.block();
                self.blocks.push(block);
                self.filled = 0;
            }
            let Some(block) = self.blocks.last() else { return };
            let room = &block[self.filled..];
            let (part, rest) = bytes.split_at(bytes.len().min(room.len()));
            room.iter().zip(part).for_each(|(cell, byte)| cell.set(*byte));
            self.filled += part.len();
            bytes = rest;
        }
    }

    fn block(&mut self) -> Block {
        self.spare.pop().unwrap_or_else(|| (0..BLOCK).map(|_| Cell::new(0)).collect())
    }
}

impl Wire {
    /// Returns the index of the chunk stream.
    fn place(&self, is_video: bool) -> usize {
        usize::from(!is_video && !self.interleaved)
    }

    /// Returns the header of a message, relative to the previous one on its chunk stream, if there is one.
    fn header(&self, is_video: bool, timestamp: u32, before: Option<u32>, length: usize) -> Header {
        Header {
            format: if before.is_some() { Format::SameStream } else { Format::Full },
            chunk_stream: self.chunk_streams[self.place(is_video)],
            time: timestamp.wrapping_sub(before.unwrap_or(0)),
            length: u32::try_from(length).unwrap_or(u32::MAX),
            kind: if is_video { MessageKind::VIDEO } else { MessageKind::AUDIO },
            stream_id: self.message_stream,
        }
    }
}

impl Start {
    /// Returns the bytes, block by block.
    pub fn parts(&self) -> impl Iterator<Item = &[Cell<u8>]> {
        let (last, before) =
            self.blocks.split_last().map_or((None, &[][..]), |(last, before)| (Some(last), before));
        before.iter().map(|block| &**block).chain(last.map(|block| &block[..self.filled]))
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.parts().map(<[_]>::len).sum()
    }
}

#[cfg(test)]
mod tests;
