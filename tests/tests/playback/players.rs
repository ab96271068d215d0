//! A player without any support for tokens plays a protected stream from the link alone, and cannot play it without the token: ffmpeg, mpv
//! and GStreamer, and hls.js and dash.js in Chromium.

use std::path::Path;
use std::process::{Command, Output};

use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Ffmpeg, Nginx, files, products, until};

use super::{config, token};

/// A page that plays the MPD of its query, with the token of the query.
const DASH_PAGE: &str = "<!DOCTYPE html><video id=video muted autoplay></video>
    <script src=/dashjs/modern/umd/dash.all.min.js></script><script>
    window.errors = [];
    const player = dashjs.MediaPlayer().create();
    player.updateSettings({ debug: { logLevel: dashjs.Debug.LOG_LEVEL_NONE } });
    player.on('error', (event) => errors.push(event.error.message));
    player.initialize(document.getElementById('video'), '/dash/show.mpd' + location.search, true);
    </script>";

/// Publishes `live/show` to a server that protects HLS, DASH and RTMP, and waits until the stream can be played.
pub(super) fn live() -> (Nginx, Ffmpeg) {
    let page = products::workspace().join("nginx-conf/single-node/www");
    let dash =
        products::tool(&products::workspace().join("build/npm/node_modules/dashjs/dist").to_string_lossy());
    let nginx = config()
        .app(
            "live",
            "weir_publish open; weir_play token;
             hls on; hls_path @DIR@/hls; hls_fragment 1s; hls_playlist_length 60s;
             dash on; dash_path @DIR@/dash; dash_fragment 1s; dash_playlist_length 60s;",
        )
        .web("include /etc/nginx/mime.types;")
        .file("dash.html", DASH_PAGE)
        .http(&format!(
            "root @DIR@; weir_play token app=live; location /hls/ {{ }} location /dash/ {{ }}
             location / {{ root {}; index index.html; weir_play off; }} location = /favicon.ico {{ return 204; }}
             location /dashjs/ {{ alias {}/; weir_play off; }}
             location = /dash.html {{ weir_play off; }}",
            page.display(),
            dash.display()
        ))
        .start();
    let encoder = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    until("four segments of both", 60.0, || {
        files::text(&nginx.path("hls/show.m3u8")).matches(".ts").count() >= 4
            && files::text(&nginx.path("dash/show.mpd")).matches("<S ").count() >= 4
    });
    (nginx, encoder)
}

/// Plays two seconds of a URL.
fn play(url: &str) -> Output {
    let arguments = ["-v", "error", "-nostdin", "-i", url, "-t", "2", "-f", "null", "-"];
    Command::new(products::ffmpeg("ffmpeg")).args(arguments).output().unwrap()
}

#[test]
fn ffmpeg_plays_hls_dash_and_rtmp_from_the_link() {
    let (nginx, _encoder) = live();
    let token = token("show");
    for url in [
        nginx.url("/hls/show.m3u8"),
        nginx.url("/dash/show.mpd"),
        format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()),
    ] {
        let with = play(&format!("{url}?token={token}"));
        assert!(with.status.success() && with.stderr.is_empty(), "{url}: {with:?}");
        assert!(!play(&url).status.success(), "{url}");
    }
}

#[test]
fn mpv_decodes_from_the_link() {
    let (nginx, _encoder) = live();
    let token = token("show");
    for url in [nginx.url("/hls/show.m3u8"), format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp())] {
        let frames = |url: &str| {
            let folder = tempfile::tempdir().unwrap();
            let mut mpv = Command::new(products::tool("/usr/bin/mpv"));
            mpv.args(["--no-config", "--vo=image", "--ao=null", "--frames=20", "--really-quiet"]);
            let output =
                mpv.arg(format!("--vo-image-outdir={}", folder.path().display())).arg(url).output().unwrap();
            (output.status.success(), std::fs::read_dir(folder.path()).unwrap().count())
        };
        assert_eq!(frames(&format!("{url}?token={token}")), (true, 20), "{url}");
        assert_eq!(frames(&url), (false, 0), "{url}");
    }
}

#[test]
#[ignore = "half a minute: make test-long"]
fn gstreamer_decodes_from_the_link() {
    let (nginx, _encoder) = live();
    let token = token("show");
    for url in [nginx.url("/hls/show.m3u8"), nginx.url("/dash/show.mpd")] {
        let frames = |url: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            let player = gstreamer(url, 20, file.path());
            let mut command = Command::new("timeout");
            let output =
                command.arg("60").arg(player.get_program()).args(player.get_args()).output().unwrap();
            (output, gstreamer_frames(file.path()))
        };
        let (output, decoded) = frames(&format!("{url}?token={token}"));
        assert!(decoded >= 20, "{url}: {decoded} frames: {output:?}");
        assert_eq!(frames(&url).1, 0, "{url}");
    }
}

/// Returns the command with which GStreamer writes the first frames of a URL to a file. With `uridecodebin` in place of `uridecodebin3`,
/// GStreamer 1.22 often stops after 16 frames of a live playlist, also of a stock nginx.
pub(super) fn gstreamer(url: &str, frames: usize, file: &Path) -> Command {
    let mut command = Command::new(products::tool("/usr/bin/gst-launch-1.0"));
    command.args(["-q", "uridecodebin3", &format!("uri={url}"), "name=d"]);
    command.args("d. ! queue ! videoconvert ! video/x-raw,format=I420 ! identity".split(' '));
    // `identity` may drop the frame at which it ends.
    command.arg(format!("eos-after={}", frames + 1)).args(["!", "filesink"]);
    command.arg(format!("location={}", file.display()));
    command
}

/// Returns the number of frames in such a file.
pub(super) fn gstreamer_frames(file: &Path) -> usize {
    // Size of a frame of 160x90 pixels in I420, whose rows are multiples of four bytes.
    const FRAME: u64 = 160 * 90 + 2 * 80 * 45;
    (std::fs::metadata(file).map_or(0, |file| file.len()) / FRAME) as usize
}

#[test]
fn dash_js_plays_from_the_link() {
    let (nginx, _encoder) = live();
    let browser = Browser::start();
    browser.open(&nginx.url(&format!("/dash.html?token={}", token("show"))));
    until("three seconds are played", 60.0, || played(&browser) > 3.0);
    assert_eq!(browser.run("return errors"), serde_json::json!([]));
    browser.open(&nginx.url("/dash.html"));
    nginx.wait_log("play refused: no token: this stream needs one");
    assert!(played(&browser) == 0.0);
}

/// Returns how many seconds the page's video has played, once frames were decoded.
pub(super) fn played(browser: &Browser) -> f64 {
    let script = "const video = document.getElementById('video');
        return video.getVideoPlaybackQuality().totalVideoFrames > 10 ? video.currentTime - (window.begin ??= video.currentTime) : 0";
    browser.run(script).as_f64().unwrap_or_default()
}

#[test]
fn the_page_plays_from_its_link() {
    let (nginx, _encoder) = live();
    let browser = Browser::start();
    browser.open(&nginx.url(&format!("/?stream=show&token={}", token("show"))));
    until("three seconds are played", 60.0, || played(&browser) > 3.0);
    browser.open(&nginx.url("/?stream=show"));
    nginx.wait_log("play refused: no token: this stream needs one");
    assert!(played(&browser) == 0.0);
}
