//! The slate of `weir serve`, beside stock nginx with Weir's module and real ffmpeg: the slate replaces a lost publisher, and viewers, HLS,
//! push targets and ladders continue. Each file's header says what the file proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod clips;
mod ends;
mod ladder;
mod recorded;
mod servers;
mod viewers;
mod workers;

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use weir_tests::harness::api::Key;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Nginx, Publisher, products, until};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Returns an nginx with a secret for tokens, and an application `live` that requires a key.
fn keyed(app: &str) -> Config {
    Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .file("slate.png", &*PICTURE)
        .with_api()
        .app("live", &format!("weir_publish key; {app}"))
}

/// Returns the slate for all streams of `live`.
fn slate(time: &str) -> String {
    format!(
        "[slate]\nstreams = [\"live/*\"]\nfile = \"@DIR@/slate.png\"\nfor = \"{time}\"\nsecret_file = \"@DIR@/secret\"\n\
         folder = \"@DIR@/slate\"\n"
    )
}

/// An image that is all red, unlike any frame of the harness's stream.
static PICTURE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let source = ["-v", "error", "-f", "lavfi", "-i", "color=red:size=320x180", "-frames:v", "1"];
    let output = Command::new(products::ffmpeg("ffmpeg"))
        .args(source)
        .args(["-f", "image2pipe", "-c:v", "png", "-"])
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
});

/// Returns whether media shows the slate: the average of its first frame is red. `None` if there is no frame yet.
fn is_red(media: &Path) -> Option<bool> {
    let output = Command::new(products::ffmpeg("ffmpeg"))
        .args(["-v", "quiet", "-i"])
        .arg(media)
        .args(["-frames:v", "1", "-vf", "scale=1:1:flags=area", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    let &[red, green, blue] = output.stdout.as_slice() else { return None };
    Some(red > 180 && green < 60 && blue < 60)
}

#[track_caller]
fn publish(nginx: &Nginx, key: &Key) -> Publisher {
    Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started()
}

/// Waits until the slate is ready for a stream with the codecs of the harness's publishers.
#[track_caller]
fn wait_clip(nginx: &Nginx, folder: &str) {
    until("the clip is made", 30.0, || {
        let clips = weir_tests::harness::files::below(&nginx.folder().join(folder));
        clips.iter().any(|clip| {
            let name = clip.file_name().unwrap().to_string_lossy();
            name.starts_with("160x90-20-44100-1-") && name.ends_with(".flv")
        })
    });
}

/// Returns the session of the stream, which differs from publish to publish.
fn session(nginx: &Nginx, name: &str) -> Option<String> {
    nginx.api().stream("live", name)?["session"].as_str().map(str::to_owned)
}
