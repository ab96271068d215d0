//! The daemon publishes a camera's RTSP stream without transcoding, reconnects by itself, and never shows the camera's password.

use nix::sys::signal::Signal;
use weir_tests::harness::camera::{Camera, PASSWORD};
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Player, Sidecar, until};

use super::{INPUT, MEDIA, input, keyed, restarts, wait_ended, wait_error, wait_live};

#[test]
fn a_camera_is_published_and_its_password_is_nowhere() {
    let (nginx, port) = (keyed().start(), Port::reserve());
    let camera = Camera::start(port.number(), &MEDIA.file("minutes.mp4"));
    let mut sidecar = Sidecar::start(&nginx, &input(&camera.url(PASSWORD), ""));
    wait_live(&nginx, &sidecar, Some("H264"), None);
    Player::start(nginx.rtmp(), "live/show").wait_video(40);
    let process = sidecar.wait_running(INPUT, 10.0);
    assert!(!process.title().contains(PASSWORD), "{}", process.title());
    let job = sidecar.find(INPUT).unwrap();
    assert_eq!((job["ready"].as_bool(), job["renditions"][0].as_str()), (Some(true), Some("rtsp")));
    let told = sidecar.told("input.started");
    assert_eq!((told["app"].as_str(), told["name"].as_str()), (Some("live"), Some("show")));

    process.signal(Signal::SIGKILL);
    until("another ffmpeg runs", 20.0, || restarts(&sidecar) > 0);
    wait_live(&nginx, &sidecar, Some("H264"), None);
    assert_eq!(sidecar.told("input.ended")["reason"], "failed");

    drop(camera);
    wait_ended(&nginx);
    wait_error(&sidecar, &format!("cannot connect to 127.0.0.1:{}: Connection refused", port.number()));
    let _camera = Camera::start(port.number(), &MEDIA.file("minutes.mp4"));
    wait_live(&nginx, &sidecar, Some("H264"), None);
    let (_, logs, _) = sidecar.job(&["logs", INPUT]);
    assert!(!sidecar.log().contains(PASSWORD) && !logs.contains(PASSWORD), "{}\n{logs}", sidecar.log());
}

#[test]
fn what_a_camera_refuses_is_said() {
    let (nginx, port) = (keyed().start(), Port::reserve());
    let camera = Camera::start(port.number(), &MEDIA.file("minutes.mp4"));
    let sidecar = Sidecar::start(&nginx, &input(&camera.url("not-the-password"), ""));
    let error = "401 from rtsp camera: check user and password in url";
    wait_error(&sidecar, error);
    assert_eq!(sidecar.told("input.failed")["error"], error);
    sidecar.wait_log(&format!("input failed: {error}"));
    until("it is tried again", 20.0, || restarts(&sidecar) > 2);
    // A repeated failure is one event.
    assert_eq!(sidecar.log().matches("input failed: ").count(), 1, "{}", sidecar.log());
    assert!(!sidecar.log().contains("not-the-password"), "{}", sidecar.log());
}

#[test]
fn sound_that_nobody_plays_is_named_and_can_be_transcoded() {
    let (nginx, port) = (keyed().start(), Port::reserve());
    let camera = Camera::start_with_alaw(port.number());
    let sidecar = Sidecar::start(&nginx, &input(&camera.url(PASSWORD), ""));
    wait_error(&sidecar, "codec pcm_alaw needs transcode = true");
    drop(sidecar);
    let sidecar = Sidecar::start(&nginx, &input(&camera.url(PASSWORD), "transcode = true"));
    wait_live(&nginx, &sidecar, None, Some("AAC"));
}
