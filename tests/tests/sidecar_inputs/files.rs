//! Files and playlists are played in a loop, in real time, and timestamps only increase. `weir top` lists the inputs.

use std::process::Command;

use serde_json::Value;
use weir_tests::harness::{Nginx, Player, Sidecar, products, until};

use super::{INPUT, MEDIA, input, keyed, wait_error, wait_live};

/// Plays for longer than the duration of the file.
#[track_caller]
fn wait_rounds(nginx: &Nginx, sidecar: &Sidecar) {
    wait_live(nginx, sidecar, Some("H264"), Some("AAC"));
    let player = Player::start(nginx.rtmp(), "live/show");
    player.wait_video(20);
    let first = player.seen().first_video.unwrap();
    until("three rounds are played", 20.0, || player.seen().last_video.unwrap() > first + 6000);
    let job = sidecar.find(INPUT).unwrap();
    assert_eq!(job["restarts"], 0, "{}", sidecar.log());
    let speed = job["progress"]["speed"].as_f64().unwrap();
    assert!((0.8..1.3).contains(&speed), "{job}");
}

#[test]
fn a_file_is_played_in_a_loop() {
    let nginx = keyed().start();
    let sidecar = Sidecar::start(&nginx, &input(&format!("file:{}", MEDIA.file("two.mp4").display()), ""));
    wait_rounds(&nginx, &sidecar);
}

#[test]
fn a_playlist_is_played_in_a_loop_and_missing_files_are_left_out() {
    let list = "#EXTM3U\n#EXTINF:2,One\ntwo.mp4\nmissing.mp4\ntwo.mp4\n";
    std::fs::write(MEDIA.file("list.m3u"), list).unwrap();
    let nginx = keyed().start();
    let sidecar =
        Sidecar::start(&nginx, &input(&format!("playlist:{}", MEDIA.file("list.m3u").display()), ""));
    wait_rounds(&nginx, &sidecar);
    sidecar.wait_log("playlist entry left out: no such file: ");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let nginx = keyed().start();
    let sidecar = Sidecar::start(&nginx, &input("file:/nowhere/a.mp4", ""));
    wait_error(&sidecar, "job cannot run: /nowhere/a.mp4: No such file or directory (os error 2)");
    assert!(sidecar.told("input.failed")["error"].as_str().unwrap().starts_with("/nowhere/a.mp4"));
}

#[test]
fn top_lists_the_inputs() {
    let nginx = keyed().start();
    let sidecar = Sidecar::start(&nginx, &input("file:/nowhere/a.mp4", ""));
    wait_error(&sidecar, "job cannot run: /nowhere/a.mp4: No such file or directory (os error 2)");
    let top = |more: &[&str], socket: &str| {
        let mut command = Command::new(products::weir());
        command.args(["top", "--once", "--api", &nginx.url("/api"), "--socket", socket]).args(more);
        let output = command.env_remove("WEIR_API").env_remove("WEIR_SOCKET").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let socket = sidecar.socket().display().to_string();
    // The input is `starting` for a moment at each try.
    until("the input waits for its next try, and the reason is shown", 20.0, || {
        let shown = top(&[], &socket);
        let mut lines = shown.lines().filter(|line| line.starts_with("live/show "));
        lines.any(|line| line.contains("waiting") && line.contains("/nowhere/a.mp4"))
    });
    let told: Value = serde_json::from_str(&top(&["--json"], &socket)).unwrap();
    assert_eq!(told["inputs"][0]["id"], INPUT);
    // nginx also runs without a daemon.
    assert!(!top(&[], "/nowhere/weir.sock").contains("INPUT"));
    let told: Value = serde_json::from_str(&top(&["--json"], "/nowhere/weir.sock")).unwrap();
    assert!(told["streams"].is_array() && told["inputs"].is_null(), "{told}");
}
