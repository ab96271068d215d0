//! FLV tags: what a `.flv` file holds between its header and its end (Adobe FLV specification 10.1, annex E).

use crate::message::MessageKind;

/// Bytes of the file header with the tag size that follows it.
const FILE_HEADER: usize = 13;
/// Bytes before a tag's payload.
const TAG_HEADER: usize = 11;
/// Bytes behind it: the tag's size once more.
const TRAILER: usize = 4;

/// What a tag carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TagKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// `onMetaData` and the like, in AMF 0.
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
    /// The kind of tag that holds a message's payload; `None` for messages that are not media.
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
    /// What it carries.
    pub kind: TagKind,
    /// Milliseconds from the file's beginning.
    pub timestamp: u32,
    /// Its bytes, as they are in an RTMP message.
    pub payload: Vec<u8>,
}

impl Tag {
    /// Whether this is a decoder's configuration (AVC or AAC sequence header) or metadata, which a stream repeats at its start.
    pub fn is_header(&self) -> bool {
        match (self.kind, self.payload.as_slice()) {
            (TagKind::Script, _) => true,
            (TagKind::Video, [first, 0, ..]) => first & 0x0f == 7,
            (TagKind::Audio, [first, 0, ..]) => first >> 4 == 10,
            _ => false,
        }
    }
}

/// Why bytes are not FLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file does not begin like one.
    #[error("not an flv file")]
    Signature,
    /// A tag that is neither audio, video nor script, or is encrypted.
    #[error("unknown flv tag type {0}")]
    TagType(u8),
}

/// Takes a file's bytes in pieces of any size, gives tags.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    at: usize,
    started: bool,
}

impl Reader {
    /// A reader at the beginning of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes; then ask for [`next_tag`](Self::next_tag) until there is none.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole tag, `None` when more bytes are needed.
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

/// Appends a tag; a payload is cut at 2^24-1 bytes.
pub fn write_tag(tag: &Tag, out: &mut Vec<u8>) {
    let length = tag.payload.len().min(0x00ff_ffff);
    let [t3, t2, t1, t0] = tag.timestamp.to_be_bytes();
    out.push(MessageKind::from(tag.kind).0);
    out.extend(&(length as u32).to_be_bytes()[1..]);
    out.extend([t2, t1, t0, t3, 0, 0, 0]);
    out.extend_from_slice(&tag.payload[..length]);
    out.extend(((TAG_HEADER + length) as u32).to_be_bytes());
}
