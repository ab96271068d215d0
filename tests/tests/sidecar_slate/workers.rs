//! With several workers, a publisher that returns takes the stream over from the slate in another worker.

use weir_tests::harness::{Player, Publisher, Sidecar, until};

use super::{keyed, publish, slate, wait_clip};

#[test]
fn a_publisher_comes_back_in_another_worker() {
    let nginx = keyed("").workers(2).main("rtmp_auto_push on;").start();
    let sidecar = Sidecar::start(&nginx, &slate("60s"));
    let key = nginx.api().create_key("live", "show");
    let [one, other] = nginx.workers()[..] else { panic!("{:?}", nginx.workers()) };
    let publisher = nginx.on_worker(one, || publish(&nginx, &key));
    let players = [one, other].map(|worker| {
        nginx.on_worker(worker, || {
            let player = Player::start(nginx.rtmp(), "live/show");
            player.wait_playing();
            player
        })
    });
    players.iter().for_each(|player| player.wait_video(20));
    wait_clip(&nginx, "slate");
    publisher.kill();
    sidecar.wait_log("publisher lost: showing the slate");
    players.iter().for_each(|player| player.wait_video(40));
    let slate = nginx.api().stream("live", "show").unwrap();
    let elsewhere = if slate["publisher"]["worker_pid"] == one.0 { other } else { one };
    let publisher = nginx.on_worker(elsewhere, || {
        let publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).manual().start();
        publisher.wait_stream_created();
        publisher
    });
    // Both workers must run, because the slate's session ends in the other worker.
    publisher.manually(|connection| connection.client.send_publish());
    let publisher = publisher.started();
    sidecar.wait_log("the slate ended: a publisher is back");
    until("the publisher's stream is live", 10.0, || {
        nginx.api().stream("live", "show").is_some_and(|now| now["session"] != slate["session"])
    });
    players.iter().for_each(|player| player.wait_video(40));
    assert!(!publisher.is_closed());
    assert!(players.iter().all(|player| !player.seen().closed));
}
