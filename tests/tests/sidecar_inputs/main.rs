//! Inputs of `weir serve`, beside stock nginx with Weir's module, real ffmpeg and real senders. Each file's header says what the file
//! proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod authority;
mod cameras;
mod demand;
mod files;
mod nodes;
mod senders;
mod servers;
mod whep;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Nginx, Sidecar, products, until};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const INPUT: &str = "live/show/input";

/// Returns an nginx whose application `live` requires a key or a token.
fn keyed() -> Config {
    Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .with_api()
        .app("live", "weir_publish key;")
}

/// Returns an input for `live/show`, and settings with which jobs fail fast.
fn input(url: &str, more: &str) -> String {
    format!(
        "[jobs]\nstall = \"4s\"\nbackoff_max = \"1s\"\n[[input]]\napp = \"live\"\nstream = \"show\"\nurl = \"{url}\"\n\
         secret_file = \"@DIR@/secret\"\n{more}\n"
    )
}

struct Media(TempDir);

impl Media {
    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Media files: `two.mp4` has 2 s of H.264 and AAC, `minutes.mp4` has enough for a test.
static MEDIA: LazyLock<Media> = LazyLock::new(|| {
    let media = Media(tempfile::Builder::new().prefix("weir-inputs-").tempdir().unwrap());
    for (name, seconds) in [("two.mp4", "2"), ("minutes.mp4", "180")] {
        let status = Command::new(products::ffmpeg("ffmpeg"))
            .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x90:rate=20"])
            .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100", "-t", seconds])
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"])
            .args(["-g", "20", "-keyint_min", "20", "-sc_threshold", "0", "-c:a", "aac", "-b:a", "32k"])
            .arg(media.file(name))
            .status()
            .unwrap();
        assert!(status.success());
    }
    media
});

/// An ffmpeg that sends a file in real time; killed when dropped.
struct Sender(Child);

impl Sender {
    fn start(file: &Path, url: &str) -> Self {
        let child = Command::new(products::ffmpeg("ffmpeg"))
            .args(["-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i"])
            .arg(file)
            .args(["-c", "copy", "-f", "mpegts", url])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the stream is live with these codecs.
#[track_caller]
fn wait_live(nginx: &Nginx, sidecar: &Sidecar, video: Option<&str>, audio: Option<&str>) {
    let live = weir_tests::harness::until_ok(30.0, || {
        let stream = nginx.api().stream("live", "show")?;
        (stream["video"]["codec"].as_str() == video && stream["audio"]["codec"].as_str() == audio)
            .then_some(())
    });
    assert!(live.is_some(), "{:?}\n{:?}\n{}", nginx.api().streams(), sidecar.jobs(), sidecar.log());
}

#[track_caller]
fn wait_ended(nginx: &Nginx) {
    until("the stream ends", 30.0, || nginx.api().stream("live", "show").is_none());
}

/// Waits until the job reports this error.
#[track_caller]
fn wait_error(sidecar: &Sidecar, error: &str) {
    let is_told = || sidecar.find(INPUT).is_some_and(|job| job["last_error"] == error);
    let found = weir_tests::harness::until_ok(30.0, is_told);
    assert!(found.is_some(), "{error:?} is not told: {:?}\n{}", sidecar.jobs(), sidecar.log());
}

/// Returns how often ffmpeg was restarted.
fn restarts(sidecar: &Sidecar) -> u64 {
    sidecar.find(INPUT).and_then(|job| job["restarts"].as_u64()).unwrap_or_default()
}
