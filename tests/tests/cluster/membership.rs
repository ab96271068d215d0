//! Edges join by themselves, renew, are drained, leave and die; after a restart, an origin has its table of edges again.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use weir_tests::harness::{Nginx, Sidecar, took, until};

use super::{ORIGIN, edge, nginx};

fn start_edge(nginx: &Nginx, origin: &Sidecar, name: &str) -> Sidecar {
    let port = origin.web();
    Sidecar::start(
        nginx,
        &format!(
            "[web]\n[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n[edge]\norigin = \"http://127.0.0.1:{port}\"\n\
             address = \"https://{name}.example.org\"\nbandwidth = \"1g\"\ndrain_file = \"@DIR@/drain-{name}\"\n"
        ),
    )
}

/// Returns names and states of the edges.
fn listed(origin: &Sidecar) -> Vec<String> {
    let (status, text, errors) = origin.command(&["edge", "list", "--json"]);
    assert_eq!(status, 0, "{errors}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["stale"], Value::Null, "{answer}");
    let edges = answer["edges"].as_array().unwrap().clone();
    edges
        .iter()
        .map(|edge| format!("{} {}", edge["id"].as_str().unwrap(), edge["state"].as_str().unwrap()))
        .collect()
}

#[test]
fn edges_come_and_go() {
    let nginx = nginx();
    let mut origin = Sidecar::start(&nginx, ORIGIN);
    let none = edge(&origin, "a", "");
    assert_eq!((none.status, none.json()["error"]["code"].as_str()), (503, Some("no_edge")), "{none:?}");
    assert_eq!(none.header("retry-after"), "5");

    let (one, mut two) = (start_edge(&nginx, &origin, "one"), start_edge(&nginx, &origin, "two"));
    until("both have joined", 4.0, || listed(&origin) == ["one.example.org up", "two.example.org up"]);
    let answer = edge(&origin, "a", "").json();
    let id = answer["edge"].as_str().unwrap().to_owned();
    assert_eq!(answer["address"], format!("https://{id}"), "{answer}");
    assert_eq!(edge(&origin, "a", "").json(), answer, "the same viewer, the same edge");
    let other = edge(&origin, "a", &format!("&not={id}")).json();
    assert_ne!(other["edge"], answer["edge"], "the viewer could not reach the first");
    let seen: std::collections::BTreeSet<String> = (0..40)
        .map(|n| edge(&origin, &n.to_string(), "").json()["edge"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(seen.len(), 2, "viewers spread");

    let led = edge(&origin, "a", "&redirect=watch&token=a.b.c");
    assert_eq!(
        (led.status, led.header("location")),
        (302, &*format!("https://{id}/watch/live/show?token=a.b.c"))
    );
    let led = edge(&origin, "a", "&redirect=hls");
    assert_eq!(led.header("location"), format!("https://{id}/stream/live/show/llhls/master.m3u8"));

    // The origin's administrator drains an edge, and a new daemon of the origin still knows of it.
    assert_eq!(origin.command(&["edge", "drain", "one.example.org"]).0, 0);
    let (status, _, errors) = origin.command(&["edge", "drain", "three"]);
    assert!(
        status == 1 && errors.contains("no edge \"three\": the edges are one.example.org, two.example.org"),
        "{errors}"
    );
    until("it is drained", 2.0, || listed(&origin)[0] == "one.example.org drained");
    one.wait_log("edge drained by an administrator");
    origin.kill();
    origin.start_again();
    until("the table is back", 4.0, || listed(&origin) == ["one.example.org drained", "two.example.org up"]);
    assert!((0..10).all(|n| edge(&origin, &n.to_string(), "").json()["edge"] == "two.example.org"));
    // The edge's own administrator drains it, and no edge is left.
    let file = nginx.path("drain-two.example.org").with_file_name("drain-two");
    let drained = std::process::Command::new(weir_tests::harness::products::weir())
        .args(["drain", "on", "--file"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(drained.status.success() && std::fs::read_to_string(&file).unwrap() == "-100\n", "{drained:?}");
    until("all are drained", 5.0, || listed(&origin)[1] == "two.example.org draining");
    let none = edge(&origin, "a", "");
    assert_eq!((none.status, none.json()["error"]["code"].as_str()), (503, Some("no_edge")), "{none:?}");
    assert_eq!(origin.command(&["edge", "undrain", "one.example.org"]).0, 0);
    assert_eq!(listed(&origin)[0], "one.example.org up", "the list shows the change immediately");
    until("the first takes viewers", 2.0, || edge(&origin, "a", "").json()["edge"] == "one.example.org");
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(listed(&origin)[0], "one.example.org up", "its own memory of the drain is out of date");
    std::fs::write(&file, "0\n").unwrap();
    until("the second takes viewers", 5.0, || listed(&origin)[1] == "two.example.org up");

    // One edge says goodbye before it ends, the other dies without a goodbye.
    one.process().signal(Signal::SIGTERM);
    until("it has left", 1.5, || listed(&origin) == ["two.example.org up"]);
    two.kill();
    let died = Instant::now();
    until("it is gone", 8.0, || edge(&origin, "a", "").status == 503);
    took("a dead edge has no viewers", died, 6.0);
    two.start_again();
}

#[test]
fn a_node_tells_how_busy_it_is() {
    let nginx = nginx();
    let origin = Sidecar::start(&nginx, ORIGIN);
    let edge = start_edge(&nginx, &origin, "one");
    let node = |of: &Sidecar| {
        let url = format!("http://127.0.0.1:{}/v1/node", of.web());
        super::take(super::client().get(url).send().unwrap()).json()
    };
    let told = node(&edge);
    assert_eq!(
        (&told["name"], &told["address"]),
        (&"one.example.org".into(), &"https://one.example.org".into())
    );
    assert_eq!(told["bandwidth"], 1_000_000_000_u64, "{told}");
    assert!(
        told["load"].is_number() && told["egress_share"].is_number() && told["message"].is_string(),
        "{told}"
    );
    assert_eq!(node(&origin)["bandwidth"], Value::Null);
}
