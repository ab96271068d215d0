//! Reads codec, profile and size from a decoder's configuration.
//!
//! `avcC` and `hvcC` are in ISO/IEC 14496-15, the SPS of HEVC in ITU-T H.265, 7.3.2.2, `av1C` in the AV1 codec ISO media file
//! format binding, and its sequence header in the AV1 bitstream specification, 5.5.

use super::Codec;

pub mod avc;

/// The facts from a configuration; 0 means unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The profile number of the codec.
    pub profile: u8,
    /// Ten times the level.
    pub level: u8,
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
}

/// Reads the configuration of a codec. Unreadable facts are 0.
pub fn shape(codec: Codec, configuration: &[u8]) -> Shape {
    let shape = match codec {
        _ if codec.is_hevc() => hevc(configuration),
        _ if codec.is_avc() => avc(configuration),
        Codec::FourCc([b'a', b'v', b'0', b'1']) => av1(configuration),
        Codec::FourCc(_) | Codec::Id(_) => None,
    };
    shape.unwrap_or_default()
}

/// Reads profile and level. nginx-rtmp reads the size of H.264.
fn avc(configuration: &[u8]) -> Option<Shape> {
    let &[_, profile, _, level, ..] = configuration else { return None };
    Some(Shape { profile, level, ..Shape::default() })
}

fn hevc(configuration: &[u8]) -> Option<Shape> {
    let (profile, level) = (configuration.get(1)? & 0x1f, configuration.get(12)? / 3);
    let (width, height) = hevc_sps(configuration).and_then(|sps| hevc_size(&sps)).unwrap_or_default();
    Some(Shape { profile, level, width, height })
}

/// Returns the first sequence parameter set of `hvcC`, without emulation prevention.
fn hevc_sps(configuration: &[u8]) -> Option<Vec<u8>> {
    const SPS: u8 = 33;
    let (&arrays, mut rest) = configuration.get(22..)?.split_first()?;
    for _ in 0..arrays {
        let (&[kind, n1, n0], after) = rest.split_first_chunk()?;
        rest = after;
        for _ in 0..u16::from_be_bytes([n1, n0]) {
            let (length, after) = rest.split_first_chunk()?;
            let (unit, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            if kind & 0x3f == SPS {
                return Some(raw(unit));
            }
            rest = after;
        }
    }
    None
}

/// Returns a NAL unit without the bytes that prevent start codes: each 3 after two zeros (ITU-T H.264, 7.4.1).
pub fn raw(unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

fn hevc_size(sps: &[u8]) -> Option<(u16, u16)> {
    let mut bits = Bits::new(sps.get(2..)?);
    bits.skip(4)?;
    let layers = bits.take(3)?;
    bits.skip(1)?;
    // profile_tier_level: 88 bits, then the level.
    bits.skip(96)?;
    let present: Vec<(u32, u32)> =
        (0..layers).map(|_| Some((bits.take(1)?, bits.take(1)?))).collect::<Option<_>>()?;
    if layers > 0 {
        bits.skip(2 * (8 - layers))?;
    }
    for (profile, level) in present {
        bits.skip(88 * profile + 8 * level)?;
    }
    bits.exponential()?;
    let chroma = bits.exponential()?;
    if chroma == 3 {
        bits.skip(1)?;
    }
    let (mut width, mut height) = (bits.exponential()?, bits.exponential()?);
    if bits.take(1)? == 1 {
        let across = if matches!(chroma, 1 | 2) { 2 } else { 1 };
        let down = if chroma == 1 { 2 } else { 1 };
        let mut edge = |unit: u32| bits.exponential()?.checked_mul(unit);
        let (left, right, top, bottom) = (edge(across)?, edge(across)?, edge(down)?, edge(down)?);
        width = width.checked_sub(left.checked_add(right)?)?;
        height = height.checked_sub(top.checked_add(bottom)?)?;
    }
    Some((width.try_into().ok()?, height.try_into().ok()?))
}

fn av1(configuration: &[u8]) -> Option<Shape> {
    const SEQUENCE_HEADER: u8 = 1;
    let (profile, level) = (configuration.get(1)? >> 5, configuration.get(1)? & 0x1f);
    // Levels 2.0, 2.1, ... 7.3 (annex A.3).
    let shape = Shape { profile, level: (2 + level / 4) * 10 + level % 4, ..Shape::default() };
    let Some((&header, rest)) = configuration.get(4..).and_then(<[u8]>::split_first) else {
        return Some(shape);
    };
    if header >> 3 & 0xf != SEQUENCE_HEADER {
        return Some(shape);
    }
    let skipped = usize::from(header & 4 != 0) + usize::from(header & 2 != 0);
    let (width, height) = rest.get(skipped..).and_then(av1_size).unwrap_or_default();
    Some(Shape { width, height, ..shape })
}

/// Reads a sequence header without timing information, which live encoders do not send.
fn av1_size(header: &[u8]) -> Option<(u16, u16)> {
    let mut bits = Bits::new(header);
    bits.skip(4)?;
    if bits.take(1)? == 1 {
        bits.skip(5)?;
    } else {
        if bits.take(1)? == 1 {
            return None;
        }
        let has_delay = bits.take(1)? == 1;
        for _ in 0..=bits.take(5)? {
            bits.skip(12)?;
            if bits.take(5)? > 7 {
                bits.skip(1)?;
            }
            if has_delay && bits.take(1)? == 1 {
                bits.skip(4)?;
            }
        }
    }
    let (across, down) = (bits.take(4)? + 1, bits.take(4)? + 1);
    let (width, height) = (bits.take(across)?, bits.take(down)?);
    Some((u16::try_from(width).ok()?.checked_add(1)?, u16::try_from(height).ok()?.checked_add(1)?))
}

/// Reads bits, the highest first.
struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Bits<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn bit(&mut self) -> Option<u32> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |number: u32, _| Some(number << 1 | self.bit()?))
    }

    fn skip(&mut self, count: u32) -> Option<()> {
        self.at += count as usize;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// Reads `ue(v)` (ITU-T H.265, 9.2).
    fn exponential(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        ((1_u32 << zeros) - 1).checked_add(self.take(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEVC: Codec = Codec::FourCc(*b"hvc1");

    /// The configuration that x265 wrote for 320x180 frames, 4:4:4, level 2, with its first two parameter sets.
    const HVCC: &[u8] = &[
        0x01, 0x04, 0x08, 0x00, 0x00, 0x00, 0x9e, 0x08, 0x00, 0x00, 0x00, 0x00, 0x3c, 0xf0, 0x00, 0xfc, 0xff,
        0xf8, 0xf8, 0x00, 0x00, 0x0f, 0x02, 0xa0, 0x00, 0x01, 0x00, 0x17, 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff,
        0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9e, 0x08, 0x00, 0x00, 0x03, 0x00, 0x00, 0x3c, 0xba, 0x02, 0x40,
        0xa1, 0x00, 0x01, 0x00, 0x2d, 0x42, 0x01, 0x01, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9e, 0x08, 0x00,
        0x00, 0x03, 0x00, 0x00, 0x3c, 0x90, 0x01, 0x41, 0x01, 0x83, 0xe3, 0x72, 0xdd, 0x25, 0x26, 0x17, 0x80,
        0xb7, 0x02, 0x02, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0x64, 0x20,
    ];

    #[test]
    fn hevc_says_its_size() {
        let read = shape(HEVC, HVCC);
        assert_eq!((read.profile, read.level), (4, 20));
        assert_eq!((read.width, read.height), (320, 180));
        // From a cut configuration, the remaining facts are read.
        assert_eq!(shape(HEVC, &HVCC[..60]), Shape { profile: 4, level: 20, ..Shape::default() });
        assert_eq!(shape(HEVC, &HVCC[..5]), Shape::default());
    }

    #[test]
    fn other_codecs_say_what_they_can() {
        let avc = shape(Codec::Id(7), &[1, 100, 0, 41]);
        assert_eq!(avc, Shape { profile: 100, level: 41, ..Shape::default() });
        // The configuration that SVT-AV1 wrote for 320x180 frames.
        let av1c = [0x81, 0, 0x0c, 0, 0x0a, 0x0b, 0, 0, 0, 0x04, 0x3c, 0xfe, 0xcc, 0x02, 0xf8, 0, 0x40];
        let read = shape(Codec::FourCc(*b"av01"), &av1c);
        assert_eq!(read, Shape { profile: 0, level: 20, width: 320, height: 180 });
        assert_eq!(shape(Codec::FourCc(*b"vp09"), &av1c), Shape::default());
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_surprise(bytes in proptest::collection::vec(any::<u8>(), 0..80), of in 0..3_usize) {
            let codec = [HEVC, Codec::Id(7), Codec::FourCc(*b"av01")][of];
            let _ = shape(codec, &bytes);
        }

        #[test]
        fn a_changed_hevc_is_no_surprise(at in 0..100_usize, byte: u8) {
            let mut bytes = HVCC.to_vec();
            if let Some(changed) = bytes.get_mut(at) {
                *changed = byte;
            }
            let _ = shape(HEVC, &bytes);
        }
    }
}
