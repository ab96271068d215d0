//! Codec headers and metadata that a publisher sends before its stream is live.
//!
//! Nothing of a stream is written or shown before nginx-rtmp has accepted the publish, which takes seconds where
//! `on_publish` is slow. Pictures and sound of that time are dropped, but headers come only once: without them
//! nobody could ever decode the stream. [`Early`] keeps the newest header of each kind, within [`MAX_BYTES`].

use super::bytes::Bytes;
use super::{amf, kind};

/// The most that is kept of a connection, in bytes.
pub const MAX_BYTES: usize = 65_536;

/// The longest metadata that is kept, in bytes.
const MAX_METADATA: usize = 32_768;

/// The longest codec header that is kept, in bytes.
const MAX_HEADER: usize = 8_192;

/// How many headers are kept: a stream of several tracks has a header for each.
const MAX_KEPT: usize = 16;

/// What a publisher has sent too early. Empty, it holds no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Early {
    kept: Vec<Header>,
}

/// A message that has to reach nginx-rtmp before the stream's first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type of the message.
    pub kind: u8,
    /// The whole message.
    pub body: Vec<u8>,
    slot: Slot,
}

/// What a newer header replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Metadata,
    /// By packet type and track; both are 0 where the message has neither.
    Audio(u8, u8),
    Video(u8, u8),
}

impl Slot {
    const fn longest(self) -> usize {
        match self {
            Slot::Metadata => MAX_METADATA,
            Slot::Audio(..) | Slot::Video(..) => MAX_HEADER,
        }
    }
}

impl Early {
    /// Keeps a message if it is a header or metadata, in the place of an older one. Returns whether it was a header;
    /// one that is too long is dropped, and so is the older one, which does not fit the frames that follow.
    pub fn offer<'a>(&mut self, kind: u8, body: impl Iterator<Item = &'a [u8]> + Clone) -> bool {
        let Some(slot) = slot_of(kind, body.clone()) else { return false };
        self.kept.retain(|header| header.slot != slot);
        let len: usize = body.clone().map(<[u8]>::len).sum();
        let fits = len <= slot.longest() && self.len() + len <= MAX_BYTES && self.kept.len() < MAX_KEPT;
        if fits {
            let mut bytes = Vec::with_capacity(len);
            body.for_each(|piece| bytes.extend_from_slice(piece));
            self.kept.push(Header { kind, body: bytes, slot });
        }
        true
    }

    /// Whether nothing is kept.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Hands the headers out in the order in which they came, once.
    pub fn take(&mut self) -> Vec<Header> {
        std::mem::take(&mut self.kept)
    }

    fn len(&self) -> usize {
        self.kept.iter().map(|header| header.body.len()).sum()
    }
}

fn slot_of<'a>(kind: u8, body: impl Iterator<Item = &'a [u8]> + Clone) -> Option<Slot> {
    let mut bytes = Bytes::new(body.clone());
    match kind {
        kind::AUDIO => audio(&mut bytes),
        kind::VIDEO => video(&mut bytes),
        _ => amf::name(kind, bytes).filter(is_metadata).map(|_| Slot::Metadata),
    }
}

/// The two commands that nginx-rtmp's codec module listens to, in any case as nginx-rtmp finds them.
fn is_metadata(name: &amf::Name) -> bool {
    name.is("onMetaData") || name.is("@setDataFrame")
}

/// A header of AAC (FLV 10.1, E.4.2.1), or one of Enhanced RTMP (v2, `ExAudioTagHeader`).
fn audio<'a>(body: &mut Bytes<'a, impl Iterator<Item = &'a [u8]>>) -> Option<Slot> {
    const AAC: u8 = 10;
    const EXTENDED: u8 = 9;
    let first = body.byte()?;
    match first >> 4 {
        AAC => (body.byte()? == 0).then_some(Slot::Audio(0, 0)),
        EXTENDED => {
            let (packet, track) = extended(first & 0x0f, packet::AUDIO_MULTITRACK, body)?;
            let header = matches!(packet, packet::SEQUENCE_START | packet::CHANNELS);
            header.then_some(Slot::Audio(packet, track))
        }
        _ => None,
    }
}

/// A header of AVC (FLV 10.1, E.4.3.1), of what encoders send in its manner, or one of Enhanced RTMP (v2,
/// `ExVideoTagHeader`).
fn video<'a>(body: &mut Bytes<'a, impl Iterator<Item = &'a [u8]>>) -> Option<Slot> {
    /// AVC; HEVC and AV1 as some encoders number them.
    const WITH_HEADER: [u8; 3] = [7, 12, 13];
    const EXTENDED: u8 = 0x80;
    let first = body.byte()?;
    if first & EXTENDED == 0 {
        let header = WITH_HEADER.contains(&(first & 0x0f)) && body.byte()? == 0;
        return header.then_some(Slot::Video(0, 0));
    }
    let (packet, track) = extended(first & 0x0f, packet::VIDEO_MULTITRACK, body)?;
    let header = matches!(packet, packet::SEQUENCE_START | packet::METADATA | packet::MPEG2_START);
    header.then_some(Slot::Video(packet, track))
}

/// Packet types of Enhanced RTMP.
mod packet {
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CHANNELS: u8 = 4;
    pub(super) const METADATA: u8 = 4;
    pub(super) const MPEG2_START: u8 = 5;
    pub(super) const AUDIO_MULTITRACK: u8 = 5;
    pub(super) const VIDEO_MULTITRACK: u8 = 6;
    /// Says more about the packet whose type follows.
    pub(super) const MODIFIER: u8 = 7;
}

/// The packet type and the track of an extended message. A message of many tracks counts by its first.
fn extended<'a>(
    mut packet: u8,
    multitrack: u8,
    body: &mut Bytes<'a, impl Iterator<Item = &'a [u8]>>,
) -> Option<(u8, u8)> {
    while packet == packet::MODIFIER {
        let length = match usize::from(body.byte()?) + 1 {
            256 => usize::from(u16::from_be_bytes(body.array()?)) + 1,
            length => length,
        };
        body.skip(length)?;
        packet = body.byte()? & 0x0f;
    }
    if packet != multitrack {
        return Some((packet, 0));
    }
    let kinds = body.byte()?;
    // The codec stands before the first track, or with it.
    body.skip(4)?;
    Some((kinds & 0x0f, body.byte()?))
}

#[cfg(test)]
mod tests;
