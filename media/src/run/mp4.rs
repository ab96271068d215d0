//! Writes a run as fragmented MP4, for the codecs of Enhanced RTMP, which Debian's ffmpeg cannot read in FLV. A
//! fragment contains one frame, so that a demuxer has no delay (ISO/IEC 14496-12, 14496-14, 14496-15; the bindings of
//! Opus and FLAC).

use weir_rtmp::flv::TagKind;
use weir_rtmp::media::{self, Codec, config};

use super::cut::{Frame, Header, Headers};

const PER_SECOND: u32 = 1000;
const VIDEO: u32 = 1;
const AUDIO: u32 = 2;
/// `sample_depends_on` another sample, and not a sync sample.
const DEPENDS: u32 = 0x0101_0000;
const SYNC: u32 = 0x0200_0000;

/// Returns whether this module supports a video codec.
pub fn has_video(codec: Codec) -> bool {
    codec.is_avc()
        || codec.is_hevc()
        || matches!(&codec, Codec::FourCc(name) if [*b"av01", *b"vp09"].contains(name))
}

/// Returns whether this module supports an audio codec.
pub fn has_audio(codec: Codec) -> bool {
    codec.is_aac()
        || matches!(codec, Codec::Id(2 | 7 | 8 | 14))
        || matches!(&codec, Codec::FourCc(name) if [*b"Opus", *b".mp3", *b"fLaC"].contains(name))
}

/// Writes one run.
#[derive(Debug, Default)]
pub struct Writer {
    sequence: u32,
    /// Times of the last video and audio frames.
    last: [Option<i64>; 2],
}

impl Writer {
    /// Begins a file.
    pub fn begin(&mut self, headers: &Headers, out: &mut Vec<u8>) {
        *self = Self::default();
        boxed(out, b"ftyp", |out| out.extend(b"iso5\0\0\x02\0iso5iso6mp41"));
        boxed(out, b"moov", |out| {
            full(out, b"mvhd", 0, 0, |out| {
                words(out, &[0, 0, PER_SECOND, 0, 0x1_0000, 0x0100_0000, 0, 0]);
                words(out, &MATRIX);
                words(out, &[0, 0, 0, 0, 0, 0, 3]);
            });
            if let Some(video) = &headers.video {
                let size = config::shape(video.codec, &video.data);
                let track = Track { id: VIDEO, scale: PER_SECOND, size: (size.width, size.height) };
                track.write(out, b"vide", |out| picture_entry(out, video, track.size));
            }
            if let Some(audio) = &headers.audio {
                let track = Track { id: AUDIO, scale: PER_SECOND, size: (0, 0) };
                track.write(out, b"soun", |out| sound_entry(out, audio));
            }
            boxed(out, b"mvex", |out| {
                let video = headers.video.as_ref().map(|_| VIDEO);
                for id in video.into_iter().chain(headers.audio.as_ref().map(|_| AUDIO)) {
                    full(out, b"trex", 0, 0, |out| words(out, &[id, 1, 0, 0, 0]));
                }
            });
        });
    }

    /// Appends a frame as a fragment.
    pub fn frame(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        let (id, read) = match frame.kind {
            TagKind::Audio => (AUDIO, media::audio(&frame.payload)),
            _ => (VIDEO, media::video(&frame.payload)),
        };
        let Some(read) = read else { return };
        let last = self.last[id as usize - 1].replace(frame.time);
        let duration = last.map_or(20, |last| (frame.time - last).clamp(1, 1000)) as u32;
        let composition = frame.composition.min(i64::from(i32::MAX)) as u32;
        let flags = if id == AUDIO || frame.is_key { SYNC } else { DEPENDS };
        self.sequence += 1;
        let start = out.len();
        let mut offset_at = 0;
        boxed(out, b"moof", |out| {
            full(out, b"mfhd", 0, 0, |out| words(out, &[self.sequence]));
            boxed(out, b"traf", |out| {
                full(out, b"tfhd", 0, 0x2_0000, |out| words(out, &[id]));
                full(out, b"tfdt", 1, 0, |out| out.extend(frame.time.max(0).to_be_bytes()));
                full(out, b"trun", 0, 0xf01, |out| {
                    offset_at = out.len() + 4;
                    words(out, &[1, 0, duration, read.data.len() as u32, flags, composition]);
                });
            });
        });
        let offset = (out.len() - start + 8) as u32;
        if let Some(place) = out.get_mut(offset_at..offset_at + 4) {
            place.copy_from_slice(&offset.to_be_bytes());
        }
        boxed(out, b"mdat", |out| out.extend(read.data));
    }
}

/// No rotation.
pub(crate) const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// Appends a box with the content that `content` appends.
pub(crate) fn boxed(out: &mut Vec<u8>, kind: &[u8; 4], content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(kind);
    content(out);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends such a box with version and flags.
pub(crate) fn full(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    content: impl FnOnce(&mut Vec<u8>),
) {
    boxed(out, kind, |out| {
        words(out, &[u32::from(version) << 24 | flags]);
        content(out);
    });
}

/// Appends numbers of 32 bits.
pub(crate) fn words(out: &mut Vec<u8>, words: &[u32]) {
    out.extend(words.iter().flat_map(|word| word.to_be_bytes()));
}

/// The description and the time scale of a track.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Track {
    /// Its number.
    pub id: u32,
    /// Units of its times per second.
    pub scale: u32,
    /// Size of the video, in pixels.
    pub size: (u16, u16),
}

impl Track {
    /// Writes `trak`.
    pub(crate) fn write(self, out: &mut Vec<u8>, handler: &[u8; 4], entry: impl FnOnce(&mut Vec<u8>)) {
        boxed(out, b"trak", |out| {
            full(out, b"tkhd", 0, 3, |out| {
                words(out, &[0, 0, self.id, 0, 0, 0, 0, 0, 0]);
                words(out, &MATRIX);
                words(out, &[u32::from(self.size.0) << 16, u32::from(self.size.1) << 16]);
            });
            boxed(out, b"mdia", |out| {
                full(out, b"mdhd", 0, 0, |out| words(out, &[0, 0, self.scale, 0, 0x55c4_0000]));
                full(out, b"hdlr", 0, 0, |out| {
                    words(out, &[0]);
                    out.extend(handler);
                    out.extend([0; 13]);
                });
                boxed(out, b"minf", |out| {
                    match handler {
                        b"vide" => full(out, b"vmhd", 0, 1, |out| words(out, &[0, 0])),
                        _ => full(out, b"smhd", 0, 0, |out| words(out, &[0])),
                    }
                    boxed(out, b"dinf", |out| {
                        full(out, b"dref", 0, 0, |out| {
                            words(out, &[1]);
                            full(out, b"url ", 0, 1, |_| {});
                        });
                    });
                    boxed(out, b"stbl", |out| {
                        full(out, b"stsd", 0, 0, |out| {
                            words(out, &[1]);
                            entry(out);
                        });
                        for kind in [b"stts", b"stsc", b"stco"] {
                            full(out, kind, 0, 0, |out| words(out, &[0]));
                        }
                        full(out, b"stsz", 0, 0, |out| words(out, &[0, 0]));
                    });
                });
            });
        });
    }
}

/// Appends the sample entry of video with this size.
pub(crate) fn picture_entry(out: &mut Vec<u8>, header: &Header, (width, height): (u16, u16)) {
    let (entry, configuration) = match &header.codec {
        codec if codec.is_hevc() => (b"hvc1", b"hvcC"),
        Codec::FourCc([b'a', b'v', b'0', b'1']) => (b"av01", b"av1C"),
        Codec::FourCc([b'v', b'p', b'0', b'9']) => (b"vp09", b"vpcC"),
        _ => (b"avc1", b"avcC"),
    };
    boxed(out, entry, |out| {
        words(out, &[0, 1, 0, 0, 0, 0]);
        words(out, &[u32::from(width) << 16 | u32::from(height), 0x48_0000, 0x48_0000, 0]);
        out.extend([0, 1]);
        out.extend([0; 32]);
        words(out, &[0x0018_ffff]);
        boxed(out, configuration, |out| out.extend(&header.data));
    });
}

/// Appends the sample entry of audio.
pub(crate) fn sound_entry(out: &mut Vec<u8>, header: &Header) {
    let (entry, channels, rate): (&[u8; 4], u32, u32) = match &header.codec {
        Codec::FourCc([b'O', b'p', b'u', b's']) => (b"Opus", 2, 48_000),
        Codec::FourCc([b'f', b'L', b'a', b'C']) => (b"fLaC", 2, 48_000),
        Codec::Id(7) => (b"alaw", 1, 8000),
        Codec::Id(8) => (b"ulaw", 1, 8000),
        _ => (b"mp4a", 2, 44_100),
    };
    boxed(out, entry, |out| {
        words(out, &[0, 1, 0, 0, channels << 16 | 16, 0, rate << 16]);
        match &header.codec {
            Codec::FourCc([b'O', b'p', b'u', b's']) => opus(out, &header.data),
            Codec::FourCc([b'f', b'L', b'a', b'C']) => full(out, b"dfLa", 0, 0, |out| {
                out.extend(header.data.strip_prefix(b"fLaC").unwrap_or(&header.data));
            }),
            Codec::Id(7 | 8) => {}
            codec => elementary(out, if codec.is_aac() { 0x40 } else { 0x6b }, &header.data),
        }
    });
}

/// Appends `dOps`: `OpusHead` (RFC 7845, 5.1) with the opposite byte order of its numbers.
fn opus(out: &mut Vec<u8>, head: &[u8]) {
    let head = head.strip_prefix(b"OpusHead").unwrap_or(head);
    boxed(out, b"dOps", |out| match head {
        [_, channels, s0, s1, r0, r1, r2, r3, g0, g1, rest @ ..] => {
            out.extend([0, *channels, *s1, *s0, *r3, *r2, *r1, *r0, *g1, *g0]);
            out.extend(rest);
        }
        // Two channels of 48 kHz.
        _ => out.extend([0, 2, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0]),
    });
}

/// Appends `esds` with an AudioSpecificConfig, or without one.
fn elementary(out: &mut Vec<u8>, object: u8, configuration: &[u8]) {
    let configuration = configuration.get(..configuration.len().min(64)).unwrap_or_default();
    let length = configuration.len() as u8;
    let specific = if length > 0 { 2 + length } else { 0 };
    full(out, b"esds", 0, 0, |out| {
        out.extend([3, 3 + 2 + 13 + specific + 3, 0, 2, 0]);
        out.extend([4, 13 + specific, object, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        if length > 0 {
            out.extend([5, length]);
            out.extend(configuration);
        }
        out.extend([6, 1, 2]);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmaf::{Piece, Splitter, fragment};

    #[test]
    fn frames_are_fragments_with_their_times() {
        let headers = Headers {
            video: Some(Header { codec: Codec::FourCc(*b"hvc1"), data: vec![1; 30] }),
            audio: Some(Header {
                codec: Codec::FourCc(*b"Opus"),
                data: b"OpusHead\x01\x02\0\0\x80\xbb\0\0\0\0\0".to_vec(),
            }),
            metadata: None,
        };
        let mut writer = Writer::default();
        let mut out = Vec::new();
        writer.begin(&headers, &mut out);
        let picture = |time, composition, payload: &[u8]| Frame {
            kind: TagKind::Video,
            time,
            composition,
            is_key: true,
            payload: payload.to_vec(),
        };
        writer.frame(&picture(10_000, 80, b"\x91hvc1\0\0\0picture"), &mut out);
        writer.frame(&picture(10_040, 0, b"\xa3hvc1next"), &mut out);
        writer.frame(
            &Frame { kind: TagKind::Audio, payload: b"\x91Opussound".to_vec(), ..picture(10_050, 0, b"") },
            &mut out,
        );
        let mut splitter = Splitter::default();
        splitter.feed(&out);
        let pieces: Vec<Piece> = std::iter::from_fn(|| splitter.next_piece().unwrap()).collect();
        assert_eq!(pieces.len(), 4);
        let of = |at: usize| match &pieces[at] {
            Piece::Fragment(bytes) => (fragment::parse(bytes).unwrap().start, bytes.clone()),
            Piece::Init(_) => panic!("{at}"),
        };
        assert_eq!((of(1).0, of(2).0, of(3).0), (10_080, 10_040, 10_050));
        assert!(of(1).1.ends_with(b"picture") && of(3).1.ends_with(b"sound"));
        let Piece::Init(init) = &pieces[0] else { panic!("{pieces:?}") };
        assert!(init.windows(4).any(|four| four == b"hvcC") && init.windows(4).any(|four| four == b"dOps"));
    }
}
