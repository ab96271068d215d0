//! Reads the size of H.264 video from the first sequence parameter set of `avcC` (ISO/IEC 14496-15, 5.3.3; ITU-T H.264,
//! 7.3.2.1.1).

use super::{Bits, raw};

/// Profiles whose parameter sets have more fields about colours.
const HIGH: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// Returns width and height in pixels, or `None` if they cannot be read.
pub fn size(configuration: &[u8]) -> Option<(u16, u16)> {
    let (&[.., count, l1, l0], rest) = configuration.split_first_chunk::<8>()?;
    if count & 0x1f == 0 {
        return None;
    }
    let unit = raw(rest.get(..usize::from(u16::from_be_bytes([l1, l0])))?);
    let mut bits = Bits::new(unit.get(1..)?);
    let profile = bits.take(8)?;
    bits.skip(16)?;
    bits.exponential()?;
    let mut chroma = 1;
    if HIGH.contains(&profile) {
        chroma = bits.exponential()?;
        if chroma == 3 {
            bits.skip(1)?;
        }
        bits.exponential()?;
        bits.exponential()?;
        bits.skip(1)?;
        if bits.take(1)? == 1 {
            skip_scaling(&mut bits, if chroma == 3 { 12 } else { 8 })?;
        }
    }
    bits.exponential()?;
    skip_order(&mut bits)?;
    bits.exponential()?;
    bits.skip(1)?;
    let (width, height) = (bits.exponential()?.checked_add(1)?, bits.exponential()?.checked_add(1)?);
    let fields = 2 - bits.take(1)?;
    if fields == 2 {
        bits.skip(1)?;
    }
    bits.skip(1)?;
    let (mut width, mut height) = (width.checked_mul(16)?, height.checked_mul(16)?.checked_mul(fields)?);
    if bits.take(1)? == 1 {
        let across = if matches!(chroma, 1 | 2) { 2 } else { 1 };
        let down = if chroma == 1 { 2 } else { 1 } * fields;
        let mut edge = |unit: u32| bits.exponential()?.checked_mul(unit);
        let (left, right, top, bottom) = (edge(across)?, edge(across)?, edge(down)?, edge(down)?);
        width = width.checked_sub(left.checked_add(right)?)?;
        height = height.checked_sub(top.checked_add(bottom)?)?;
    }
    Some((width.try_into().ok()?, height.try_into().ok()?))
}

/// Skips `pic_order_cnt_type` and its fields.
fn skip_order(bits: &mut Bits<'_>) -> Option<()> {
    match bits.exponential()? {
        0 => _ = bits.exponential()?,
        1 => {
            bits.skip(1)?;
            bits.exponential()?;
            bits.exponential()?;
            for _ in 0..bits.exponential()?.min(255) {
                bits.exponential()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// Skips this many `scaling_list` (7.3.2.1.1.1).
fn skip_scaling(bits: &mut Bits<'_>, lists: u32) -> Option<()> {
    for list in 0..lists {
        if bits.take(1)? == 0 {
            continue;
        }
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                let coded = i64::from(bits.exponential()?);
                let delta = if coded % 2 == 1 { (coded + 1) / 2 } else { -coded / 2 };
                next = (last + delta).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The configuration that x264 wrote for 320x180 frames (High), with its parameter sets.
    const AVCC: [u8; 50] = [
        0x01, 0x64, 0x00, 0x0c, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x0c, 0xac, 0xd9, 0x41, 0x41, 0x9f,
        0x9f, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x42, 0x99, 0x60,
        0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00, 0, 0, 0,
    ];

    #[test]
    fn a_size_is_read_with_its_crop() {
        assert_eq!(size(&AVCC), Some((320, 180)));
        assert_eq!(size(&AVCC[..12]), None);
        assert_eq!(size(&[]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_surprise(bytes in proptest::collection::vec(any::<u8>(), 0..60), at in 0..50_usize, byte: u8) {
            let _ = size(&bytes);
            let mut changed = AVCC;
            changed[at] = byte;
            let _ = size(&changed);
        }
    }
}
