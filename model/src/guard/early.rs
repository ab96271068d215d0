//! Codec headers and metadata that a publisher sends before its stream is live.
//!
//! Weir writes and shows nothing of a stream before nginx-rtmp has accepted the publish, which takes seconds if
//! `on_publish` is slow. Weir drops audio and video frames of that time, but an encoder sends headers only once, and no
//! player can decode the stream without them. [`Early`] keeps the newest header of each kind, within [`MAX_BYTES`].

use super::bytes::Bytes;
use super::{amf, kind};

/// The most bytes kept for one connection.
pub const MAX_BYTES: usize = 65_536;

/// The longest metadata that is kept, in bytes.
const MAX_METADATA: usize = 32_768;

/// The longest codec header that is kept, in bytes.
const MAX_HEADER: usize = 8_192;

/// The most headers that are kept. A stream with several tracks has one header per track.
const MAX_KEPT: usize = 16;

/// Headers that a publisher has sent too early. An empty value holds no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Early {
    kept: Vec<Header>,
}

/// A message that must reach nginx-rtmp before the stream's first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type of the message.
    pub kind: u8,
    /// The whole message.
    pub body: Vec<u8>,
    slot: Slot,
}

/// Identifies which older header a newer one replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Metadata,
    /// Packet type and track; both are 0 if the message has neither.
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
    /// Keeps a message if it is a header or metadata, and replaces the older one. Returns whether the message was a
    /// header. If a header is too long, both it and the older one are dropped, because the older one does not fit the
    /// frames that follow.
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

    /// Returns whether no header is kept.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Returns the headers in the order of their arrival, and clears them.
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

/// Returns whether the name is one of the two that nginx-rtmp's codec module handles; nginx-rtmp ignores the case of
/// letters.
fn is_metadata(name: &amf::Name) -> bool {
    name.is("onMetaData") || name.is("@setDataFrame")
}

/// Recognises a header of AAC (FLV 10.1, E.4.2.1), or one of Enhanced RTMP (v2, `ExAudioTagHeader`).
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

/// Recognises a header of AVC (FLV 10.1, E.4.3.1), of codecs that encoders send in the same form, or one of Enhanced
/// RTMP (v2, `ExVideoTagHeader`).
fn video<'a>(body: &mut Bytes<'a, impl Iterator<Item = &'a [u8]>>) -> Option<Slot> {
    /// AVC, and the numbers that some encoders use for HEVC and AV1.
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
    /// Adds information to the packet whose type follows.
    pub(super) const MODIFIER: u8 = 7;
}

/// Returns the packet type and the track of an extended message. For a message of several tracks, this is the first
/// track.
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
    // The codec comes before the first track, or with it.
    body.skip(4)?;
    Some((kinds & 0x0f, body.byte()?))
}

#[cfg(test)]
mod tests;
