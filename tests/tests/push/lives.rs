//! After a restart, a reload or the death of a worker, pushes continue as configured, and each target gets each stream once.

use serde_json::json;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::peer::assert_unbroken;
use weir_tests::harness::{Peer, Player, Publisher, until};

use super::{add, patch, remove, source, wait_state};

fn kept() -> Config {
    Config::weir()
        .main("weir_zone 2m state=@DIR@/state;")
        .http("location /api { weir_api; }")
        .app("live", "weir_publish open; weir_push on;")
}

#[test]
fn after_a_restart_targets_are_pushed_to_again() {
    let mut nginx = kept().start();
    let peer = Peer::takes();
    let id = add(&nginx.api(), "show", &peer.url("app/key"));
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    peer.wait_media("key");
    nginx.restart(|_| ());
    drop(publisher);
    until("the connection is closed", 5.0, || peer.open("key").is_empty());
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    wait_state(&nginx.api(), &id, "live");
    peer.wait_frames("key", 20);
    assert_eq!(peer.open("key").len(), 1);
}

#[test]
fn an_old_worker_keeps_its_stream_and_follows_changes_made_at_the_new_one() {
    let nginx = source("").start();
    let (api, peer) = (nginx.api(), Peer::takes());
    add(&api, "show", &peer.url("app/first"));
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    peer.wait_media("first");
    nginx.reload();
    let second = add(&api, "show", &peer.url("app/second"));
    wait_state(&api, &second, "live");
    peer.wait_frames("second", 20);
    patch(&api, &second, &json!({"enabled": false}));
    peer.wait_closed("second");
    wait_state(&api, &second, "off");
    patch(&api, &second, &json!({"enabled": true}));
    peer.wait_frames("second", 20);
    remove(&api, &second);
    peer.wait_closed("second");
    let call = peer.wait_frames("first", 20);
    assert_eq!(peer.open("first").len(), 1);
    assert_unbroken(&call.frames);
    assert!(!publisher.is_closed());
}

#[test]
fn after_the_death_of_a_worker_the_next_one_pushes() {
    let mut nginx = source("").start();
    let (api, peer) = (nginx.api(), Peer::takes());
    let id = add(&api, "show", &peer.url("app/key"));
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    peer.wait_media("key");
    nginx.kill_worker(nginx.workers()[0]);
    publisher.wait_closed(5.0);
    peer.wait_closed("key");
    until("the session of the dead is gone", 10.0, || super::session(&api, &id).is_null());
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    wait_state(&api, &id, "live");
    peer.wait_frames("key", 20);
    assert_eq!(peer.open("key").len(), 1);
}

#[test]
fn with_rtmp_auto_push_each_target_gets_a_stream_once() {
    let nginx = source("").workers(2).main("rtmp_auto_push on; rtmp_socket_dir @DIR@;").start();
    let (api, peer) = (nginx.api(), Peer::takes());
    add(&api, "*", &peer.url("app/any"));
    add(&api, "show", &peer.url("app/key"));
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    peer.wait_frames("key", 20);
    peer.wait_frames("any", 20);
    let connected = || {
        let player = Player::start(nginx.rtmp(), "live/show");
        player.wait_playing();
        player
    };
    for worker in nginx.workers() {
        nginx.on_worker(worker, connected).wait_video(10);
    }
    // By now, each worker has the stream.
    peer.wait_frames("key", 60);
    assert_eq!((peer.open("key").len(), peer.open("any").len(), peer.calls().len()), (1, 1, 2));
}

#[test]
fn a_change_of_the_configuration_changes_its_targets_for_streams_that_come() {
    let peer = Peer::takes();
    let to = |name: &str| format!("weir_publish open; weir_push_to {};", peer.url(name));
    let mut nginx = Config::weir().with_api().app("live", &to("app/old")).start();
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    peer.wait_media("old");
    nginx.edit(|_| Config::weir().with_api().app("live", &to("app/new")));
    nginx.reload();
    peer.wait_frames("old", 20);
    publisher.close();
    peer.wait_closed("old");
    until("the stream is gone", 5.0, || nginx.api().streams().is_empty());
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    peer.wait_frames("new", 20);
    assert!(peer.open("old").is_empty());
}
