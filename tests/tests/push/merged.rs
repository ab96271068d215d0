//! `weir_merge_write` and targets: a target gets every frame once, in its order and in time, with fewer system calls, and the last frames
//! before the stream ends.

use weir_tests::harness::trace::traced;
use weir_tests::harness::{Peer, Publisher, until};

use super::{Stage, add, source};

const TARGETS: usize = 4;
/// How long the writes of the worker are counted, in milliseconds of media.
const COUNTED_MS: u32 = 3000;

/// Returns the writes per second and target.
fn writes(merge: &str) -> f64 {
    let stage = Stage::set(source(&format!("weir_merge_write {merge};")));
    let others = Peer::takes();
    for nth in 0..TARGETS - 1 {
        stage.add(&others.url(&format!("app/other-{nth}")));
    }
    until("all targets have media", 10.0, || others.playing() == TARGETS - 1);
    let lines = traced(&stage.nginx, stage.workers[0], "sendto,writev,write", || {
        stage.publisher.send_more(COUNTED_MS);
    });
    // Neither the log nor other workers count.
    let count = lines.iter().filter(|line| line.contains("sendto(") || line.contains("writev(")).count();
    stage.is_undisturbed();
    for nth in 0..TARGETS - 1 {
        assert_eq!(others.open(&format!("other-{nth}")).len(), 1, "weir_merge_write {merge}");
    }
    count as f64 * 1000.0 / f64::from(COUNTED_MS) / TARGETS as f64
}

#[test]
fn targets_are_served_in_fewer_system_calls() {
    let (each, pictures, rarely) = (writes("off"), writes("0"), writes("200ms"));
    // The sample has 20 video messages and 43 audio messages per second.
    assert!(each > 40.0, "{each}");
    assert!((10.0..35.0).contains(&pictures), "{pictures}");
    assert!((2.0..8.0).contains(&rarely), "{rarely}");
}

#[test]
fn a_target_gets_what_waits_before_the_stream_ends() {
    for merge in ["0", "1s"] {
        let nginx = source(&format!("weir_merge_write {merge};")).start();
        let (api, peer) = (nginx.api(), Peer::takes());
        add(&api, "show", &peer.url("app/key"));
        let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
        peer.wait_media("key");
        publisher.send_more(700);
        publisher.stall();
        let sent = publisher.sent_ms();
        drop(publisher);
        let call = peer.wait_closed("key");
        let last = call.frames.last().map(|frame| frame.timestamp);
        assert!(
            last.is_some_and(|last| last + 100 >= sent),
            "weir_merge_write {merge}: {last:?}, sent {sent}"
        );
    }
}
