//! The stock server with the harness's own clients and with ffmpeg: publishing, playing, reloading, ending.

use nix::sys::signal::Signal;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Ffmpeg, Player, Publisher, ffmpeg, files, until, until_ok};

#[test]
fn a_publisher_is_seen_by_a_player_and_in_hls() {
    let nginx = Config::stock().app("live", "hls on; hls_path @DIR@/hls; hls_fragment 1s;").start();
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let player = Player::start(nginx.rtmp(), "live/show");
    player.wait_video(20);
    assert!(player.seen().audio > 10);
    let playlist = nginx.path("hls/show.m3u8");
    let segments =
        until("three segments", 10.0, || Some(files::segments(&playlist)).filter(|s| s.len() >= 3));
    let times = ffmpeg::video_times(&nginx.path("hls").join(&segments[0].0));
    assert!(times.len() >= 10, "{times:?}");
    publisher.close();
}

#[test]
fn ffmpeg_publishes_too() {
    let nginx = Config::stock().app("live", "").start();
    let ffmpeg = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    until("ffmpeg publishes", 10.0, || nginx.log().contains("publish: name='show'"));
    Player::start(nginx.rtmp(), "live/show").wait_video(5);
    drop(ffmpeg);
}

#[test]
fn play_of_a_stream_that_is_not_there_is_answered_but_brings_nothing() {
    let nginx = Config::stock().app("live", "").start();
    let player = Player::start(nginx.rtmp(), "live/nobody");
    until("an answer to play", 5.0, || !player.seen().statuses.is_empty());
    assert_eq!(player.seen().statuses[0].code, "NetStream.Play.Start");
    assert_eq!(player.seen().video, 0);
}

#[test]
fn publishers_live_on_in_the_old_worker_over_a_reload() {
    let mut nginx = Config::stock().workers(2).app("live", "").start();
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    publisher.send_more(300);
    nginx.edit(|config| config.workers(1));
    nginx.reload();
    assert_eq!((nginx.workers().len(), nginx.draining().len()), (1, 1));
    publisher.send_more(300);
    publisher.close();
    until("the old worker ends", 10.0, || nginx.draining().is_empty());
}

#[test]
fn a_killed_worker_is_replaced() {
    let mut nginx = Config::stock().app("live", "").start();
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let worker = nginx.workers()[0];
    nginx.kill_worker(worker);
    publisher.wait_closed(5.0);
    Publisher::to(nginx.rtmp(), "live/show").start().started();
}

#[test]
fn a_rejected_reload_changes_nothing() {
    let mut nginx = Config::stock().app("live", "").start();
    nginx.edit(|config| config.main("nonsense;"));
    let message = nginx.reload_rejected();
    assert!(message.starts_with("unknown directive \"nonsense\""), "{message}");
    Publisher::to(nginx.rtmp(), "live/show").start().started();
}

#[test]
fn the_binary_can_be_replaced() {
    let mut config = Config::stock().app("live", "");
    config.daemon = true;
    let mut nginx = config.start();
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let old = nginx.upgrade();
    old.signal(Signal::SIGQUIT);
    publisher.send_more(300);
    publisher.close();
    until("the old master ends", 10.0, || !old.is_alive());
    Publisher::to(nginx.rtmp(), "live/show").start().started();
}

#[test]
fn configuration_errors_are_told() {
    assert_eq!(Config::stock().main("nonsense;").rejected(), "unknown directive \"nonsense\"");
    assert!(Config::stock().app("live", "").accepted().contains("syntax is ok"));
}

/// Because of this, `master_process off` is for debugging only, and Weir's tests do not expect more of it.
#[test]
fn a_single_process_serves_no_rtmp_after_a_reload() {
    let nginx = Config { master: false, ..Config::stock().app("live", "").http("return 200;") }.start();
    Publisher::to(nginx.rtmp(), "live/show").start().started();
    nginx.master().signal(Signal::SIGHUP);
    until("the configuration is read again", 10.0, || nginx.log_lines(": reconfiguring").len() == 1);
    let connected = nginx.log_lines("client connected").len();
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start();
    assert!(until_ok(1.0, || !publisher.statuses().is_empty()).is_none());
    assert_eq!(nginx.log_lines("client connected").len(), connected);
}
