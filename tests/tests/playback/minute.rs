//! Players without any support for tokens play a minute of a protected stream from the link alone: ffmpeg, mpv and GStreamer. The token in
//! the link lasts little longer than the minute. `renewed.rs` has the players of pages.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use weir_tests::harness::{Nginx, files, products};

use super::players::{gstreamer, gstreamer_frames, live};
use super::renewed::lasting;

/// Frames of a minute: the stream has 20 frames per second.
const MINUTE: usize = 60 * 20;

/// Duration of the token, in seconds: the minute, the start of a player, and the delays of a busy machine.
const LIFE: u64 = 120;

/// A player without a window.
struct Headless {
    /// Returns the command that plays a URL, and writes the frames to a folder.
    command: fn(&str, &Path) -> Command,
    /// Returns the number of frames in the folder.
    frames: fn(&Path) -> usize,
}

impl Headless {
    fn run(&self, url: &str) -> (usize, Output) {
        let folder = tempfile::tempdir().unwrap();
        let player = (self.command)(url, folder.path());
        let mut command = Command::new("timeout");
        command.arg("150").arg(player.get_program()).args(player.get_args()).stdin(Stdio::null());
        let output = command.output().unwrap();
        ((self.frames)(folder.path()), output)
    }

    /// Plays all URLs at the same time. Asserts that each shows a minute, and nothing without its token.
    #[track_caller]
    fn plays_a_minute(&self, urls: &[String]) {
        let token = lasting(LIFE);
        std::thread::scope(|scope| {
            let token = &token;
            let play = |url| scope.spawn(move || self.run(&format!("{url}?token={token}")));
            let playing: Vec<_> = urls.iter().map(|url| (url, play(url))).collect();
            for (url, thread) in playing {
                let (frames, output) = thread.join().unwrap();
                println!("{url}: {frames} frames");
                assert!(frames >= MINUTE, "{url}: {frames} frames: {output:?}");
            }
        });
        for url in urls {
            assert_eq!(self.run(url).0, 0, "{url}");
        }
    }
}

fn rtmp(nginx: &Nginx) -> String {
    format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp())
}

#[test]
#[ignore = "a minute: make test-long"]
fn ffmpeg_plays_hls_dash_and_rtmp_for_a_minute() {
    let (nginx, _encoder) = live();
    let ffmpeg = Headless {
        command: |url, folder| {
            let mut command = Command::new(products::ffmpeg("ffmpeg"));
            command.args(["-v", "error", "-nostdin", "-i", url, "-map", "0:v:0"]);
            command.args(["-frames:v", &MINUTE.to_string(), "-f", "framecrc"]).arg(folder.join("frames"));
            command
        },
        frames: |folder| {
            let text = files::text(&folder.join("frames"));
            text.lines().filter(|line| !line.starts_with('#')).count()
        },
    };
    ffmpeg.plays_a_minute(&[nginx.url("/hls/show.m3u8"), nginx.url("/dash/show.mpd"), rtmp(&nginx)]);
}

#[test]
#[ignore = "a minute: make test-long"]
fn mpv_plays_hls_and_rtmp_for_a_minute() {
    let (nginx, _encoder) = live();
    let mpv = Headless {
        command: |url, folder| {
            let mut command = Command::new(products::tool("/usr/bin/mpv"));
            command.args(["--no-config", "--vo=image", "--ao=null", "--really-quiet"]);
            command.arg(format!("--frames={MINUTE}"));
            command.arg(format!("--vo-image-outdir={}", folder.display())).arg(url);
            command
        },
        frames: |folder| std::fs::read_dir(folder).unwrap().count(),
    };
    mpv.plays_a_minute(&[nginx.url("/hls/show.m3u8"), rtmp(&nginx)]);
}

#[test]
#[ignore = "a minute: make test-long"]
fn gstreamer_plays_hls_for_a_minute() {
    let (nginx, _encoder) = live();
    let player = Headless {
        command: |url, folder| gstreamer(url, MINUTE, &folder.join("frames")),
        frames: |folder| gstreamer_frames(&folder.join("frames")),
    };
    player.plays_a_minute(&[nginx.url("/hls/show.m3u8")]);
}
