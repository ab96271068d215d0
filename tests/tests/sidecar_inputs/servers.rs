//! The daemon pulls streams of other servers, over HLS and over RTMP.

use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Ffmpeg, Player, Sidecar, until};

use super::{input, keyed, wait_error, wait_live};

fn other() -> Config {
    Config::stock()
        .app("live", "hls on; hls_path @DIR@/hls; hls_fragment 1s; hls_playlist_length 6s;")
        .http("location /hls { root @DIR@; }")
}

#[test]
fn hls_of_another_server_is_published() {
    let (nginx, other) = (keyed().start(), other().start());
    let url = other.url("/hls/far.m3u8");
    let sidecar = Sidecar::start(&nginx, &input(&url, ""));
    wait_error(&sidecar, "404 from http server: check the path in url");
    let _encoder = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/far", other.rtmp()));
    until("the playlist is there", 20.0, || other.folder().join("hls/far.m3u8").exists());
    wait_live(&nginx, &sidecar, Some("H264"), Some("AAC"));
    Player::start(nginx.rtmp(), "live/show").wait_video(20);
}

#[test]
fn rtmp_of_another_server_is_published() {
    let (nginx, other) = (keyed().start(), other().start());
    let _encoder = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/far", other.rtmp()));
    let url = format!("rtmp://127.0.0.1:{}/live/far", other.rtmp());
    let sidecar = Sidecar::start(&nginx, &input(&url, ""));
    wait_live(&nginx, &sidecar, Some("H264"), Some("AAC"));
    Player::start(nginx.rtmp(), "live/show").wait_video(20);
}
