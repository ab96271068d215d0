//! Names of codecs for `CODECS` of HLS and for the types of Media Source Extensions (RFC 6381; ISO/IEC 14496-15, annex
//! E; the bindings of AV1 and VP9).

use std::fmt::Write;

use weir_rtmp::media::Codec;

use crate::run::cut::Header;

/// Returns the name of a video codec, or `None` if the configuration has too few facts.
pub fn video(header: &Header) -> Option<String> {
    let data = header.data.as_slice();
    match &header.codec {
        codec if codec.is_avc() => {
            let &[_, profile, constraints, level, ..] = data else { return None };
            Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"))
        }
        codec if codec.is_hevc() => hevc(data),
        Codec::FourCc([b'a', b'v', b'0', b'1']) => {
            let &[_, first, second, ..] = data else { return None };
            let tier = if second & 0x80 == 0 { 'M' } else { 'H' };
            let depth = match second >> 5 & 3 {
                0 | 1 => 8,
                2 => 10,
                _ => 12,
            };
            Some(format!("av01.{}.{:02}{tier}.{depth:02}", first >> 5, first & 0x1f))
        }
        Codec::FourCc([b'v', b'p', b'0', b'9']) => {
            let &[_, _, _, _, profile, level, depth, ..] = data else { return None };
            Some(format!("vp09.{profile:02}.{level:02}.{:02}", depth >> 4))
        }
        _ => None,
    }
}

fn hevc(data: &[u8]) -> Option<String> {
    let &[_, first, c0, c1, c2, c3, ref constraints @ ..] = data else { return None };
    let (constraints, rest) = constraints.split_first_chunk::<6>()?;
    let space = ["", "A", "B", "C"][usize::from(first >> 6)];
    let tier = if first & 0x20 == 0 { 'L' } else { 'H' };
    let compatible = u32::from_be_bytes([c0, c1, c2, c3]).reverse_bits();
    let mut text = format!("hvc1.{space}{}.{compatible:X}.{tier}{}", first & 0x1f, rest.first()?);
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        let _ = write!(text, ".{byte:X}");
    }
    Some(text)
}

/// Returns the name of an audio codec.
pub fn audio(header: &Header) -> Option<String> {
    match &header.codec {
        codec if codec.is_aac() => Some(format!("mp4a.40.{}", Aac::read(&header.data)?.object)),
        Codec::FourCc([b'O', b'p', b'u', b's']) => Some("opus".into()),
        Codec::FourCc([b'f', b'L', b'a', b'C']) => Some("flac".into()),
        Codec::FourCc([b'.', b'm', b'p', b'3']) | Codec::Id(2 | 14) => Some("mp4a.6b".into()),
        _ => None,
    }
}

/// The content of an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aac {
    /// Audio object type: 2 is AAC-LC.
    pub object: u8,
    /// Sample rate of the coded frames, in Hz.
    pub rate: u32,
    /// Samples per frame.
    pub samples: u32,
}

impl Aac {
    /// Reads the beginning of the configuration.
    pub fn read(data: &[u8]) -> Option<Self> {
        const RATES: [u32; 13] = [
            96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000,
            7350,
        ];
        let word = data.iter().take(8).fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        let length = data.len().min(8) * 8;
        let mut at = 0;
        let mut bits = |count: usize| {
            at += count;
            length.checked_sub(at).map(|left| word >> left & ((1 << count) - 1))
        };
        let object = match bits(5)? {
            31 => 32 + bits(6)?,
            short => short,
        };
        let rate = match bits(4)? {
            15 => u32::try_from(bits(24)?).ok()?,
            index => *RATES.get(usize::try_from(index).ok()?)?,
        };
        bits(4)?;
        // frameLengthFlag of GASpecificConfig.
        let is_short = matches!(object, 1..=4) && bits(1)? == 1;
        let samples = if is_short { 960 } else { 1024 };
        (rate > 0).then_some(Self { object: u8::try_from(object).ok()?, rate, samples })
    }
}
