//! Many targets: fifty of one stream, three for each of a hundred streams, and a zone with a thousand targets, few of them live.

use weir_tests::harness::peer::assert_unbroken;
use weir_tests::harness::{Crowd, Peer, Publisher, until};

use super::{Stage, add, remove, source};

#[test]
fn fifty_targets_of_one_stream() {
    let stage = Stage::set(source(""));
    let peer = Peer::takes();
    let ids: Vec<_> = (0..50).map(|nth| stage.add(&peer.url(&format!("app/key-{nth}")))).collect();
    until("all are live", 30.0, || peer.playing() == 50);
    for nth in 0..50 {
        assert_unbroken(&peer.wait_frames(&format!("key-{nth}"), 60).frames);
    }
    assert_eq!(peer.calls().len(), 50);
    let sessions = stage.api.stream("live", "show").unwrap()["targets"].clone();
    assert_eq!(sessions.as_array().unwrap().len(), 51);
    ids.iter().for_each(|id| remove(&stage.api, id));
    until("all are gone", 10.0, || peer.playing() == 0);
    stage.is_undisturbed();
}

#[test]
fn a_hundred_streams_with_three_targets_each() {
    let nginx = source("").connections(1024).start();
    let (api, peer) = (nginx.api(), Peer::takes());
    for target in ["one", "two", "three"] {
        add(&api, "*", &peer.url(&format!("app/{target}")));
    }
    let crowd = Crowd::start(nginx.rtmp(), (0..100).map(|nth| format!("live/show-{nth}"))).started();
    until("all are at all", 60.0, || peer.playing() == 300);
    until("media from each", 30.0, || crowd.sent() >= 3);
    assert_eq!((peer.calls().len(), crowd.broken()), (300, 0));
    drop(crowd);
    until("all have ended", 10.0, || peer.playing() == 0);
}

#[test]
fn a_thousand_in_the_zone_and_few_that_are_live() {
    let nginx = source("").start();
    let (api, peer) = (nginx.api(), Peer::takes());
    for nth in 0..1000 {
        add(&api, &format!("other-{nth}"), &peer.url(&format!("app/other-{nth}")));
    }
    add(&api, "show", &peer.url("app/first"));
    add(&api, "show", &peer.url("app/second"));
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    peer.wait_frames("first", 20);
    assert_unbroken(&peer.wait_frames("second", 60).frames);
    assert_eq!(peer.calls().len(), 2);
    assert_eq!(api.get("/v1/targets").expect(200)["targets"].as_array().unwrap().len(), 1002);
    assert!(!publisher.is_closed());
}
