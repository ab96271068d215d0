//! Finds captions (CEA-608) in frames of H.264 and HEVC: ATSC A/53 part 4, 6.2.3 puts them in SEI messages of H.264, and ATSC A/341 puts
//! the same messages in those of HEVC.

use weir_rtmp::media::config::raw;

/// `user_data_registered_itu_t_t35`.
const REGISTERED: usize = 4;
/// Country and provider of ATSC, and the beginning of its caption data.
const ATSC: [u8; 8] = [0xb5, 0, 0x31, b'G', b'A', b'9', b'4', 3];
/// Weir reads at most this many bytes of an SEI unit.
const MOST: usize = 4096;
/// Weir reads at most this many NAL units of a frame.
const MOST_UNITS: usize = 64;

/// Form of the NAL units of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// Number of bytes of each length before a NAL unit.
    pub length: usize,
    /// Whether they are of HEVC; otherwise they are of H.264.
    pub is_hevc: bool,
}

/// Content of a NAL unit, by the type in its header.
enum Kind {
    /// Supplemental information; the number of bytes of the header.
    Sei(usize),
    /// The last unit that can matter has come: supplemental information of H.264 is before the slices.
    Last,
    Other,
}

impl Units {
    /// Reads the type in a unit's header (ITU-T H.264, 7.3.1; ITU-T H.265, 7.3.1.2).
    fn kind(self, first: u8) -> Kind {
        match (self.is_hevc, first & 0x1f, first >> 1 & 0x3f) {
            (false, 1..=5, _) => Kind::Last,
            (false, 6, _) => Kind::Sei(1),
            (true, _, 39 | 40) => Kind::Sei(2),
            _ => Kind::Other,
        }
    }
}

/// Returns whether a frame has captions other than fill bytes.
pub fn has_captions(picture: &[u8], units: Units) -> bool {
    let mut rest = picture;
    for _ in 0..MOST_UNITS {
        let Some((size, after)) = rest.split_at_checked(units.length) else { return false };
        let size = size.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
        let Some((unit, after)) = after.split_at_checked(size) else { return false };
        rest = after;
        match unit.first().map(|first| units.kind(*first)) {
            Some(Kind::Last) => return false,
            Some(Kind::Sei(header)) => {
                let messages = unit.get(header..unit.len().min(MOST)).unwrap_or_default();
                if are_in_messages(&raw(messages)) {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

fn are_in_messages(mut rest: &[u8]) -> bool {
    while rest.len() > 2 {
        let (Some(kind), Some(size)) = (number(&mut rest), number(&mut rest)) else { return false };
        let Some((message, after)) = rest.split_at_checked(size) else { return false };
        if kind == REGISTERED && message.strip_prefix(&ATSC).is_some_and(are_in_data) {
            return true;
        }
        rest = after;
    }
    false
}

/// Reads a number of an SEI header: each byte 0xff adds 255.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    loop {
        let (first, after) = rest.split_first()?;
        *rest = after;
        number += usize::from(*first);
        if *first != 0xff {
            return Some(number);
        }
    }
}

/// Returns whether `cc_data` has a pair of bytes for either field that is not only fill (CEA-608, 8.3).
fn are_in_data(data: &[u8]) -> bool {
    let &[flags, _, ref triples @ ..] = data else { return false };
    let is_used = flags & 0x40 != 0;
    is_used
        && triples.chunks_exact(3).take(usize::from(flags & 0x1f)).any(|triple| {
            let [marker, first, second] = [triple[0], triple[1], triple[2]];
            marker & 4 != 0 && marker & 3 < 2 && (first & 0x7f, second & 0x7f) != (0, 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const H264: Units = Units { length: 4, is_hevc: false };
    const HEVC: Units = Units { length: 4, is_hevc: true };

    fn unit(unit: &[u8]) -> Vec<u8> {
        [&(unit.len() as u32).to_be_bytes()[..], unit].concat()
    }

    /// Returns a frame with an SEI message of these caption triples, and a slice.
    fn frame(flags: u8, triples: &[[u8; 3]]) -> Vec<u8> {
        let mut message = [&ATSC[..], &[flags, 0xff]].concat();
        message.extend(triples.as_flattened());
        message.push(0xff);
        let sei = [&[6, 5, 2, 1, 1, 4, message.len() as u8][..], &message, &[0x80]].concat();
        let slice = [0x65, 0x88];
        [unit(&[9, 0x10]), unit(&sei), unit(&slice)].concat()
    }

    #[test]
    fn captions_are_more_than_fill() {
        for (flags, triples, expected) in [
            (0xc1, &[[0xfc, 0x94, 0x2c]][..], true),
            (0xc2, &[[0xfc, 0x80, 0x80], [0xfd, 0xc8, 0xe9]], true),
            (0xc1, &[[0xfc, 0x80, 0x80]], false),
            (0xc1, &[[0xf8, 0x94, 0x2c]], false),
            // CEA-708, which hls.js does not read.
            (0xc1, &[[0xff, 0x94, 0x2c]], false),
            (0x81, &[[0xfc, 0x94, 0x2c]], false),
            (0xc0, &[[0xfc, 0x94, 0x2c]], false),
        ] {
            assert_eq!(has_captions(&frame(flags, triples), H264), expected, "{flags:x} {triples:x?}");
        }
    }

    #[test]
    fn bytes_against_start_codes_do_not_count_and_nothing_is_read_beyond_the_end() {
        let whole = frame(0xc3, &[[0xf8, 0, 0], [0xf8, 0, 0], [0xfc, 0x94, 0x2c]]);
        let at = whole.windows(4).position(|window| window == [0, 0, 0xf8, 0]).unwrap();
        let mut escaped = whole.clone();
        // 0, 0 and 0xf8 need no escape; an encoder may add one all the same.
        escaped.insert(at + 2, 3);
        escaped[9] += 1;
        assert!(has_captions(&whole, H264) && has_captions(&escaped, H264));
        for end in 0..whole.len() {
            let _ = has_captions(&whole[..end], H264);
            let _ = has_captions(&whole[..end], HEVC);
        }
        for units in [H264, HEVC] {
            assert!(!has_captions(&[0xff; 64], units) && !has_captions(&[0, 0, 0, 0, 0], units));
        }
    }

    #[test]
    fn hevc_has_them_before_and_after_its_slices() {
        let message = [&ATSC[..], &[0xc1, 0xff, 0xfc, 0x94, 0x2c, 0xff]].concat();
        let sei = |kind: u8| unit(&[&[kind << 1, 1, 4, message.len() as u8][..], &message, &[0x80]].concat());
        // An access unit delimiter, and the slice of an IDR frame.
        let (delimiter, slice) = (unit(&[35 << 1, 1, 0x50]), unit(&[19 << 1, 1, 0xaf]));
        let before = [&delimiter[..], &sei(39), &slice].concat();
        let after = [&delimiter[..], &slice, &sei(40)].concat();
        assert!(has_captions(&before, HEVC) && has_captions(&after, HEVC));
        assert!(!has_captions(&before, H264) && !has_captions(&frame(0xc1, &[[0xfc, 0x94, 0x2c]]), HEVC));
        assert!(!has_captions(&[&delimiter[..], &sei(41), &slice].concat(), HEVC));
    }
}
