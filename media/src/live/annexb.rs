//! Converts H.264 between the form of MP4 and RTMP, with lengths (ISO/IEC 14496-15, 5.3), and a byte stream with start
//! codes (ITU-T H.264, annex B).

/// The start code before each NAL unit.
const START: [u8; 4] = [0, 0, 0, 1];

/// The content of an AVCDecoderConfigurationRecord.
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
    /// Reads the record. Returns `None` if it is incomplete or invalid.
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

    /// Returns a frame as a byte stream, with the parameter sets before a keyframe. Omits an incomplete NAL unit at the
    /// end.
    pub fn byte_stream(&self, picture: &[u8], is_key: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(picture.len() + 64 + if is_key { self.sets.len() } else { 0 });
        if is_key {
            out.extend(&self.sets);
        }
        let mut rest = picture;
        while let Some((length, after)) = rest.split_at_checked(self.length) {
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let Some((unit, after)) = after.split_at_checked(length) else { break };
            // Delimiters and filler contain no information that RTP needs.
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

/// A frame of a byte stream, in the form of MP4 and RTMP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// NAL units with lengths of 4 bytes, without parameter sets.
    pub data: Vec<u8>,
    /// Whether a decoder can begin with it.
    pub is_key: bool,
    /// The first sequence parameter set.
    pub sequence: Option<Vec<u8>>,
    /// The first picture parameter set.
    pub picture: Option<Vec<u8>>,
}

impl Picture {
    /// Reads one access unit.
    pub fn read(stream: &[u8]) -> Self {
        let mut picture = Self { data: Vec::with_capacity(stream.len() + 16), ..Self::default() };
        for unit in units(stream) {
            match unit.first().map(|kind| kind & 0x1f) {
                Some(7) => _ = picture.sequence.get_or_insert_with(|| unit.to_vec()),
                Some(8) => _ = picture.picture.get_or_insert_with(|| unit.to_vec()),
                None | Some(9 | 12) => {}
                Some(kind) => {
                    picture.is_key |= kind == 5;
                    picture.data.extend((unit.len() as u32).to_be_bytes());
                    picture.data.extend(unit);
                }
            }
        }
        picture
    }
}

/// Returns the AVCDecoderConfigurationRecord of two parameter sets, or `None` if they are too short or too long.
pub fn record(sequence: &[u8], picture: &[u8]) -> Option<Vec<u8>> {
    let &[_, profile, constraints, level, ..] = sequence else { return None };
    let mut out = vec![1, profile, constraints, level, 0xff, 0xe1];
    out.extend(u16::try_from(sequence.len()).ok()?.to_be_bytes());
    out.extend(sequence);
    out.push(1);
    out.extend(u16::try_from(picture.len()).ok()?.to_be_bytes());
    out.extend(picture);
    if matches!(profile, 100 | 110 | 122 | 144) {
        // 4:2:0 with 8 bits, the only format that browsers send.
        out.extend([0xfd, 0xf8, 0xf8, 0]);
    }
    Some(out)
}

/// Returns the NAL units of a byte stream.
fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start(stream);
    std::iter::from_fn(move || {
        let from = rest?;
        let end = from.windows(3).position(|window| window == [0, 0, 1]);
        let unit = end.map_or(from, |end| &from[..end]);
        rest = end.map(|end| &from[end + 3..]);
        // The fourth byte of a start code and trailing zeros are not part of the unit.
        let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Some(&unit[..length])
    })
}

fn after_start(stream: &[u8]) -> Option<&[u8]> {
    let at = stream.windows(3).position(|window| window == [0, 0, 1])?;
    stream.get(at + 3..)
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
    fn a_byte_stream_becomes_lengths_and_its_parameter_sets_a_record() {
        let stream = [
            &[0, 0, 0, 1, 9, 0x10][..],
            &[0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 7],
            &[0, 0, 0, 1, 0x68, 0xce],
            &[0, 0, 1, 0x65, 0, 0, 3, 1, 0x80, 0, 0],
        ]
        .concat();
        let picture = Picture::read(&stream);
        assert_eq!(
            (picture.is_key, picture.data.as_slice()),
            (true, &[0, 0, 0, 6, 0x65, 0, 0, 3, 1, 0x80][..])
        );
        let record = record(&picture.sequence.unwrap(), &picture.picture.unwrap()).unwrap();
        let avc = Avc::read(&record).unwrap();
        assert_eq!(avc.profile, 0x42_e01f);
        let begin = [0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 7, 0, 0, 0, 1, 0x68, 0xce];
        assert_eq!(avc.byte_stream(&[], true), begin);
        assert_eq!(Picture::read(&[1, 2, 3]), Picture::default());
        assert_eq!(record_of(&[0x67]), None);
    }

    fn record_of(sequence: &[u8]) -> Option<Vec<u8>> {
        record(sequence, &[0x68])
    }

    #[test]
    fn what_is_cut_off_is_no_record() {
        for end in 0..14 {
            assert_eq!(Avc::read(&RECORD[..end]), None, "{end}");
        }
    }
}
