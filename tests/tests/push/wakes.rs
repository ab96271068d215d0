//! A change by another process wakes a worker immediately: the worker does not wait for its next tick.

use weir_tests::harness::process::Process;
use weir_tests::harness::trace::traced;
use weir_tests::harness::{Peer, Publisher, until};

use super::{add, source};

const CHANGES: usize = 8;

/// A worker whose publisher sends nothing handles only ticks, requests and calls of other workers. `epoll_wait` returns 0 when a timer has
/// fired, for example before a tick, and more when another worker calls. The test looks at the return value before the connection to a new
/// target.
#[test]
fn a_new_target_is_connected_to_without_a_tick() {
    let mut config = source("weir_idle_publisher 60s;");
    config.workers = 2;
    let nginx = config.start();
    let (api, peer) = (nginx.api(), Peer::takes());
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let is_live = |stream: &serde_json::Value| !stream["video"].is_null();
    let stream = until("the stream is live", 10.0, || api.stream("live", "show").filter(is_live));
    publisher.stall();
    let worker = Process(stream["publisher"]["worker_pid"].as_i64().unwrap().try_into().unwrap());
    let lines = traced(&nginx, worker, "epoll_wait,connect", || {
        for nth in 0..CHANGES {
            add(&api, "show", &peer.url(&format!("app/key-{nth}")));
            until("the target is connected to", 5.0, || peer.calls().len() > nth);
        }
    });
    let is_connect =
        |line: &str| line.contains("connect(") && line.contains(&format!("htons({})", peer.port()));
    let mut woken_by = Vec::new();
    let mut returned = String::new();
    for line in &lines {
        if is_connect(line) {
            woken_by.push(std::mem::take(&mut returned));
        } else if let Some((_, count)) = line.rsplit_once(" = ").filter(|_| line.contains("epoll_wait")) {
            returned = count.trim().to_owned();
        }
    }
    assert_eq!(woken_by.len(), CHANGES, "{}", lines.join("\n"));
    // A tick may come between the change and the call.
    let by_ticks = woken_by.iter().filter(|count| *count == "0").count();
    assert!(by_ticks <= 1, "{by_ticks} of {CHANGES} connections after a timer:\n{}", lines.join("\n"));
}
