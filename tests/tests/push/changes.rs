//! Targets that are added, paused, resumed, changed and removed while the stream is live: each change begins immediately, the target is
//! told when the push ends, and no other target loses a frame.

use std::time::{Duration, Instant};

use serde_json::json;
use weir_tests::harness::{Peer, peer::Call, until};

use super::{Stage, patch, remove, source};

/// Longest time from the API's answer until a change has begun. The limit is generous because the tests run in parallel; the benchmark
/// measures the real time.
const SOON: Duration = Duration::from_secs(2);

/// Asserts that the target got these commands before its connection ended.
#[track_caller]
fn assert_told(call: &Call) {
    let goodbye = ["FCUnpublish".to_owned(), "deleteStream".to_owned()];
    assert!(call.commands.ends_with(&goodbye), "{:?}", call.commands);
}

#[test]
fn each_change_begins_at_once_and_disturbs_nobody() {
    let stage = Stage::set(source(""));
    let peer = Peer::takes();
    let id = stage.add(&peer.url("app/key"));
    let begin = Instant::now();
    let call = peer.wait_media("key");
    assert!(call.first_media.unwrap() - begin < SOON);
    peer.wait_frames("key", 20);

    patch(&stage.api, &id, &json!({"enabled": false}));
    let begin = Instant::now();
    let call = peer.wait_closed("key");
    assert_told(&call);
    assert!(call.closed.unwrap().saturating_duration_since(begin) < SOON);
    stage.wait_state(&id, "off");

    patch(&stage.api, &id, &json!({"enabled": true}));
    stage.wait_state(&id, "live");
    peer.wait_frames("key", 20);

    patch(&stage.api, &id, &json!({"url": peer.url("app/other")}));
    assert_told(&peer.wait_closed("key"));
    peer.wait_frames("other", 20);
    stage.wait_state(&id, "live");

    patch(&stage.api, &id, &json!({"note": "a note changes nothing"}));
    peer.wait_frames("other", 20);
    assert_eq!(peer.open("other").len(), 1);

    remove(&stage.api, &id);
    assert_told(&peer.wait_closed("other"));
    assert_eq!(peer.calls().len(), 3);
    stage.is_undisturbed();
}

#[test]
fn a_target_that_waits_or_connects_can_be_removed() {
    let stage = Stage::set(source(""));
    let silent = Peer::start(weir_tests::harness::Manners::Silent);
    let connecting = stage.add(&silent.url("app/key"));
    until("it is connected to", 5.0, || silent.calls().len() == 1);
    remove(&stage.api, &connecting);
    until("the connection is closed", 5.0, || silent.calls()[0].closed.is_some());
    let port = weir_tests::harness::ports::Port::reserve();
    let waiting = stage.add(&format!("rtmp://127.0.0.1:{}/app/key", port.number()));
    stage.wait_error(&waiting, "connection refused");
    remove(&stage.api, &waiting);
    let listener = std::net::TcpListener::bind(("127.0.0.1", port.number())).unwrap();
    let peer = Peer::on(listener, weir_tests::harness::Manners::Takes);
    stage.publisher.send_more(3000);
    assert!(peer.calls().is_empty(), "who was removed is not tried again");
    stage.is_undisturbed();
}

#[test]
fn changes_one_after_the_other_leave_what_was_wanted_last() {
    let stage = Stage::set(source(""));
    let peer = Peer::takes();
    let id = stage.add(&peer.url("app/key"));
    for turn in 0..20 {
        patch(&stage.api, &id, &json!({"enabled": turn % 2 == 1}));
    }
    stage.wait_state(&id, "live");
    peer.wait_frames("key", 20);
    until("one connection is left", 5.0, || peer.open("key").len() == 1);
    for _ in 0..10 {
        let more = stage.add(&peer.url("app/more"));
        remove(&stage.api, &more);
    }
    until("those are gone", 5.0, || peer.open("more").is_empty());
    peer.wait_frames("key", 20);
    stage.is_undisturbed();
}
