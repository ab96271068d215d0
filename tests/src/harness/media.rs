//! The sample stream of test publishers.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use weir_rtmp::flv::{Reader, Tag, TagKind};

use super::{ports, products};

/// Two seconds of colour bars and a beep, H.264 and AAC, a keyframe per half second: ten kilobytes.
pub struct Sample {
    /// Metadata and sequence headers, sent once.
    pub headers: Vec<Tag>,
    /// All other tags, in order of time.
    pub frames: Vec<Tag>,
    /// Duration of one round, in milliseconds.
    pub duration: u32,
}

/// Returns the sample, which ffmpeg makes once on this machine.
pub fn sample() -> &'static Sample {
    static SAMPLE: LazyLock<Sample> = LazyLock::new(load);
    &SAMPLE
}

/// Returns the video of the sample with 90x160 pixels and the same times, like a rotated phone.
pub fn turned() -> &'static Sample {
    static TURNED: LazyLock<Sample> =
        LazyLock::new(|| read(&made("turned-1.flv", &[&H264, &["-vf", "scale=90:160", "-an"]])));
    &TURNED
}

const H264: [&str; 12] = [
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-tune",
    "zerolatency",
    "-g",
    "10",
    "-keyint_min",
    "10",
    "-sc_threshold",
    "0",
];

fn load() -> Sample {
    let sound = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=2"];
    read(&made("sample-1.flv", &[&sound, &H264, &["-c:a", "aac", "-b:a", "32k", "-ac", "1"]]))
}

fn read(path: &Path) -> Sample {
    let mut reader = Reader::new();
    reader.feed(&fs::read(path).unwrap());
    let tags = std::iter::from_fn(|| reader.next_tag().unwrap());
    let (headers, mut frames): (Vec<_>, Vec<_>) = tags.partition(Tag::is_header);
    frames.retain(|tag| tag.timestamp < 2000);
    Sample { headers, frames, duration: 2000 }
}

/// Makes a file of the sample's video, once on this machine.
fn made(name: &str, arguments: &[&[&str]]) -> PathBuf {
    let folder = ports::shared_folder();
    let path = folder.join(name);
    let lock = File::create(folder.join("sample.lock")).unwrap();
    lock.lock().unwrap();
    if !path.exists() {
        let unfinished = folder.join(format!("unfinished-{name}"));
        let status = Command::new(products::ffmpeg("ffmpeg"))
            .args(["-y", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x90:rate=20:duration=2"])
            .args(arguments.concat())
            .args(["-pix_fmt", "yuv420p"])
            .arg(&unfinished)
            .status()
            .unwrap();
        assert!(status.success(), "ffmpeg could not make {name}");
        fs::rename(unfinished, &path).unwrap();
    }
    path
}

/// A codec that has a name in Enhanced RTMP, but no number in FLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enhanced {
    /// A stream in which the decoding order differs from the presentation order.
    Hevc,
    /// A stream in presentation order.
    Av1,
}

/// The video of the sample in such a codec, with a keyframe per half second, as messages of Enhanced RTMP.
pub struct Pictures {
    header: Vec<u8>,
    frames: Vec<Vec<u8>>,
}

impl Enhanced {
    /// The codec's name in ffmpeg.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
        }
    }

    /// Returns the video in this codec, which ffmpeg makes once on this machine.
    pub fn pictures(self) -> Pictures {
        let (four_cc, configuration, encoder): (_, _, &[&str]) = match self {
            Self::Hevc => (
                b"hvc1",
                b"hvcC",
                &[
                    "-c:v",
                    "libx265",
                    "-preset",
                    "ultrafast",
                    "-x265-params",
                    "keyint=10:min-keyint=10:scenecut=0:bframes=2:b-adapt=0:open-gop=0:log-level=error",
                ],
            ),
            Self::Av1 => (
                b"av01",
                b"av1C",
                &[
                    "-c:v",
                    "libaom-av1",
                    "-usage",
                    "realtime",
                    "-cpu-used",
                    "8",
                    "-g",
                    "10",
                    "-keyint_min",
                    "10",
                ],
            ),
        };
        // One fragment per frame, with times in milliseconds.
        let container = ["-video_track_timescale", "1000", "-use_editlist", "0", "-movflags"];
        let flags = ["frag_every_frame+delay_moov+default_base_moof", "-f", "mp4"];
        let path = made(&format!("enhanced-{}.mp4", self.name()), &[encoder, &container, &flags]);
        let bytes = fs::read(path).unwrap();
        let (mut header, mut frames, mut composition) = (Vec::new(), Vec::new(), 0);
        for (kind, content) in boxes(&bytes) {
            match kind {
                b"moov" => {
                    let at = content.windows(4).position(|name| name == configuration).unwrap();
                    let length = u32::from_be_bytes(content[at - 4..at].try_into().unwrap()) as usize;
                    header = [&[0x90][..], four_cc, &content[at + 4..at - 4 + length]].concat();
                }
                b"moof" => composition = composition_of(content),
                b"mdat" => {
                    let frame_type = if frames.len() % 10 == 0 { 0x10 } else { 0x20 };
                    let mut frame = [&[0x80 | frame_type | 1][..], four_cc].concat();
                    if self == Self::Hevc {
                        frame.extend(&composition.to_be_bytes()[1..]);
                    }
                    frames.push([&frame, content].concat());
                }
                _ => {}
            }
        }
        assert_eq!(frames.len(), 40);
        Pictures { header, frames }
    }
}

impl Pictures {
    /// Returns the message with the decoder's configuration.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Returns the replacement of a tag of the sample.
    pub fn replace(&self, tag: Tag) -> Tag {
        let payload = match (tag.kind, tag.is_header()) {
            (TagKind::Video, true) => self.header.clone(),
            // The end of a round of H.264 is the end of a sequence.
            (TagKind::Video, false) if tag.payload[1] == 2 => [&[0x92][..], &self.header[1..5]].concat(),
            // 50 ms each.
            (TagKind::Video, false) => self.frames[(tag.timestamp + 25) as usize / 50 % 40].clone(),
            _ => return tag,
        };
        Tag { payload, ..tag }
    }
}

/// Returns the boxes of a file or of a box, as kind and content.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (content, after) = after.split_at(u32::from_be_bytes(*length) as usize - 4);
        rest = after;
        content.split_first_chunk()
    })
}

/// Returns the time from decoding to presentation of a fragment's only frame, in milliseconds.
fn composition_of(moof: &[u8]) -> u32 {
    let find = |bytes, kind| boxes(bytes).find(|(found, _)| *found == kind).unwrap().1;
    let run = find(find(moof, b"traf"), b"trun");
    let word = |at: usize| u32::from_be_bytes(run[at..at + 4].try_into().unwrap());
    let flags = word(0);
    let before = [0x1, 0x4, 0x100, 0x200, 0x400].iter().filter(|flag| flags & **flag != 0).count();
    if flags & 0x800 != 0 { word(8 + 4 * before) } else { 0 }
}
