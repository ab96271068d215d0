//! The content of an audio or video message: the first bytes of its payload, in their old form (Adobe FLV specification
//! 10.1, annex E.4) and in the form of Enhanced RTMP (Veovera, `enhanced-rtmp-v2`).
//!
//! - [`video`] and [`audio`] read a payload
//! - [`config`] reads codec, profile and size from a decoder's configuration

pub mod config;

/// The codec of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// FLV's CodecID or SoundFormat: 7 is H.264, 10 is AAC.
    Id(u8),
    /// The name that Enhanced RTMP uses, such as `hvc1`.
    FourCc([u8; 4]),
}

impl Codec {
    /// Returns whether the codec is H.264, in either form.
    pub fn is_avc(self) -> bool {
        matches!(self, Self::Id(AVC) | Self::FourCc([b'a', b'v', b'c', b'1']))
    }

    /// Returns whether the codec is HEVC, as in Enhanced RTMP or with the CodecID 12 of older cameras.
    pub fn is_hevc(self) -> bool {
        matches!(self, Self::Id(HEVC) | Self::FourCc([b'h', b'v', b'c', b'1']))
    }

    /// Returns whether the codec is AAC, in either form.
    pub fn is_aac(self) -> bool {
        matches!(self, Self::Id(AAC) | Self::FourCc([b'm', b'p', b'4', b'a']))
    }
}

/// The kind of content of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A decoder's configuration.
    Header,
    /// A frame of video or audio.
    Frame,
    /// Content that a decoder does not need: the end of a sequence, colour information, a command.
    Other,
}

/// A parsed video or audio message. Of several tracks, only track 0 is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'p> {
    /// The codec of track 0.
    pub codec: Codec,
    /// The kind of content of `data`.
    pub content: Content,
    /// Whether a decoder can begin with it; true for audio.
    pub is_key: bool,
    /// Time from decoding to presentation, in milliseconds; may be negative.
    pub composition: i32,
    /// The media, without the header bytes.
    pub data: &'p [u8],
    /// Whether the message has the form of Enhanced RTMP.
    pub is_enhanced: bool,
    /// Whether the message has more than one track.
    pub is_multitrack: bool,
}

/// FLV's CodecID of H.264.
pub const AVC: u8 = 7;
/// The CodecID that older cameras use for HEVC. FLV's specification does not have it.
pub const HEVC: u8 = 12;
/// FLV's SoundFormat of AAC.
pub const AAC: u8 = 10;
/// FLV's FrameType of a keyframe.
pub const KEY_FRAME: u8 = 1;
/// FLV's FrameType of a frame that is no keyframe.
pub const INTER_FRAME: u8 = 2;
/// FLV's FrameType of a command to the player.
pub const COMMAND_FRAME: u8 = 5;
/// The bit of the first byte of a video message in the form of Enhanced RTMP.
pub const EX_VIDEO: u8 = 0x80;
/// The SoundFormat of an audio message in the form of Enhanced RTMP.
pub const EX_AUDIO: u8 = 9;
const MOD_EX: u8 = 7;

/// Reads a video message. Returns `None` if it is too short, or has no track 0.
pub fn video(payload: &[u8]) -> Option<Payload<'_>> {
    let (&first, rest) = payload.split_first()?;
    if first & EX_VIDEO == 0 {
        return old_video(first, rest);
    }
    let frame_type = first >> 4 & 7;
    let Ex { codec, packet, data, is_multitrack } =
        extended(first & 0xf, rest, 6, frame_type == COMMAND_FRAME)?;
    let has_composition = matches!(&codec, b"avc1" | b"hvc1" | b"vvc1");
    let (content, composition, data) = match packet {
        0 => (Content::Header, 0, data),
        1 if has_composition => {
            let (composition, data) = data.split_first_chunk()?;
            (Content::Frame, signed(*composition), data)
        }
        1 | 3 => (Content::Frame, 0, data),
        _ => (Content::Other, 0, data),
    };
    let codec = Codec::FourCc(codec);
    let is_key = frame_type == KEY_FRAME;
    Some(Payload { codec, content, is_key, composition, data, is_enhanced: true, is_multitrack })
}

fn old_video(first: u8, rest: &[u8]) -> Option<Payload<'_>> {
    let codec = Codec::Id(first & 0xf);
    let (is_enhanced, is_multitrack, is_key) = (false, false, first >> 4 == KEY_FRAME);
    let plain =
        |content, data| Payload { codec, content, is_key, composition: 0, data, is_enhanced, is_multitrack };
    if first >> 4 == COMMAND_FRAME {
        return Some(plain(Content::Other, rest));
    }
    if !codec.is_avc() && !codec.is_hevc() {
        return Some(plain(Content::Frame, rest));
    }
    let (&[packet, c2, c1, c0], data) = rest.split_first_chunk()?;
    Some(match packet {
        0 => plain(Content::Header, data),
        1 => Payload { composition: signed([c2, c1, c0]), ..plain(Content::Frame, data) },
        _ => plain(Content::Other, data),
    })
}

/// Reads an audio message. Returns `None` if it is too short, or has no track 0.
pub fn audio(payload: &[u8]) -> Option<Payload<'_>> {
    let (&first, rest) = payload.split_first()?;
    let sound = |codec, content, data, is_enhanced, is_multitrack| Payload {
        codec,
        content,
        is_key: true,
        composition: 0,
        data,
        is_enhanced,
        is_multitrack,
    };
    match first >> 4 {
        EX_AUDIO => {
            let Ex { codec, packet, data, is_multitrack } = extended(first & 0xf, rest, 5, false)?;
            let content = match packet {
                0 => Content::Header,
                1 => Content::Frame,
                _ => Content::Other,
            };
            Some(sound(Codec::FourCc(codec), content, data, true, is_multitrack))
        }
        AAC => {
            let (&packet, data) = rest.split_first()?;
            let content = if packet == 0 { Content::Header } else { Content::Frame };
            Some(sound(Codec::Id(AAC), content, data, false, false))
        }
        // An empty message ends or pauses the audio.
        id if rest.is_empty() => Some(sound(Codec::Id(id), Content::Other, rest, false, false)),
        id => Some(sound(Codec::Id(id), Content::Frame, rest, false, false)),
    }
}

/// The extended header of either kind.
struct Ex<'p> {
    codec: [u8; 4],
    packet: u8,
    data: &'p [u8],
    is_multitrack: bool,
}

/// Reads `ExVideoTagHeader` or `ExAudioTagHeader`; `multitrack` is the packet type for several tracks.
fn extended(mut packet: u8, mut rest: &[u8], multitrack: u8, is_command: bool) -> Option<Ex<'_>> {
    while packet == MOD_EX {
        let (&size, after) = rest.split_first()?;
        let (size, after) = match usize::from(size) + 1 {
            256 => {
                let (size, after) = after.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*size)) + 1, after)
            }
            size => (size, after),
        };
        let (&next, after) = after.get(size..)?.split_first()?;
        (packet, rest) = (next & 0xf, after);
    }
    if is_command {
        return Some(Ex { codec: [0; 4], packet: u8::MAX, data: rest, is_multitrack: false });
    }
    if packet != multitrack {
        let (codec, data) = rest.split_first_chunk()?;
        return Some(Ex { codec: *codec, packet, data, is_multitrack: false });
    }
    let (&kind, mut rest) = rest.split_first()?;
    let (tracks, packet) = (kind >> 4, kind & 0xf);
    let mut codec = [0; 4];
    if tracks != 2 {
        let (common, after) = rest.split_first_chunk()?;
        (codec, rest) = (*common, after);
    }
    loop {
        if tracks == 2 {
            let (own, after) = rest.split_first_chunk()?;
            (codec, rest) = (*own, after);
        }
        let (&track, after) = rest.split_first()?;
        let (data, after) = match tracks {
            0 => (after, &[][..]),
            _ => {
                let (&[s2, s1, s0], after) = after.split_first_chunk()?;
                after.split_at_checked(u32::from_be_bytes([0, s2, s1, s0]) as usize)?
            }
        };
        if track == 0 {
            return Some(Ex { codec, packet, data, is_multitrack: true });
        }
        rest = after;
    }
}

/// Reads a signed number of 24 bits.
fn signed([b2, b1, b0]: [u8; 3]) -> i32 {
    i32::from_be_bytes([b2, b1, b0, 0]) >> 8
}

#[cfg(test)]
#[path = "media/tests.rs"]
mod tests;
