//! The slate as FLV: ffmpeg makes it with the stream's geometry, the daemon keeps it on disk and plays it in an endless loop.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use weir_model::snapshot::StreamSnapshot;
use weir_rtmp::flv::{Reader, Tag, TagKind};

use crate::files::SHARED;
use crate::supervise::child::command;

/// Length of the clip of an image, and longest clip, in seconds.
const SECONDS: (u32, u32) = (4, 60);
/// Time limit for ffmpeg.
const PATIENCE: Duration = Duration::from_secs(120);
/// Usual frame rates of encoders. A measured rate is rounded to one of them.
const RATES: [u32; 9] = [10, 12, 15, 20, 24, 25, 30, 50, 60];
const PICTURES: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];

/// Reason why there is no clip.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The clip cannot be stored.
    #[error("{}: {why}", path.display())]
    File {
        /// Path of the clip, or of its folder.
        path: PathBuf,
        /// The system's error.
        why: io::Error,
    },
    /// ffmpeg took too long, and was killed.
    #[error("ffmpeg took more than {} s", PATIENCE.as_secs())]
    TooSlow,
    /// ffmpeg cannot be started.
    #[error("ffmpeg: {0}")]
    NotStarted(io::Error),
    /// ffmpeg failed. The text is the first of its messages.
    #[error("ffmpeg: {0}")]
    Failed(String),
}

/// Format of a stream's media, which the slate copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Geometry {
    width: u32,
    height: u32,
    /// Frames per second.
    rate: u32,
    sample_rate: u32,
    channels: u32,
}

impl Default for Geometry {
    fn default() -> Self {
        Self { width: 1280, height: 720, rate: 25, sample_rate: 48_000, channels: 2 }
    }
}

impl Geometry {
    /// Returns the geometry of a live stream, with usual values for unknown ones.
    pub(crate) fn of(stream: &StreamSnapshot) -> Self {
        let mut geometry = Self::default();
        if let Some(video) = &stream.video {
            if video.width >= 16 && video.height >= 16 {
                let even = |length: u16| u32::from(length & !1);
                (geometry.width, geometry.height) = (even(video.width), even(video.height));
            }
            let fps = video.fps().per_second();
            if fps >= 1.0 {
                let off = |rate: &u32| (f64::from(*rate) - fps).abs();
                let nearest = RATES.into_iter().min_by(|a, b| off(a).total_cmp(&off(b)));
                geometry.rate = nearest.unwrap_or(geometry.rate);
            }
        }
        if let Some(audio) = &stream.audio {
            if (8000..=96_000).contains(&audio.sample_rate) {
                geometry.sample_rate = audio.sample_rate;
            }
            if (1..=2).contains(&audio.channels) {
                geometry.channels = audio.channels.into();
            }
        }
        geometry
    }
}

/// Returns the path of the clip of a geometry. A changed slate file gets another name.
pub(crate) fn place(folder: &Path, file: &Path, geometry: &Geometry) -> io::Result<PathBuf> {
    let about = std::fs::metadata(file)?;
    let told = format!("{file:?} {} {} {}", about.len(), about.mtime(), about.mtime_nsec());
    let hash = Sha256::digest(told.as_bytes());
    let hash = u64::from_be_bytes(std::array::from_fn(|at| hash[at]));
    let Geometry { width, height, rate, sample_rate, channels } = geometry;
    Ok(folder.join(format!("{width}x{height}-{rate}-{sample_rate}-{channels}-{hash:016x}.flv")))
}

/// Makes a clip, unless it exists.
pub(crate) async fn make(
    ffmpeg: &Path,
    nice: u8,
    file: &Path,
    geometry: &Geometry,
    place: &Path,
) -> Result<(), Error> {
    if place.exists() {
        return Ok(());
    }
    let folder = place.parent().unwrap_or(place);
    SHARED.make_folder(folder).map_err(|why| Error::File { path: folder.into(), why })?;
    let unfinished = place.with_extension(format!("{}.new", crate::clock::next_number()));
    let mut result = run(ffmpeg, nice, &arguments(file, geometry, true, &unfinished)).await;
    if result.is_err() {
        // The slate's file may have no audio.
        result = run(ffmpeg, nice, &arguments(file, geometry, false, &unfinished)).await;
    }
    let result = result.and_then(|()| {
        std::fs::rename(&unfinished, place).map_err(|why| Error::File { path: place.into(), why })
    });
    if result.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    result
}

async fn run(ffmpeg: &Path, nice: u8, arguments: &[OsString]) -> Result<(), Error> {
    let output = command(ffmpeg, arguments, nice).stdin(std::process::Stdio::null()).output();
    let output = tokio::time::timeout(PATIENCE, output)
        .await
        .map_err(|_| Error::TooSlow)?
        .map_err(Error::NotStarted)?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(Error::Failed(errors.lines().next().unwrap_or("failed without a message").to_owned()))
}

/// Returns the arguments, with the file's audio or with silence.
fn arguments(file: &Path, geometry: &Geometry, sound: bool, to: &Path) -> Vec<OsString> {
    let Geometry { width, height, rate, sample_rate, channels } = geometry;
    let extension = file.extension().unwrap_or_default().to_ascii_lowercase();
    let is_picture = PICTURES.iter().any(|known| extension == **known);
    let (input, seconds) = match is_picture {
        true => (format!("-loop 1 -framerate {rate}"), SECONDS.0),
        false => (String::new(), SECONDS.1),
    };
    let layout = if *channels == 1 { "mono" } else { "stereo" };
    let mut arguments = words(&format!("-hide_banner -nostdin -loglevel error -y {input} -i"));
    arguments.push(file.into());
    arguments.extend(words(&format!("-f lavfi -i anullsrc=r={sample_rate}:cl={layout} -map 0:v:0 -map")));
    arguments.push(if sound && !is_picture { "0:a:0" } else { "1:a:0" }.into());
    arguments.extend(words(&format!(
        "-t {seconds} -shortest -vf \
         scale={width}:{height}:force_original_aspect_ratio=decrease,pad={width}:{height}:-1:-1,setsar=1,fps={rate},format=yuv420p \
         -c:v libx264 -preset veryfast -profile:v main -bf 0 -crf 23 -maxrate 4M -bufsize 4M -g {rate} -keyint_min {rate} -sc_threshold 0 \
         -c:a aac -b:a 96k -ar {sample_rate} -ac {channels} -f flv -flvflags no_duration_filesize"
    )));
    arguments.push(to.into());
    arguments
}

fn words(text: &str) -> Vec<OsString> {
    text.split_whitespace().map(OsString::from).collect()
}

/// A clip that is played in an endless loop.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Clip {
    /// Metadata and sequence headers, which are sent once.
    pub headers: Vec<Tag>,
    /// All other tags. The first has the time 0.
    frames: Vec<Tag>,
    /// Length of a round, in milliseconds.
    length: u32,
}

impl Clip {
    /// Reads FLV. Returns `None` if it contains no video.
    pub(crate) fn read(flv: &[u8]) -> Option<Self> {
        let mut reader = Reader::new();
        reader.feed(flv);
        let mut tags = Vec::new();
        while let Ok(Some(tag)) = reader.next_tag() {
            tags.push(tag);
        }
        let (headers, mut frames): (Vec<Tag>, Vec<Tag>) = tags.into_iter().partition(Tag::is_header);
        // An end of sequence is not a frame.
        frames.retain(|tag| tag.kind != TagKind::Video || tag.payload.get(1) == Some(&1));
        let first = frames.iter().map(|tag| tag.timestamp).min()?;
        frames.iter_mut().for_each(|tag| tag.timestamp -= first);
        let length = [TagKind::Video, TagKind::Audio].map(|kind| length(&frames, kind));
        (length[0] > 0).then_some(Self { headers, frames, length: length[0].max(length[1]) })
    }

    /// Returns frame number `n` of the endless stream, and its time from the beginning in milliseconds.
    pub(crate) fn frame(&self, n: usize) -> (u64, &Tag) {
        let tag = &self.frames[n % self.frames.len()];
        let round = (n / self.frames.len()) as u64;
        (round * u64::from(self.length) + u64::from(tag.timestamp), tag)
    }
}

/// Returns the end of the last frame of a kind, whose length is the average of the others.
fn length(frames: &[Tag], kind: TagKind) -> u32 {
    let mut times = frames.iter().filter(|tag| tag.kind == kind).map(|tag| tag.timestamp);
    let Some(first) = times.next() else { return 0 };
    let (count, last) = times.fold((0, first), |(count, _), time| (count + 1, time));
    last + if count == 0 { 40 } else { (last - first).div_ceil(count) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn geometry(video: serde_json::Value, audio: serde_json::Value) -> Geometry {
        let value = json!({ "app": "live", "name": "show", "since": "2026-11-20T18:00:00Z",
            "publisher": { "addr": "127.0.0.1", "worker_pid": 1 }, "video": video, "audio": audio });
        Geometry::of(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_slate_looks_like_the_stream() {
        assert_eq!(geometry(json!(null), json!(null)), Geometry::default());
        let full = geometry(
            json!({ "codec": "H264", "width": 1921, "height": 1080, "fps": 29.97 }),
            json!({ "codec": "AAC", "sample_rate": 44100, "channels": 1 }),
        );
        assert_eq!(full, Geometry { width: 1920, height: 1080, rate: 30, sample_rate: 44_100, channels: 1 });
        let unknown = geometry(json!({ "codec": "H264" }), json!({ "codec": "AAC" }));
        assert_eq!(unknown, Geometry::default());
    }

    #[test]
    fn arguments_hold_the_file_as_one() {
        let line = |file: &str, sound| {
            let all = arguments(Path::new(file), &Geometry::default(), sound, Path::new("/c.flv"));
            all.into_iter().map(|argument| argument.into_string().unwrap()).collect::<Vec<_>>()
        };
        let picture = line("/etc/a slate.PNG", true).join("|");
        assert!(picture.contains("-loop|1|-framerate|25|-i|/etc/a slate.PNG|-f|lavfi"), "{picture}");
        assert!(picture.contains("-map|1:a:0|-t|4|"), "{picture}");
        let clip = line("/c.mp4", true).join("|");
        assert!(clip.contains("-y|-i|/c.mp4|") && clip.contains("-map|0:a:0|-t|60|"), "{clip}");
        assert!(line("/c.mp4", false).join("|").contains("-map|1:a:0|"));
    }

    #[test]
    fn a_clip_goes_on_after_its_end() {
        let tag = |kind, timestamp, payload: &[u8]| Tag { kind, timestamp, payload: payload.to_vec() };
        let mut flv = Vec::new();
        weir_rtmp::flv::write_header(&mut flv);
        for tag in [
            tag(TagKind::Video, 20, &[0x17, 0, 1]),
            tag(TagKind::Audio, 20, &[0xaf, 0, 1]),
            tag(TagKind::Video, 20, &[0x17, 1, 1]),
            tag(TagKind::Audio, 20, &[0xaf, 1, 1]),
            tag(TagKind::Audio, 43, &[0xaf, 1, 2]),
            tag(TagKind::Video, 60, &[0x27, 1, 2]),
            tag(TagKind::Video, 60, &[0x17, 2]),
        ] {
            weir_rtmp::flv::write_tag(&tag, &mut flv);
        }
        let clip = Clip::read(&flv).unwrap();
        assert_eq!(clip.headers.len(), 2);
        let times: Vec<u64> = (0..9).map(|n| clip.frame(n).0).collect();
        assert_eq!(times, [0, 0, 23, 40, 80, 80, 103, 120, 160]);
        assert_eq!(Clip::read(&flv[..40]), None);
        assert_eq!(Clip::read(b""), None);
    }
}
