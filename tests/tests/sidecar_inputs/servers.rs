//! The daemon pulls streams of other servers, over HLS and over RTMP.

use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Ffmpeg, Player, Sidecar, products, until};

use super::{INPUT, MEDIA, input, keyed, wait_error, wait_live};

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
fn a_recording_over_hls_is_published_at_its_own_speed() {
    let (nginx, other) = (keyed().start(), other().start());
    let folder = other.folder().join("hls");
    std::fs::create_dir_all(&folder).unwrap();
    let made = std::process::Command::new(products::ffmpeg("ffmpeg"))
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(MEDIA.file("minutes.mp4"))
        .args(["-t", "60", "-c", "copy", "-f", "hls", "-hls_playlist_type", "vod"])
        .arg(folder.join("clip.m3u8"))
        .status()
        .unwrap();
    assert!(made.success());
    let sidecar = Sidecar::start(&nginx, &input(&other.url("/hls/clip.m3u8"), ""));
    wait_live(&nginx, &sidecar, Some("H264"), Some("AAC"));
    let begun = std::time::Instant::now();
    Player::start(nginx.rtmp(), "live/show").wait_video(50);
    assert!(nginx.api().stream("live", "show").is_some(), "it is over after {:?}", begun.elapsed());
    let speed = || sidecar.find(INPUT)?["progress"]["speed"].as_f64();
    until("the speed is known", 20.0, || speed().is_some());
    let speed = speed().unwrap();
    assert!((0.5..2.0).contains(&speed), "{speed}");
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
