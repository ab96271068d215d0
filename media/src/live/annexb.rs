//! H.264 from the form of MP4 and RTMP, with lengths (ISO/IEC 14496-15, 5.3), to a byte stream with start codes (ITU-T H.264, annex B).

/// Before each NAL unit.
const START: [u8; 4] = [0, 0, 0, 1];

/// What an AVCDecoderConfigurationRecord says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Avc {
    /// `profile_idc`, the constraint flags and `level_idc`: `profile-level-id` of RFC 6184.
    pub profile: u32,
    /// Bytes of each length: 1, 2 or 4.
    length: usize,
    /// Sequence and picture parameter sets, with start codes.
    sets: Vec<u8>,
}

impl Avc {
    /// Reads the record; `None` when it is cut off or wrong.
    pub fn read(record: &[u8]) -> Option<Self> {
        let &[1, profile, constraints, level, length, ref rest @ ..] = record else { return None };
        let mut sets = Vec::with_capacity(record.len() + 8);
        let (&count, mut rest) = rest.split_first()?;
        for _ in 0..count & 0x1f {
            rest = set(rest, &mut sets)?;
        }
        let (&count, mut rest) = rest.split_first()?;
        for _ in 0..count {
            rest = set(rest, &mut sets)?;
        }
        let profile = u32::from_be_bytes([0, profile, constraints, level]);
        Some(Self { profile, length: usize::from(length & 3) + 1, sets })
    }

    /// A picture as a byte stream, with the parameter sets before a key frame. What is cut off is left out.
    pub fn byte_stream(&self, picture: &[u8], is_key: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(picture.len() + 64 + if is_key { self.sets.len() } else { 0 });
        if is_key {
            out.extend(&self.sets);
        }
        let mut rest = picture;
        while let Some((length, after)) = rest.split_at_checked(self.length) {
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let Some((unit, after)) = after.split_at_checked(length) else { break };
            // Delimiters and filler say nothing that RTP does not.
            if unit.first().is_some_and(|kind| !matches!(kind & 0x1f, 9 | 12)) {
                out.extend(START);
                out.extend(unit);
            }
            rest = after;
        }
        out
    }
}

fn set<'r>(rest: &'r [u8], sets: &mut Vec<u8>) -> Option<&'r [u8]> {
    let (length, rest) = rest.split_first_chunk()?;
    let (set, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    sets.extend(START);
    sets.extend(set);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: [u8; 15] = [1, 0x42, 0xe0, 0x1f, 0xff, 0xe1, 0, 2, 0x67, 0x42, 1, 0, 1, 0x68, 0xff];

    #[test]
    fn lengths_become_start_codes_and_key_frames_have_their_parameter_sets() {
        let avc = Avc::read(&RECORD[..14]).unwrap();
        assert_eq!(avc.profile, 0x42_e01f);
        let picture = [0, 0, 0, 1, 9, 0, 0, 0, 2, 0x65, 7, 0, 0, 0, 9, 1];
        let sets = [0, 0, 0, 1, 0x67, 0x42, 0, 0, 0, 1, 0x68];
        let unit = [0, 0, 0, 1, 0x65, 7];
        assert_eq!(avc.byte_stream(&picture, true), [&sets[..], &unit].concat());
        assert_eq!(avc.byte_stream(&picture, false), unit);
    }

    #[test]
    fn what_is_cut_off_is_no_record() {
        for end in 0..14 {
            assert_eq!(Avc::read(&RECORD[..end]), None, "{end}");
        }
    }
}
