//! ffmpeg as a publisher, and ffprobe as a check of the servers' files.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::NamedTempFile;

use super::{products, wait};

/// A running ffmpeg; killed when dropped.
pub struct Ffmpeg {
    child: Child,
    messages: NamedTempFile,
}

impl Ffmpeg {
    /// Publishes colour bars and a tone to `url` until stopped.
    pub fn publish(url: &str) -> Self {
        Self::publish_with_key_frames(url, 10)
    }

    /// The same, with a keyframe per this many frames, of which there are 20 per second.
    pub fn publish_with_key_frames(url: &str, distance: u32) -> Self {
        Self::spawn(publishing_with_key_frames(url, distance))
    }

    /// The same, with two B-frames between others.
    pub fn publish_with_b_frames(url: &str) -> Self {
        let mut command = Command::new(products::ffmpeg("ffmpeg"));
        command
            .args(["-nostdin", "-v", "info", "-re", "-f", "lavfi", "-i", "testsrc=size=160x90:rate=20"])
            .args(["-f", "lavfi", "-i", "sine=frequency=440", "-c:v", "libx264", "-preset", "veryfast"])
            .args(["-bf", "2", "-g", "20", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv", url]);
        Self::spawn(command)
    }

    /// Publishes the video of a filter and a tone, with a keyframe per 20 frames.
    pub fn publish_video(url: &str, filter: &str) -> Self {
        Self::spawn(publishing_video(url, filter, 20))
    }

    fn spawn(mut command: Command) -> Self {
        let messages = NamedTempFile::new().unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(messages.reopen().unwrap())
            .spawn()
            .unwrap();
        Self { child, messages }
    }

    /// Returns its output so far.
    pub fn messages(&self) -> String {
        super::files::text(self.messages.path())
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it exits.
    #[track_caller]
    pub fn wait(&mut self, seconds: f64) -> ExitStatus {
        wait::until("ffmpeg ends", seconds, || self.child.try_wait().unwrap())
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the command that publishes.
pub fn publishing(url: &str) -> Command {
    publishing_with_key_frames(url, 10)
}

fn publishing_with_key_frames(url: &str, distance: u32) -> Command {
    publishing_video(url, "testsrc=size=160x90:rate=20", distance)
}

fn publishing_video(url: &str, filter: &str, distance: u32) -> Command {
    let distance = distance.to_string();
    let mut command = Command::new(products::ffmpeg("ffmpeg"));
    command
        .args(["-nostdin", "-v", "info", "-re", "-f", "lavfi", "-i", filter])
        .args(["-f", "lavfi", "-i", "sine=frequency=440"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"])
        .args(["-g", &distance, "-keyint_min", &distance, "-sc_threshold", "0", "-threads", "1"])
        .args(["-c:a", "aac", "-b:a", "32k", "-f", "flv", url]);
    command
}

/// Returns the output of ffprobe for `path` (a file or URL) with `arguments`. Panics if ffprobe cannot read it.
#[track_caller]
pub fn probe(path: &str, arguments: &[&str]) -> String {
    let output = Command::new(products::ffmpeg("ffprobe"))
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(arguments)
        .arg(path)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffprobe cannot read {path}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Returns the presentation times of the video packets of a file, in seconds.
#[track_caller]
pub fn video_times(path: &Path) -> Vec<f64> {
    let lines = probe(&path.to_string_lossy(), &["-select_streams", "v", "-show_entries", "packet=pts_time"]);
    lines.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect()
}
