//! Finds captions (CEA-608) in frames of H.264: ATSC A/53 part 4, 6.2.3 puts them in SEI messages.

use weir_rtmp::media::config::raw;

/// `user_data_registered_itu_t_t35`.
const REGISTERED: usize = 4;
/// Country and provider of ATSC, and the beginning of its caption data.
const ATSC: [u8; 8] = [0xb5, 0, 0x31, b'G', b'A', b'9', b'4', 3];
/// Weir reads at most this many bytes of an SEI unit.
const MOST: usize = 4096;

/// Returns whether a frame has captions other than fill bytes. `length` is the number of bytes of each length before a NAL unit.
pub fn has_captions(picture: &[u8], length: usize) -> bool {
    let mut rest = picture;
    while let Some((size, after)) = rest.split_at_checked(length) {
        let size = size.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
        let Some((unit, after)) = after.split_at_checked(size) else { return false };
        match unit.first().map(|kind| kind & 0x1f) {
            // SEI messages come before the slices of a frame.
            Some(1..=5) => return false,
            Some(6) if are_in_messages(&raw(&unit[1..unit.len().min(MOST)])) => return true,
            _ => rest = after,
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

    /// Returns a frame with an SEI message of these caption triples, and a slice.
    fn frame(flags: u8, triples: &[[u8; 3]]) -> Vec<u8> {
        let mut message = [&ATSC[..], &[flags, 0xff]].concat();
        message.extend(triples.as_flattened());
        message.push(0xff);
        let sei = [&[6, 5, 2, 1, 1, 4, message.len() as u8][..], &message, &[0x80]].concat();
        let slice = [0x65, 0x88];
        let unit = |unit: &[u8]| [&(unit.len() as u32).to_be_bytes()[..], unit].concat();
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
            assert_eq!(has_captions(&frame(flags, triples), 4), expected, "{flags:x} {triples:x?}");
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
        assert!(has_captions(&whole, 4) && has_captions(&escaped, 4));
        for end in 0..whole.len() {
            let _ = has_captions(&whole[..end], 4);
        }
        assert!(!has_captions(&[0xff; 64], 4) && !has_captions(&[0, 0, 0, 0, 0], 4));
    }
}
