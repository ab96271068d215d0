//! A whole evening with real edges: each server is a machine of its own, which runs the user data unchanged: it installs the product, joins
//! the origin with its ticket, and starts nginx and `weir serve`. The number of edges follows the number of viewers, and at the end nothing
//! is left.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_tests::harness::{Netns, Publisher, until};

use super::hetzner::Hetzner;
use super::machine::{Real, forward};
use super::{Event, ORIGIN, assert_no_secret, moment, nginx};

#[test]
fn an_evening() {
    let net = Netns::create();
    let at_origin = nginx().reached_from(&net).start();
    let daemon = weir_tests::harness::Sidecar::start(&at_origin, ORIGIN);
    forward(net.host(), daemon.web());
    let publish = |name: &str| Publisher::to(at_origin.rtmp(), &format!("live/{name}")).start().started();
    let _publishers = [publish("test"), publish("show")];
    let hetzner = Hetzner::start(Box::new(|name, user_data| Box::new(Real::boot(name, user_data))));
    hetzner.foreign("web", json!({}));
    let rules =
        "[autoscale]\nviewers_per_edge = 150\nmin = 1\nmax = 2\ncool_down = \"2s\"\ninterval = \"1s\"\n";
    let address = format!("http://{}:{}", net.host(), daemon.web());
    let event = Event::new(&daemon, &hetzner.url(), &address, "edges = 1\nmax_edges = 2", rules);
    event.edit(
        "bandwidth = ",
        &format!("rtmp = \"rtmp://{}:{}\"\nbandwidth = ", net.host(), at_origin.rtmp()),
    );

    // The servers are created, and serve.
    let begin = Instant::now();
    let (text, log) = event.done("up", &[]);
    println!("an edge serves {:?} after it was ordered", begin.elapsed());
    assert!(text.contains("gala-1") && text.contains(" up "), "{text}{log}");
    let status: Value = serde_json::from_str(&event.done("status", &["--json"]).0).unwrap();
    assert_eq!(
        (&status["servers"][0]["edge"], &status["cost"]),
        (&"up".into(), &"0.0110".into()),
        "{status}"
    );
    let edges = || {
        let (_, text, _) = daemon.command(&["edge", "list", "--json"]);
        serde_json::from_str::<Value>(&text).unwrap()["edges"].as_array().unwrap().clone()
    };
    let address = edges()[0]["address"].as_str().unwrap().to_owned();
    assert!(address.starts_with("http://198.18.") && address.ends_with(":8080"), "{address}");
    assert_no_secret(&hetzner, &[&text, &log, &event.left(), &daemon.log()]);

    // The event runs by itself: 200 viewers need two edges.
    let running = event.start("up", &["--follow"]);
    let viewers = Viewers { address };
    until("200 viewers are too many for one edge", 60.0, || {
        viewers.watch(200);
        hetzner.names().len() == 3
    });
    until("the second edge serves", 60.0, || {
        viewers.watch(200);
        running.log().contains("edge serves, edge: gala-2")
    });
    let log = running.log();
    let needed = log.lines().find(|line| line.contains("2 are needed")).unwrap_or_else(|| panic!("{log}"));
    let counted = needed.split("reason: ").nth(1).and_then(|reason| reason.split(' ').next());
    // The viewers connect one after the other, and the program that requests the edge's test segment counts as a viewer, too.
    let counted: u32 = counted.unwrap().parse().unwrap();
    assert!((151..=201).contains(&counted), "{log}");

    // The viewers have left, and an edge without viewers is removed first.
    until("one edge is enough", 60.0, || {
        hetzner.names() == ["gala-1", "web"] || hetzner.names() == ["gala-2", "web"]
    });
    let log = running.log();
    assert!(log.contains("1 are enough") && log.contains("edge will be deleted"), "{log}");

    // The end of the event.
    let text = std::fs::read_to_string(event.file()).unwrap();
    let end = text.lines().find(|line| line.starts_with("end = ")).unwrap().to_owned();
    let start = text.lines().find(|line| line.starts_with("start = ")).unwrap().to_owned();
    drop(running);
    event.edit(&start, &format!("start = \"{}\"", moment(-60)));
    event.edit(&end, &format!("end = \"{}\"", moment(2)));
    let (text, log) = event.done("up", &["--follow"]);
    assert!(
        text.contains("No server of gala is left.") && log.contains("the event has ended"),
        "{text}{log}"
    );
    assert_eq!((hetzner.names(), hetzner.groups()), (vec!["web".to_owned()], 0));
    until("the origin knows of no edge", 8.0, || edges().is_empty());
}

/// Programs of different names are different viewers.
struct Viewers {
    address: String,
}

impl Viewers {
    fn watch(&self, count: usize) {
        let client =
            reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        for nth in 0..count {
            let url = format!("{}/stream/live/show/llhls/master.m3u8", self.address);
            let _ = client.get(url).header("user-agent", format!("viewer-{nth}")).send();
        }
    }
}
