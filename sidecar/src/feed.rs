//! What ffmpeg reads: the daemon plays the stream itself and hands it over through a socket, mended and in one piece.
//!
//! ffmpeg's own RTMP client takes times and configurations as they come. A jump of the publisher's clock, a picture of another
//! size or a codec of Enhanced RTMP is the end of what it makes, or spoils it.
//!
//! - [`player`] plays the stream, makes runs of it ([`weir_media::run`]), and carries their bytes
//! - [`Plan`] says what of a stream ffmpeg can be given

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
pub mod player;

pub use container::Container;
use player::Source;

/// What of a stream is fed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Of the bytes.
    pub container: Container,
    /// Pictures are fed.
    pub video: bool,
    /// Sound is fed.
    pub audio: bool,
}

/// Codecs of pictures that go into FLV, by their names in the API.
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
    /// For a live stream.
    pub fn of(live: &Live) -> Self {
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

    /// The codecs of a stream that HLS and DASH of nginx-rtmp leave out.
    pub fn left_out(live: &Live) -> Vec<&str> {
        let video = live.video.iter().map(|video| video.codec.as_str()).filter(|codec| *codec != "H264");
        let audio = live.audio.iter().map(|audio| audio.codec.as_str());
        video.chain(audio.filter(|codec| !["AAC", "MP3"].contains(codec))).map(named).collect()
    }

    /// The codecs of a stream that are not fed.
    pub fn not_used(self, live: &Live) -> Vec<&str> {
        let video = live.video.iter().map(|video| video.codec.as_str()).filter(|_| !self.video);
        let audio = live.audio.iter().map(|audio| audio.codec.as_str()).filter(|_| !self.audio);
        video.chain(audio).map(named).collect()
    }

    /// ffmpeg's options for what is fed; the socket follows. It looks at it until pictures and sound are there; where one of
    /// them is not to come, it would wait in vain. ffmpeg takes a Unix socket for a file in which it can look for an index of MP4
    /// (`is_streamed` in its `unix.c`), and waits for the end of it: `ignidx` keeps it from looking.
    pub fn input(self) -> &'static str {
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

/// A codec for people.
fn named(codec: &str) -> &str {
    if codec.is_empty() { "unknown" } else { codec }
}

/// Where ffmpeg reads, below the folder for the sockets of its job.
pub fn socket(place: &Path) -> PathBuf {
    place.join("in")
}

/// Feeds one run of ffmpeg after the other; ends when dropped.
#[derive(Debug)]
pub struct Feed(#[expect(dead_code, reason = "its tasks end with it")] JoinSet<()>);

impl Feed {
    /// Listens on a socket in `place`, and plays the stream under `name`. `holds` keeps back what may be of another publisher: nothing of it is to be kept, and
    /// nobody waits for it.
    pub fn open(
        live: &Live,
        server: &RtmpServer,
        name: Secret,
        place: &Path,
        shared: Arc<Shared>,
        holds: bool,
    ) -> std::io::Result<Self> {
        let listener = UnixListener::bind(socket(place))?;
        let plan = Plan::of(live);
        let wanted = Wanted { video: plan.video, audio: plan.audio };
        let source = Source::new(server, live, &name, plan.container, wanted, holds);
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
        // The pictures are kept whatever the sound is.
        assert_eq!(plan("HEVC", "Speex"), (Container::Mp4, true, false));
        assert_eq!(plan("Sorenson-H263", "Opus"), (Container::Flv, true, false));
        assert_eq!(plan("VVC", "AAC"), (Container::Flv, false, true));
        assert_eq!(plan("H264", "DeviceSpecific"), (Container::Flv, true, false));
    }
}
