//! Files and playlists are played in a loop, in real time, and timestamps only increase. `weir top` shows inputs and their errors.

use serde_json::{Value, json};
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

#[test]
fn weir_top_shows_each_input_with_its_state_and_its_error() {
    let nginx = keyed().start();
    let missing = "[[input]]\napp = \"live\"\nstream = \"door\"\nurl = \"file:/nowhere/a.mp4\"\nsecret_file = \"@DIR@/secret\"";
    let url = format!("file:{}", MEDIA.file("minutes.mp4").display());
    let sidecar = Sidecar::start(&nginx, &input(&url, missing));
    wait_live(&nginx, &sidecar, Some("H264"), Some("AAC"));
    let error = "/nowhere/a.mp4: No such file or directory";
    until("the missing file is told", 30.0, || {
        sidecar.find("live/door/input").is_some_and(|job| job["last_error"].to_string().contains(error))
    });
    let top = |more: &[&str]| {
        let (status, text, errors) =
            sidecar.command(&[&["top", "--once", "--api", &nginx.url("/api")], more].concat());
        assert_eq!(status, 0, "{errors}");
        text
    };
    let text = top(&[]);
    let (streams, inputs) = text.split_once("\nINPUT ").expect("a table of inputs");
    assert!(streams.contains("live/show"), "{text}");
    let row = |name: &str| inputs.lines().find(|line| line.starts_with(name)).map(str::to_owned);
    assert!(row("live/show ").is_some_and(|row| row.contains(" running ")), "{text}");
    assert!(row("live/door ").is_some_and(|row| row.contains(error)), "{text}");
    let all: Value = serde_json::from_str(&top(&["--json"])).unwrap();
    let mut ids: Vec<&Value> = all["inputs"].as_array().unwrap().iter().map(|input| &input["id"]).collect();
    ids.sort_by_key(|id| id.to_string());
    assert_eq!(json!(ids), json!(["live/door/input", INPUT]));
}
