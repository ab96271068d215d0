//! The little stream that test publishers send.

use std::fs::{self, File};
use std::process::Command;
use std::sync::LazyLock;

use weir_rtmp::flv::{Reader, Tag};

use super::{ports, products};

/// Two seconds of colour bars and a beep, H.264 and AAC, a key frame each half second: ten kilobytes.
pub struct Sample {
    /// Metadata and sequence headers: sent once.
    pub headers: Vec<Tag>,
    /// Everything else, in order of time.
    pub frames: Vec<Tag>,
    /// Milliseconds from the beginning of one round to the beginning of the next.
    pub duration: u32,
}

/// The sample; ffmpeg makes it when it is wanted for the first time on this machine.
pub fn sample() -> &'static Sample {
    static SAMPLE: LazyLock<Sample> = LazyLock::new(load);
    &SAMPLE
}

fn load() -> Sample {
    let folder = ports::shared_folder();
    let path = folder.join("sample-1.flv");
    let lock = File::create(folder.join("sample.lock")).unwrap();
    lock.lock().unwrap();
    if !path.exists() {
        let unfinished = folder.join("unfinished.flv");
        let status = Command::new(products::ffmpeg("ffmpeg"))
            .args(["-y", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x90:rate=20:duration=2"])
            .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=2"])
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"])
            .args([
                "-g",
                "10",
                "-keyint_min",
                "10",
                "-sc_threshold",
                "0",
                "-c:a",
                "aac",
                "-b:a",
                "32k",
                "-ac",
                "1",
            ])
            .arg(&unfinished)
            .status()
            .unwrap();
        assert!(status.success(), "ffmpeg could not make the sample");
        fs::rename(unfinished, &path).unwrap();
    }
    let mut reader = Reader::new();
    reader.feed(&fs::read(path).unwrap());
    let tags = std::iter::from_fn(|| reader.next_tag().unwrap());
    let (headers, mut frames): (Vec<_>, Vec<_>) = tags.partition(Tag::is_header);
    frames.retain(|tag| tag.timestamp < 2000);
    Sample { headers, frames, duration: 2000 }
}
