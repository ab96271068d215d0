//! An input on demand runs from the first viewer to the last, over any protocol; an input with times runs at these times.

use std::process::Command;

use weir_tests::harness::{Player, Sidecar, WebSocket, until};

use super::{INPUT, MEDIA, input, keyed, wait_ended, wait_live};

fn on_demand() -> String {
    input(&format!("file:{}", MEDIA.file("minutes.mp4").display()), "start = \"on-demand\"\n[web]\n")
}

#[test]
fn a_player_of_nginx_starts_it_and_the_last_one_ends_it() {
    let nginx = keyed().start();
    let sidecar = Sidecar::start(&nginx, &on_demand());
    assert!(sidecar.find(INPUT).is_none() && nginx.api().streams().is_empty());
    let player = Player::start(nginx.rtmp(), "live/show");
    wait_live(&nginx, &sidecar, Some("H264"), Some("AAC"));
    player.wait_video(20);
    drop(player);
    wait_ended(&nginx);
    until("the job ends", 10.0, || sidecar.find(INPUT).is_none());
    assert_eq!(sidecar.told("input.ended")["reason"], "stopped");
}

#[test]
fn a_viewer_of_the_daemon_starts_it() {
    let nginx = keyed().start();
    let sidecar = Sidecar::start(&nginx, &on_demand());
    // The first request waits for the stream.
    let mut viewer = WebSocket::connect(sidecar.web(), "/stream/live/show/ws", &[]).unwrap();
    assert!(viewer.receive().is_some());
    wait_live(&nginx, &sidecar, Some("H264"), Some("AAC"));
    let missing = WebSocket::connect(sidecar.web(), "/stream/live/other/ws", &[]).err().unwrap();
    assert_eq!(missing.0, 404);
    // The input runs as long as it has a viewer.
    viewer.during(14.0);
    assert!(nginx.api().stream("live", "show").is_some(), "{}", sidecar.log());
    drop(viewer);
    wait_ended(&nginx);
}

#[test]
fn times_of_the_day_are_those_of_the_clock_on_the_wall() {
    let nginx = keyed().start();
    let in_hours = |hours: u32| {
        let output = Command::new("date").args(["-d", &format!("{hours} hours"), "+%H:%M"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let url = format!("file:{}", MEDIA.file("minutes.mp4").display());
    let now = format!("start = \"{}..{}\"", in_hours(23), in_hours(1));
    let later = format!("start = \"{}..{}\"", in_hours(2), in_hours(3));
    let config = input(&url, &now);
    let sidecar = Sidecar::start(&nginx, &config);
    wait_live(&nginx, &sidecar, Some("H264"), Some("AAC"));
    sidecar.reload(&input(&url, &later).replace("@DIR@", &nginx.folder().to_string_lossy()));
    wait_ended(&nginx);
    until("the job ends", 10.0, || sidecar.find(INPUT).is_none());
}
