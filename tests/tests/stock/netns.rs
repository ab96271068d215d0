//! The harness's own network: connections over its link have an address of their own, a pulled cable notifies neither end, and a plugged
//! cable delivers the packets that were in transit.

use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Netns, Player, Publisher, until, until_ok};

#[test]
fn a_cable_is_pulled_and_plugged() {
    let net = Netns::create();
    let nginx = Config::stock().reached_from(&net).app("live", "").start();
    let publisher = Publisher::to(nginx.rtmp(), "live/show").across(&net, 7).start().started();
    let player = Player::start(nginx.rtmp(), "live/show");
    player.wait_video(5);
    assert!(nginx.log().contains(&format!("client connected '{}'", net.address(7))));
    net.pull();
    let seen = || player.seen().video;
    until("nothing arrives any more", 5.0, || {
        let before = seen();
        until_ok(0.5, || seen() > before).is_none()
    });
    assert!(!publisher.is_closed() && !player.seen().closed);
    net.plug();
    player.wait_video(5);
    Player::start_across(&net, 8, nginx.rtmp(), "live/show").wait_video(5);
}

#[test]
fn networks_do_not_meet() {
    let nets = [Netns::create(), Netns::create()];
    assert_ne!(nets[0].host(), nets[1].host());
    let nginx = Config::stock().reached_from(&nets[0]).app("live", "").start();
    assert!(nets[0].connect(1, nginx.rtmp()).is_ok());
    assert!(nets[1].connect(1, nginx.rtmp()).is_err());
}
