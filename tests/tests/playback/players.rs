//! A player that knows nothing of tokens plays a protected stream from the link alone, and nothing without it.

use std::process::{Command, Output};

use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Ffmpeg, Nginx, files, products, until};

use super::{config, token};

/// Publishes `live/show` to a server whose HLS, DASH and RTMP are protected, and waits until it can be played.
fn live() -> (Nginx, Ffmpeg) {
    let page = products::workspace().join("nginx-conf/single-node/www");
    let nginx = config()
        .app(
            "live",
            "weir_publish open; weir_play token;
             hls on; hls_path @DIR@/hls; hls_fragment 1s; hls_playlist_length 60s;
             dash on; dash_path @DIR@/dash; dash_fragment 1s; dash_playlist_length 60s;",
        )
        .web("include /etc/nginx/mime.types;")
        .http(&format!(
            "root @DIR@; weir_play token app=live; location /hls/ {{ }} location /dash/ {{ }}
             location / {{ root {}; index index.html; weir_play off; }} location = /favicon.ico {{ return 204; }}",
            page.display()
        ))
        .start();
    let encoder = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    until("four segments of both", 60.0, || {
        files::text(&nginx.path("hls/show.m3u8")).matches(".ts").count() >= 4
            && files::text(&nginx.path("dash/show.mpd")).matches("<S ").count() >= 4
    });
    (nginx, encoder)
}

/// Plays two seconds.
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
fn the_page_plays_from_its_link() {
    let (nginx, _encoder) = live();
    let browser = Browser::start();
    let played =
        || browser.run("return document.getElementById('video').currentTime").as_f64().unwrap_or_default();
    browser.open(&nginx.url(&format!("/?stream=show&token={}", token("show"))));
    until("three seconds are played", 60.0, || played() > 3.0);
    browser.open(&nginx.url("/?stream=show"));
    nginx.wait_log("play refused: no token: this stream needs one");
    assert!(played() == 0.0);
}
