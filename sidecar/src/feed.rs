//! The input of ffmpeg: the daemon plays the stream itself, corrects it, and passes it to ffmpeg through a socket.
//!
//! ffmpeg's own RTMP client takes timestamps and codec configurations as they arrive. A jump of the publisher's clock, a new frame
//! size or a codec of Enhanced RTMP ends or spoils its output.
//!
//! - [`player`] plays the stream, splits it into runs ([`weir_media::run`]), and writes their bytes
//! - [`Plan`] decides which media of a stream ffmpeg receives

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::task::JoinSet;
use weir_media::run::cut::Wanted;
use weir_model::Secret;

use crate::config::RtmpServer;
use crate::streams::Live;
use crate::supervise::Shared;

mod container;
pub(crate) mod player;

pub(crate) use container::Container;
pub(crate) use player::Product;
use player::Source;

/// The media of a stream that ffmpeg receives, and their container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Container of the bytes.
    pub container: Container,
    /// Whether ffmpeg receives video.
    pub video: bool,
    /// Whether ffmpeg receives audio.
    pub audio: bool,
}

/// Video codecs that FLV can hold, by their names in the API.
const FLV_VIDEO: [&str; 6] =
    ["H264", "Sorenson-H263", "ScreenVideo", "On2-VP6", "On2-VP6-Alpha", "ScreenVideo2"];
const MP4_VIDEO: [&str; 4] = ["H264", "HEVC", "AV1", "VP9"];
const FLV_AUDIO: [&str; 12] = [
    "AAC",
    "MP3",
    "MP3-8K",
    "Speex",
    "G711A",
    "G711U",
    "Nellymoser",
    "Nellymoser8",
    "Nellymoser16",
    "ADPCM",
    "Uncompressed",
    "LinearLE",
];
const MP4_AUDIO: [&str; 7] = ["AAC", "MP3", "MP3-8K", "G711A", "G711U", "Opus", "FLAC"];

impl Plan {
    /// Returns the plan for a live stream.
    pub(crate) fn of(live: &Live) -> Self {
        let video = live.video.as_ref().map(|video| video.codec.as_str());
        let audio = live.audio.as_ref().map(|audio| audio.codec.as_str());
        let has = |codec: Option<&str>, known: &[&str]| codec.is_some_and(|codec| known.contains(&codec));
        let takes_mp4 = |codec, flv: &[&str], mp4: &[&str]| has(codec, mp4) && !has(codec, flv);
        let container = if takes_mp4(video, &FLV_VIDEO, &MP4_VIDEO)
            || (takes_mp4(audio, &FLV_AUDIO, &MP4_AUDIO) && (video.is_none() || has(video, &MP4_VIDEO)))
        {
            Container::Mp4
        } else {
            Container::Flv
        };
        let (videos, audios): (&[&str], &[&str]) = match container {
            Container::Flv => (&FLV_VIDEO, &FLV_AUDIO),
            Container::Mp4 => (&MP4_VIDEO, &MP4_AUDIO),
        };
        Self { container, video: has(video, videos), audio: has(audio, audios) }
    }

    /// Returns the codecs of a stream that nginx-rtmp's HLS and DASH leave out.
    pub(crate) fn left_out(live: &Live) -> Vec<&str> {
        let video = live.video.iter().map(|video| video.codec.as_str()).filter(|codec| *codec != "H264");
        let audio = live.audio.iter().map(|audio| audio.codec.as_str());
        video.chain(audio.filter(|codec| !["AAC", "MP3"].contains(codec))).map(named).collect()
    }

    /// Returns the codecs of a stream that ffmpeg does not receive.
    pub(crate) fn not_used(self, live: &Live) -> Vec<&str> {
        let video = live.video.iter().map(|video| video.codec.as_str()).filter(|_| !self.video);
        let audio = live.audio.iter().map(|audio| audio.codec.as_str()).filter(|_| !self.audio);
        video.chain(audio).map(named).collect()
    }

    /// Returns ffmpeg's input options; the socket follows them. ffmpeg probes the input until it has found video and audio, so a
    /// stream with only one of the two gets a shorter probe. ffmpeg takes a Unix socket for a file in which it can look for an
    /// index of MP4 (`is_streamed` in its `unix.c`), and would wait for the end of the file: `ignidx` prevents that.
    pub(crate) fn input(self) -> &'static str {
        match (self.container, self.video && self.audio) {
            (Container::Flv, true) => "-analyzeduration 15000000 -probesize 2000000 -f flv -i",
            (Container::Flv, false) => "-analyzeduration 2000000 -probesize 2000000 -f flv -i",
            (Container::Mp4, true) => {
                "-analyzeduration 15000000 -probesize 2000000 -fflags +ignidx -f mp4 -i"
            }
            (Container::Mp4, false) => {
                "-analyzeduration 2000000 -probesize 2000000 -fflags +ignidx -f mp4 -i"
            }
        }
    }
}

/// Returns the name of a codec for log lines.
fn named(codec: &str) -> &str {
    if codec.is_empty() { "unknown" } else { codec }
}

/// Returns the socket that ffmpeg reads, below the folder for the sockets of its job.
pub(crate) fn socket(place: &Path) -> PathBuf {
    place.join("in")
}

/// Feeds one run of ffmpeg after another; stops when dropped.
#[derive(Debug)]
pub(crate) struct Feed(#[expect(dead_code, reason = "its tasks end with it")] JoinSet<()>);

impl Feed {
    /// Listens on a socket in `place`, and plays the stream under `name`.
    pub(crate) fn open(
        live: &Live,
        server: &RtmpServer,
        name: Secret,
        place: &Path,
        shared: Arc<Shared>,
        product: Product,
    ) -> std::io::Result<Self> {
        let listener = UnixListener::bind(socket(place))?;
        let plan = Plan::of(live);
        let wanted = Wanted { video: plan.video, audio: plan.audio };
        let source = Source::new(server, live, &name, plan.container, wanted, product);
        let mut tasks = JoinSet::new();
        tasks.spawn(player::serve(listener, source, shared));
        Ok(Self(tasks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::{Audio, Video};

    #[test]
    fn what_not_everybody_gets_is_named() {
        let live = |video: &str, audio: &str| Live {
            app: "live".parse().unwrap(),
            name: "show".parse().unwrap(),
            session: "s".into(),
            slate: false,
            video: Some(Video { codec: video.into(), width: 0, height: 0 }),
            audio: Some(Audio { codec: audio.into() }),
        };
        let told = |live: &Live| {
            let (left_out, not_used) = (Plan::left_out(live), Plan::of(live).not_used(live));
            (left_out.join(","), not_used.join(","))
        };
        assert_eq!(told(&live("H264", "AAC")), (String::new(), String::new()));
        assert_eq!(told(&live("HEVC", "Opus")), ("HEVC,Opus".into(), String::new()));
        assert_eq!(told(&live("H264", "")), ("unknown".into(), "unknown".into()));
    }

    #[test]
    fn each_codec_goes_into_what_ffmpeg_reads() {
        let plan = |video: &str, audio: &str| {
            let video = Some(video).filter(|codec| !codec.is_empty());
            let audio = Some(audio).filter(|codec| !codec.is_empty());
            let live = Live {
                app: "live".parse().unwrap(),
                name: "show".parse().unwrap(),
                session: "s".into(),
                slate: false,
                video: video.map(|codec| Video { codec: codec.into(), width: 0, height: 0 }),
                audio: audio.map(|codec| Audio { codec: codec.into() }),
            };
            let plan = Plan::of(&live);
            (plan.container, plan.video, plan.audio)
        };
        assert_eq!(plan("H264", "AAC"), (Container::Flv, true, true));
        assert_eq!(plan("H264", "Speex"), (Container::Flv, true, true));
        assert_eq!(plan("H264", "Opus"), (Container::Mp4, true, true));
        assert_eq!(plan("HEVC", "AAC"), (Container::Mp4, true, true));
        assert_eq!(plan("", "Opus"), (Container::Mp4, false, true));
        assert_eq!(plan("AV1", ""), (Container::Mp4, true, false));
        // Video is kept, whatever the audio codec is.
        assert_eq!(plan("HEVC", "Speex"), (Container::Mp4, true, false));
        assert_eq!(plan("Sorenson-H263", "Opus"), (Container::Flv, true, false));
        assert_eq!(plan("VVC", "AAC"), (Container::Flv, false, true));
        assert_eq!(plan("H264", "DeviceSpecific"), (Container::Flv, true, false));
    }
}
