//! FLV tags: the content of a `.flv` file between its header and its end (Adobe FLV specification 10.1, annex E).

use crate::media::{AAC, AVC};
use crate::message::MessageKind;

/// Length of the file header and the tag size after it, in bytes.
const FILE_HEADER: usize = 13;
/// Bytes before a tag's payload.
const TAG_HEADER: usize = 11;
/// Bytes after it: the tag's size once more.
const TRAILER: usize = 4;

/// The content of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TagKind {
    /// Audio: a frame, or the configuration of a decoder.
    Audio,
    /// Video: a frame, or the configuration of a decoder.
    Video,
    /// Metadata such as `onMetaData`, in AMF 0.
    Script,
}

impl From<TagKind> for MessageKind {
    fn from(kind: TagKind) -> Self {
        match kind {
            TagKind::Audio => Self::AUDIO,
            TagKind::Video => Self::VIDEO,
            TagKind::Script => Self::DATA,
        }
    }
}

impl TagKind {
    /// Returns the kind of tag for a message's payload, or `None` for messages that are not media.
    pub fn of(kind: MessageKind) -> Option<Self> {
        match kind {
            MessageKind::AUDIO => Some(Self::Audio),
            MessageKind::VIDEO => Some(Self::Video),
            MessageKind::DATA => Some(Self::Script),
            _ => None,
        }
    }
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The kind of its content.
    pub kind: TagKind,
    /// Milliseconds from the file's beginning.
    pub timestamp: u32,
    /// The payload, the same as in an RTMP message.
    pub payload: Vec<u8>,
}

impl Tag {
    /// Returns whether this is a decoder's configuration (AVC or AAC sequence header) or metadata, which a stream
    /// repeats at its start.
    pub fn is_header(&self) -> bool {
        match (self.kind, self.payload.as_slice()) {
            (TagKind::Script, _) => true,
            (TagKind::Video, [first, 0, ..]) => first & 0x0f == AVC,
            (TagKind::Audio, [first, 0, ..]) => first >> 4 == AAC,
            _ => false,
        }
    }
}

/// Why bytes are not FLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file does not begin with the FLV signature.
    #[error("not an flv file")]
    Signature,
    /// A tag is neither audio, video nor script, or is encrypted.
    #[error("unknown flv tag type {0}")]
    TagType(u8),
}

/// Reads a file's bytes in pieces of any size and returns tags.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    at: usize,
    started: bool,
}

impl Reader {
    /// Returns a reader at the beginning of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes. Call [`next_tag`](Self::next_tag) afterwards until it returns `None`.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete tag, or `None` if more bytes are needed.
    pub fn next_tag(&mut self) -> Result<Option<Tag>, Error> {
        if !self.started {
            let Some(header) = self.buffer.first_chunk::<FILE_HEADER>() else { return Ok(None) };
            if !header.starts_with(b"FLV\x01") || header[5..9] != [0, 0, 0, 9] {
                return Err(Error::Signature);
            }
            self.at = FILE_HEADER;
            self.started = true;
        }
        let rest = &self.buffer[self.at..];
        let Some(&[kind, l2, l1, l0, t2, t1, t0, t3, ..]) = rest.first_chunk::<TAG_HEADER>() else {
            return Ok(None);
        };
        let kind = TagKind::of(MessageKind(kind)).ok_or(Error::TagType(kind))?;
        let end = TAG_HEADER + u32::from_be_bytes([0, l2, l1, l0]) as usize;
        if rest.len() < end + TRAILER {
            return Ok(None);
        }
        let payload = rest[TAG_HEADER..end].to_vec();
        self.at += end + TRAILER;
        Ok(Some(Tag { kind, timestamp: u32::from_be_bytes([t3, t2, t1, t0]), payload }))
    }
}

/// Appends the file header for a file with audio and video.
pub fn write_header(out: &mut Vec<u8>) {
    out.extend(b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
}

/// Appends a tag, and cuts its payload at 2^24-1 bytes.
pub fn write_tag(tag: &Tag, out: &mut Vec<u8>) {
    let length = tag.payload.len().min(0x00ff_ffff);
    let [t3, t2, t1, t0] = tag.timestamp.to_be_bytes();
    out.push(MessageKind::from(tag.kind).0);
    out.extend(&(length as u32).to_be_bytes()[1..]);
    out.extend([t2, t1, t0, t3, 0, 0, 0]);
    out.extend_from_slice(&tag.payload[..length]);
    out.extend(((TAG_HEADER + length) as u32).to_be_bytes());
}
