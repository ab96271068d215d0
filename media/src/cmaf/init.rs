//! Reads codec, size and time scale from an initialization segment.

use super::Error;
use super::boxes::{Cursor, children, descend, find};

/// The facts about a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// Units per second of the times in fragments.
    pub timescale: u32,
    /// As in `CODECS` (RFC 6381): `avc1.64001f`, `mp4a.40.2`.
    pub codec: String,
    /// The kind of media.
    pub kind: TrackKind,
}

/// Video or audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackKind {
    /// Video, with its size in pixels.
    Video {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// Audio, as the sample entry describes it.
    Audio {
        /// Hz
        sample_rate: u32,
        /// Number of channels; 1 is mono.
        channels: u32,
    },
}

/// Adds the brand `cmfc` to `ftyp` (ISO/IEC 23000-19, 7.2). ffmpeg adds the brand only with a flag that also makes its
/// composition offsets negative, which ffmpeg's own demuxer reads as a delay of the video.
pub fn brand(mut init: Vec<u8>) -> Vec<u8> {
    const BRAND: [u8; 4] = *b"cmfc";
    let Some((head, rest)) = init.split_first_chunk_mut::<8>() else { return init };
    let [s3, s2, s1, s0, kind @ ..] = *head;
    let length = u32::from_be_bytes([s3, s2, s1, s0]);
    let end = length as usize;
    if kind != *b"ftyp" || end < 8 || rest.len() + 8 < end {
        return init;
    }
    head[..4].copy_from_slice(&(length + BRAND.len() as u32).to_be_bytes());
    init.splice(end..end, BRAND);
    init
}

/// Reads `ftyp` and `moov`.
pub fn parse(bytes: &[u8]) -> Result<Init, Error> {
    let media = descend(bytes, &["moov", "trak", "mdia"])?;
    let mut header = Cursor::new(find(media, "mdhd")?, "mdhd");
    let (version, _) = header.full()?;
    header.by_version(version)?;
    header.by_version(version)?;
    let timescale = header.u32()?;
    if timescale == 0 {
        return Err(Error::Missing("mdhd"));
    }
    let mut descriptions = Cursor::new(descend(media, &["minf", "stbl", "stsd"])?, "stsd");
    descriptions.full()?;
    descriptions.u32()?;
    let (format, entry) = children(descriptions.rest()).next().ok_or(Error::Missing("stsd"))?;
    let (kind, codec) = match &format {
        b"avc1" | b"avc3" => video(&format, entry)?,
        b"mp4a" => audio(entry)?,
        _ => return Err(Error::Codec),
    };
    Ok(Init { timescale, codec, kind })
}

/// Reads a VisualSampleEntry: size, and profile, constraints and level of `avcC`.
fn video(format: &[u8; 4], entry: &[u8]) -> Result<(TrackKind, String), Error> {
    let mut cursor = Cursor::new(entry, "avc1");
    cursor.take(24)?;
    let (width, height) = (u32::from(cursor.u16()?), u32::from(cursor.u16()?));
    cursor.take(50)?;
    let mut configuration = Cursor::new(find(cursor.rest(), "avcC")?, "avcC");
    configuration.u8()?;
    let profile = configuration.take(3)?;
    let codec =
        format!("{}.{:02x}{:02x}{:02x}", String::from_utf8_lossy(format), profile[0], profile[1], profile[2]);
    Ok((TrackKind::Video { width, height }, codec))
}

/// Reads an AudioSampleEntry: channels, rate, and the object type of `esds`.
fn audio(entry: &[u8]) -> Result<(TrackKind, String), Error> {
    let mut cursor = Cursor::new(entry, "mp4a");
    cursor.take(16)?;
    let channels = u32::from(cursor.u16()?);
    cursor.take(6)?;
    let sample_rate = u32::from(cursor.u16()?);
    cursor.u16()?;
    let object_type = audio_object_type(find(cursor.rest(), "esds")?)?;
    Ok((TrackKind::Audio { sample_rate, channels }, format!("mp4a.40.{object_type}")))
}

/// Returns the first five bits of the AudioSpecificConfig, which is in the descriptor with tag 5 (ISO/IEC 14496-1,
/// 7.2.6).
fn audio_object_type(esds: &[u8]) -> Result<u32, Error> {
    let mut cursor = Cursor::new(esds, "esds");
    cursor.full()?;
    loop {
        let tag = cursor.u8()?;
        // The length has seven bits per byte. The content is searched, not skipped.
        while cursor.u8()? & 0x80 != 0 {}
        match tag {
            3 => {
                cursor.take(3)?;
            }
            4 => {
                cursor.take(13)?;
            }
            5 => {
                let first = u32::from(cursor.u8()?);
                return Ok(match first >> 3 {
                    31 => 32 + ((first & 7) << 3 | u32::from(cursor.u8()?) >> 5),
                    short => short,
                });
            }
            _ => return Err(Error::Missing("esds")),
        }
    }
}
