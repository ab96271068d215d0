//! Reloads under attack: with `rtmp_auto_push on`, live publishers and hostile clients, no worker dies.

use weir_tests::fuzz::Drivers;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Player, Publisher, until};

use super::{allow_death, server};

#[test]
fn no_worker_dies_over_ten_reloads_under_fire() {
    let nginx = Config {
        log_level: "notice".to_owned(),
        ..server("weir_session_timeout 2s; weir_idle_publisher 2s;")
    }
    .workers(2)
    .main("rtmp_auto_push on;")
    .app("open", "weir_publish open;")
    .start();
    let publishers =
        ["live/show-1", "open/show-2"].map(|path| Publisher::to(nginx.rtmp(), path).start().started());
    let player = Player::start(nginx.rtmp(), "live/show-1");
    player.wait_video(5);
    let drivers = Drivers::start(nginx.rtmp(), 4);
    for _ in 0..10 {
        nginx.reload();
        // The publishers may be on any worker.
        for path in ["live/show-1", "open/show-2"] {
            Player::start(nginx.rtmp(), path).wait_video(5);
        }
        assert!(!publishers.iter().any(Publisher::is_closed));
    }
    player.wait_video(20);
    assert!(player.seen().gap().as_secs_f64() < 2.0, "{:?}", player.seen().gap());
    assert!(drivers.stop().0 > 100);
    drop((publishers, player));
    until("the old workers end", 15.0, || nginx.draining().is_empty());
    // When the test ends, the harness checks the log for workers that died.
}

#[test]
fn without_the_module_workers_die_at_a_reload() {
    let mut nginx = Config::stock().workers(2).main("rtmp_auto_push on;").app("live", "").start();
    allow_death(&mut nginx);
    nginx.allow("[alert]");
    let publishers: Vec<_> =
        (0..6).map(|nth| Publisher::to(nginx.rtmp(), &format!("live/s{nth}")).start().started()).collect();
    publishers[0].send_more(300);
    nginx.reload();
    nginx.wait_log("exited on signal");
    until("a publisher is lost", 10.0, || publishers.iter().any(Publisher::is_closed));
}
