//! Converts initialization segments and fragments back to frames. It reads only the form that
//! [`Packager`](super::Packager) writes, not all of MP4. The other end is not trusted: for any input, the code neither
//! panics nor allocates more memory than the input has.

use weir_rtmp::flv::{Tag, TagKind};
use weir_rtmp::media::Codec;

use crate::cmaf;
use crate::cmaf::boxes::{Cursor, children, descend, find};
use crate::run::cut::{Frame, Header, Headers};

/// The most samples of a track in one fragment.
const MOST_SAMPLES: u32 = 2000;
const BASE_OFFSET: u32 = 0x1;
/// `sample_is_non_sync_sample`.
const NON_SYNC: u32 = 0x1_0000;

/// Why bytes are not the media of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A box is missing or too short.
    #[error(transparent)]
    Boxes(#[from] cmaf::Error),
    /// The sample entry of a track has an unknown codec.
    #[error("a codec that is not known here: {:?}", String::from_utf8_lossy(.0))]
    Codec([u8; 4]),
    /// There is neither video nor audio.
    #[error("an initialization segment without a track")]
    NoTrack,
    /// A fragment refers to media outside of itself.
    #[error("a fragment whose samples are outside of it")]
    Outside,
}

/// Reads one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacker {
    tracks: Vec<Track>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Track {
    id: u32,
    /// Units per second.
    scale: u32,
    kind: TagKind,
    header: Header,
}

impl Unpacker {
    /// Reads `ftyp` and `moov`.
    pub fn of_init(bytes: &[u8]) -> Result<Self, Error> {
        let moov = find(bytes, "moov")?;
        let mut tracks = Vec::new();
        for (_, track) in children(moov).filter(|(kind, _)| kind == b"trak").take(2) {
            tracks.push(Track::read(track)?);
        }
        if tracks.is_empty() { Err(Error::NoTrack) } else { Ok(Self { tracks }) }
    }

    /// Returns whether there is video.
    pub fn has_video(&self) -> bool {
        self.tracks.iter().any(|track| track.kind == TagKind::Video)
    }

    /// Returns the headers with which a run of the stream begins.
    pub fn run(&self) -> Headers {
        let of = |kind| self.tracks.iter().find(|track| track.kind == kind).map(|track| track.header.clone());
        Headers { video: of(TagKind::Video), audio: of(TagKind::Audio), metadata: None }
    }

    /// Returns the decoders' configurations, with which a stream over RTMP begins.
    pub fn headers(&self, timestamp: u32) -> Vec<Tag> {
        let tag = |track: &Track| {
            let data = &track.header.data;
            let head = match (track.kind, track.header.codec) {
                (TagKind::Video, codec) if codec.is_avc() => vec![0x17, 0, 0, 0, 0],
                (TagKind::Video, Codec::FourCc(name)) => [&[0x90][..], &name].concat(),
                (TagKind::Audio, codec) if codec.is_aac() => vec![0xaf, 0],
                (TagKind::Audio, Codec::FourCc(name)) => [&[0x90][..], &name].concat(),
                // This codec needs no configuration.
                _ => return None,
            };
            Some(Tag { kind: track.kind, timestamp, payload: [&head, data.as_slice()].concat() })
        };
        self.tracks.iter().filter_map(tag).collect()
    }

    /// Reads `moof` and `mdat`. Returns the frames in the order of their times, in the form of RTMP.
    pub fn fragment(&self, bytes: &[u8]) -> Result<Vec<Frame>, Error> {
        let mut frames = Vec::new();
        let moof = find(bytes, "moof")?;
        for (_, part) in children(moof).filter(|(kind, _)| kind == b"traf") {
            let head = Head::read(find(part, "tfhd")?)?;
            let Some(track) = self.tracks.iter().find(|track| track.id == head.id) else { continue };
            let mut time = Cursor::new(find(part, "tfdt")?, "tfdt");
            let (version, _) = time.full()?;
            let mut at = time.by_version(version)?;
            for (_, run) in children(part).filter(|(kind, _)| kind == b"trun") {
                track.run(run, &head, bytes, &mut at, &mut frames)?;
            }
        }
        frames.sort_by_key(|frame| frame.time);
        Ok(frames)
    }
}

/// The content of `tfhd`.
struct Head {
    id: u32,
    duration: u32,
    size: u32,
    flags: u32,
}

impl Head {
    fn read(content: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(content, "tfhd");
        let (_, said) = cursor.full()?;
        let id = cursor.u32()?;
        if said & BASE_OFFSET != 0 {
            return Err(Error::Outside);
        }
        if said & 0x2 != 0 {
            cursor.u32()?;
        }
        let mut next = |flag| if said & flag != 0 { cursor.u32() } else { Ok(0) };
        Ok(Self { id, duration: next(0x8)?, size: next(0x10)?, flags: next(0x20)? })
    }
}

impl Track {
    fn read(track: &[u8]) -> Result<Self, Error> {
        let mut header = Cursor::new(find(track, "tkhd")?, "tkhd");
        let (version, _) = header.full()?;
        header.by_version(version)?;
        header.by_version(version)?;
        let id = header.u32()?;
        let media = find(track, "mdia")?;
        let mut units = Cursor::new(find(media, "mdhd")?, "mdhd");
        let (version, _) = units.full()?;
        units.by_version(version)?;
        units.by_version(version)?;
        let scale = units.u32()?.max(1);
        let mut descriptions = Cursor::new(descend(media, &["minf", "stbl", "stsd"])?, "stsd");
        descriptions.full()?;
        descriptions.u32()?;
        let (entry, content) =
            children(descriptions.rest()).next().ok_or(Error::Boxes(cmaf::Error::Missing("stsd")))?;
        let (kind, header) = header_of(&entry, content)?;
        Ok(Self { id, scale, kind, header })
    }

    fn milliseconds(&self, units: u64) -> i64 {
        i64::try_from(u128::from(units) * 1000 / u128::from(self.scale)).unwrap_or(i64::MAX / 4)
    }

    /// Reads `trun`. `at` is the start before the call and the end after it, in units of the track.
    fn run(
        &self,
        run: &[u8],
        head: &Head,
        bytes: &[u8],
        at: &mut u64,
        frames: &mut Vec<Frame>,
    ) -> Result<(), Error> {
        let mut cursor = Cursor::new(run, "trun");
        let (version, said) = cursor.full()?;
        let count = cursor.u32()?;
        // The offset counts from the beginning of `moof`, which is the beginning of the bytes.
        let mut offset = if said & 0x1 != 0 { cursor.u32()? as usize } else { return Err(Error::Outside) };
        let mut first_flags = if said & 0x4 != 0 { Some(cursor.u32()?) } else { None };
        if count > MOST_SAMPLES {
            return Err(Error::Outside);
        }
        for _ in 0..count {
            let mut next = |flag, usual| if said & flag != 0 { cursor.u32() } else { Ok(usual) };
            let (duration, size) = (next(0x100, head.duration)?, next(0x200, head.size)? as usize);
            let flags = next(0x400, first_flags.take().unwrap_or(head.flags))?;
            let composition = next(0x800, 0)?;
            let composition = match version {
                0 => i64::from(composition),
                _ => i64::from(composition.cast_signed()),
            };
            let end = offset.checked_add(size).ok_or(Error::Outside)?;
            let data = bytes.get(offset..end).ok_or(Error::Outside)?;
            let is_key = flags & NON_SYNC == 0;
            let composition = composition * 1000 / i64::from(self.scale);
            frames.push(self.frame(data, self.milliseconds(*at), composition, is_key));
            offset = end;
            *at = at.saturating_add(duration.into());
        }
        Ok(())
    }

    fn frame(&self, data: &[u8], time: i64, composition: i64, is_key: bool) -> Frame {
        let shown = i32::try_from(composition.clamp(-0x80_0000, 0x7f_ffff)).unwrap_or_default().to_be_bytes();
        let first = if is_key { 0x10 } else { 0x20 };
        let head = match (self.kind, self.header.codec) {
            (TagKind::Video, codec) if codec.is_avc() => [&[first | 7, 1][..], &shown[1..]].concat(),
            (TagKind::Video, codec) if codec.is_hevc() => {
                [&[0x81 | first][..], b"hvc1", &shown[1..]].concat()
            }
            (TagKind::Video, Codec::FourCc(name)) => [&[0x81 | first][..], &name].concat(),
            (_, codec) if codec.is_aac() => vec![0xaf, 1],
            (_, Codec::FourCc(name)) => [&[0x91][..], &name].concat(),
            // MP3 frames contain their own sample rate.
            (_, Codec::Id(_)) => vec![0x2f],
        };
        Frame { kind: self.kind, time, composition, is_key, payload: [&head, data].concat() }
    }
}

/// Returns the codec and the decoder's configuration of a sample entry.
fn header_of(entry: &[u8; 4], content: &[u8]) -> Result<(TagKind, Header), Error> {
    let configuration = |skip: usize, kind: &'static str| {
        let mut cursor = Cursor::new(content, kind);
        cursor.take(skip)?;
        find(cursor.rest(), kind)
    };
    // A VisualSampleEntry has 78 bytes before its boxes, an AudioSampleEntry 28 (ISO/IEC 14496-12, 12.1.3 and 12.2.3).
    let video = |codec, kind| {
        let data = configuration(78, kind)?.to_vec();
        Ok((TagKind::Video, Header { codec, data }))
    };
    let audio = |codec, data| Ok((TagKind::Audio, Header { codec, data }));
    match entry {
        b"avc1" | b"avc3" => video(Codec::Id(7), "avcC"),
        b"hvc1" | b"hev1" => video(Codec::FourCc(*b"hvc1"), "hvcC"),
        b"av01" => video(Codec::FourCc(*entry), "av1C"),
        b"vp09" => video(Codec::FourCc(*entry), "vpcC"),
        b"Opus" => audio(Codec::FourCc(*entry), opus_head(configuration(28, "dOps")?)),
        b"fLaC" => {
            let blocks = configuration(28, "dfLa")?.get(4..).unwrap_or_default();
            audio(Codec::FourCc(*entry), [b"fLaC", blocks].concat())
        }
        b"mp4a" => match elementary(configuration(28, "esds")?)? {
            (0x40, data) => audio(Codec::Id(10), data),
            (0x69 | 0x6b, _) => audio(Codec::Id(2), Vec::new()),
            _ => Err(Error::Codec(*entry)),
        },
        _ => Err(Error::Codec(*entry)),
    }
}

/// Returns `OpusHead` (RFC 7845, 5.1), whose numbers have the opposite byte order of `dOps`.
fn opus_head(content: &[u8]) -> Vec<u8> {
    match content {
        [_, channels, s1, s0, r3, r2, r1, r0, g1, g0, rest @ ..] => {
            let numbers = [1, *channels, *s0, *s1, *r0, *r1, *r2, *r3, *g0, *g1];
            [b"OpusHead".as_slice(), &numbers, rest].concat()
        }
        _ => b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0".to_vec(),
    }
}

/// Returns the type of `esds`, and its AudioSpecificConfig (ISO/IEC 14496-1, 7.2.6).
fn elementary(content: &[u8]) -> Result<(u8, Vec<u8>), Error> {
    let mut cursor = Cursor::new(content, "esds");
    cursor.full()?;
    let mut object = 0;
    loop {
        let Ok(tag) = cursor.u8() else { return Ok((object, Vec::new())) };
        let mut length = 0_usize;
        loop {
            let byte = cursor.u8()?;
            length = (length << 7 | usize::from(byte & 0x7f)) & 0xffff;
            if byte & 0x80 == 0 {
                break;
            }
        }
        match tag {
            3 => {
                cursor.take(3)?;
            }
            4 => object = cursor.take(13)?[0],
            5 => return Ok((object, cursor.take(length)?.to_vec())),
            _ => return Ok((object, Vec::new())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::live::{Output, Packager};
    use crate::run::cut::Step;

    fn packed(video: Header, audio: Header, frames: &[Frame]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let (mut packager, mut out) = (Packager::default(), Vec::new());
        let headers = Headers { video: Some(video), audio: Some(audio), metadata: None };
        packager.take(Step::Begin(headers), &mut out);
        frames.iter().for_each(|frame| packager.take(Step::Frame(frame.clone()), &mut out));
        let mut init = Vec::new();
        let mut fragments = Vec::new();
        for output in out {
            match output {
                Output::Init(about) => init = about.bytes,
                Output::Fragment(fragment) => fragments.push(fragment.bytes),
            }
        }
        (init, fragments)
    }

    fn avc() -> Header {
        Header { codec: Codec::Id(7), data: vec![1, 100, 0, 31, 0xff, 0xe1, 0, 0] }
    }

    fn aac() -> Header {
        Header { codec: Codec::Id(10), data: vec![0x12, 0x10] }
    }

    fn picture(time: i64, payload: &[u8]) -> Frame {
        let composition = 80;
        Frame {
            kind: TagKind::Video,
            time,
            composition,
            is_key: payload[0] >> 4 & 7 == 1,
            payload: payload.to_vec(),
        }
    }

    fn sound(time: i64, payload: &[u8]) -> Frame {
        Frame { kind: TagKind::Audio, time, composition: 0, is_key: true, payload: payload.to_vec() }
    }

    #[test]
    fn what_was_packed_comes_back() {
        let frames = [
            sound(0, &[0xaf, 1, 1]),
            sound(23, &[0xaf, 1, 2]),
            picture(40, &[0x17, 1, 0, 0, 80, 9, 9]),
            picture(80, &[0x27, 1, 0, 0, 80, 8]),
        ];
        let (init, fragments) = packed(avc(), aac(), &frames);
        let unpacker = Unpacker::of_init(&init).unwrap();
        let headers = unpacker.headers(7);
        assert_eq!(headers[0].payload, [&[0x17, 0, 0, 0, 0][..], &avc().data].concat());
        assert_eq!((&headers[1].payload[..], headers[1].timestamp), (&[0xaf, 0, 0x12, 0x10][..], 7));
        let back: Vec<Frame> =
            fragments.iter().flat_map(|fragment| unpacker.fragment(fragment).unwrap()).collect();
        assert_eq!(back, frames);
    }

    #[test]
    fn codecs_of_enhanced_rtmp_come_back() {
        let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0".to_vec();
        let opus = Header { codec: Codec::FourCc(*b"Opus"), data: head };
        let mut data = vec![0; 23];
        data[..6].copy_from_slice(&[1, 1, 0x60, 0, 0, 0]);
        let hevc = Header { codec: Codec::FourCc(*b"hvc1"), data };
        let frames = [
            picture(0, b"\x91hvc1\0\0\x50one"),
            sound(5, b"\x91Opusxy"),
            picture(40, b"\xa1hvc1\0\0\x50two"),
        ];
        let (init, fragments) = packed(hevc.clone(), opus.clone(), &frames);
        let unpacker = Unpacker::of_init(&init).unwrap();
        let headers = unpacker.headers(0);
        assert_eq!(headers[0].payload, [&b"\x90hvc1"[..], &hevc.data].concat());
        assert_eq!(headers[1].payload, [&b"\x90Opus"[..], &opus.data].concat());
        let back: Vec<Frame> =
            fragments.iter().flat_map(|fragment| unpacker.fragment(fragment).unwrap()).collect();
        assert_eq!(back, frames);
    }

    #[test]
    fn media_that_is_elsewhere_is_refused() {
        let (init, fragments) = packed(avc(), aac(), &[picture(0, &[0x17, 1, 0, 0, 80, 9])]);
        let unpacker = Unpacker::of_init(&init).unwrap();
        let cut = &fragments[0][..fragments[0].len() - 1];
        assert_eq!(unpacker.fragment(cut), Err(Error::Outside));
        assert_eq!(unpacker.fragment(b"\0\0\0\x08mdat"), Err(cmaf::Error::Missing("moof").into()));
        assert_eq!(Unpacker::of_init(b"\0\0\0\x08moov"), Err(Error::NoTrack));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40), at in any::<proptest::sample::Index>()) {
            let frames = [sound(0, &[0xaf, 1, 1]), picture(40, &[0x17, 1, 0, 0, 80, 9])];
            let (mut init, mut fragments) = packed(avc(), aac(), &frames);
            let unpacker = Unpacker::of_init(&init).unwrap();
            for whole in [&mut init, &mut fragments[0]] {
                let at = at.index(whole.len());
                let end = whole.len().min(at + bytes.len());
                whole[at..end].copy_from_slice(&bytes[..end - at]);
            }
            let _ = (Unpacker::of_init(&init), unpacker.fragment(&fragments[0]));
            let _ = (Unpacker::of_init(&bytes), unpacker.fragment(&bytes));
        }
    }
}
