//! A rented edge that dies is replaced: its server is deleted and another one serves, while the other edges stay. Real edges, as in
//! [`super::evening`].

use serde_json::json;
use weir_tests::harness::{Netns, Publisher, Sidecar, until};

use super::hetzner::Hetzner;
use super::machine::{Real, forward};
use super::{Event, ORIGIN, nginx};

#[test]
fn an_edge_that_dies_is_replaced() {
    let net = Netns::create();
    let at_origin = nginx().reached_from(&net).start();
    let daemon = Sidecar::start(&at_origin, ORIGIN);
    forward(net.host(), daemon.web());
    let _publisher = Publisher::to(at_origin.rtmp(), "live/test").start().started();
    let hetzner = Hetzner::start(Box::new(|name, user_data| Box::new(Real::boot(name, user_data))));
    hetzner.foreign("web", json!({}));
    let address = format!("http://{}:{}", net.host(), daemon.web());
    let top = "edges = 2\nmax_edges = 2\nreplace_after = \"10s\"";
    let event = Event::new(&daemon, &hetzner.url(), &address, top, "");
    event.edit(
        "bandwidth = ",
        &format!("rtmp = \"rtmp://{}:{}\"\nbandwidth = ", net.host(), at_origin.rtmp()),
    );
    let running = event.start("up", &["--follow"]);
    let serves = |name: &str| running.log().matches(&format!("edge serves, edge: {name}\n")).count();
    until("both edges serve", 90.0, || serves("gala-1") == 1 && serves("gala-2") == 1);
    let before = hetzner.ids();
    assert_eq!(before.len(), 2, "{before:?}");

    hetzner.crash("gala-1");
    // The follower checks every 10 seconds. A new machine boots within a few.
    until("it is replaced", 120.0, || serves("gala-1") == 2);
    let (after, log) = (hetzner.ids(), running.log());
    assert!(log.contains("edge is lost: the origin has no reports of it for 10 s"), "{log}");
    assert_eq!((after.len(), after["gala-2"]), (2, before["gala-2"]), "{log}");
    assert_ne!(after["gala-1"], before["gala-1"]);
    let deleted =
        |id: u64| hetzner.requests().iter().filter(|one| **one == format!("DELETE /servers/{id}")).count();
    assert_eq!((deleted(before["gala-1"]), deleted(before["gala-2"])), (1, 0), "{:?}", hetzner.requests());
    // The count includes the server of another owner.
    assert_eq!(hetzner.peak(), (3, 3), "never more than max_edges");
    drop(running);
    event.done("down", &["--now"]);
    assert_eq!(hetzner.names(), ["web"]);
}
