//! Files and playlists are played in a loop, in real time, and timestamps only increase.

use weir_tests::harness::{Nginx, Player, Sidecar, until};

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
