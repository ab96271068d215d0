//! The origin sends viewers only to edges that can serve them: not to an edge whose nginx is dead, not to an nginx that only caches for a
//! page or for Low-Latency HLS with tokens, not to an edge that cannot pull the stream, and not to one that cannot serve members. Where no
//! edge takes viewers, they watch at the origin.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Nginx, Player, Publisher, Sidecar, products, took, until};

use super::{ORIGIN, config_that, edge, nginx, nginx_of_edge};

/// Pages of the origin for viewers.
const PAGES: &str = "https://origin.example.org/tv";

/// Starts the daemon of an edge; `more` has further settings of `[edge]`.
fn start_edge(nginx: &Nginx, origin: &Sidecar, name: &str, more: &str) -> Sidecar {
    let port = origin.web();
    let daemon = Sidecar::start(
        nginx,
        &format!(
            "[web]\n[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n[edge]\norigin = \"http://127.0.0.1:{port}\"\n\
             name = \"{name}\"\naddress = \"https://{name}.example.org\"\nbandwidth = \"1g\"\n{more}"
        ),
    );
    daemon.wait_log("edge joined");
    daemon
}

/// Starts an origin that lists an edge without a daemon.
fn start_origin(at_origin: &Nginx, listed: &Nginx) -> Sidecar {
    let config = ORIGIN.replace("[web]\n", &format!("[web]\nurl = \"{PAGES}\"\n"));
    let address = format!("http://127.0.0.1:{}", listed.http());
    Sidecar::start(
        at_origin,
        &format!("{config}[[cluster.edge]]\nname = \"cache\"\naddress = \"{address}\"\nbandwidth = \"1g\"\n"),
    )
}

/// Returns the address that a viewer is sent to.
fn led(origin: &Sidecar, more: &str) -> String {
    edge(origin, "a", more).header("location").to_owned()
}

/// Returns the edges of the origin.
fn listed(origin: &Sidecar) -> Vec<Value> {
    let (status, text, errors) = origin.command(&["edge", "list", "--json"]);
    assert_eq!(status, 0, "{errors}");
    serde_json::from_str::<Value>(&text).unwrap()["edges"].as_array().unwrap().clone()
}

#[test]
fn an_edge_whose_nginx_is_dead_gets_no_viewers() {
    let (at_origin, mut at_edge) = (nginx(), nginx_of_edge());
    let origin = Sidecar::start(&at_origin, ORIGIN);
    let daemon = start_edge(&at_edge, &origin, "one", "");
    until("it gets viewers", 4.0, || edge(&origin, "a", "").status == 200);
    let none = edge(&origin, "a", "&not=one");
    assert_eq!(none.json()["error"]["code"], "no_edge", "no edge is left, and none is full");
    assert_eq!(edge(&daemon, "a", "").status, 404, "an edge sends no viewers to edges");
    at_edge.kill_all();
    let died = Instant::now();
    until("it gets none", 20.0, || edge(&origin, "a", "").json()["error"]["code"] == "no_edge");
    took("from the end of an edge's nginx to the last viewer there", died, 10.0);
    assert_eq!(listed(&origin)[0]["state"], "down");
    at_edge.start_again();
    until("it gets viewers again", 10.0, || edge(&origin, "a", "").status == 200);
    assert_eq!(listed(&origin)[0]["state"], "up");
    let log = daemon.log();
    assert_eq!(log.matches("edge takes no viewers: its nginx does not answer").count(), 1, "{log}");
    daemon.wait_log("edge takes viewers again: its nginx answers");
}

#[test]
fn an_nginx_that_only_caches_gets_no_viewers_of_pages() {
    let (at_origin, cache) = (nginx(), Config::stock().http("root @DIR@;").start());
    let origin = start_origin(&at_origin, &cache);
    assert_eq!(led(&origin, "&redirect=watch"), format!("{PAGES}/watch/live/show"));
    let at_cache = format!("http://127.0.0.1:{}/stream/live/show/llhls/master.m3u8", cache.http());
    assert_eq!(led(&origin, "&redirect=hls"), at_cache);
    let at_edge = nginx_of_edge();
    let _daemon = start_edge(&at_edge, &origin, "one", "");
    until("an edge with pages is chosen", 6.0, || {
        led(&origin, "&redirect=watch") == "https://one.example.org/watch/live/show"
    });
    // An edge without a daemon reports no load, and does not get all viewers for this reason.
    until("both edges get viewers", 20.0, || {
        let chosen = |viewer: u32| edge(&origin, &format!("viewer {viewer}"), "").json()["edge"].to_string();
        (0..40).map(chosen).collect::<BTreeSet<_>>().len() == 2
    });

    // Viewers watch at the origin if all edges are drained, and do not wait as if all were full.
    for name in ["one", "cache"] {
        assert_eq!(origin.command(&["edge", "drain", name]).0, 0);
    }
    until("they watch at the origin", 4.0, || {
        led(&origin, "&redirect=watch") == format!("{PAGES}/watch/live/show")
            && led(&origin, "&redirect=hls") == format!("{PAGES}/stream/live/show/llhls/master.m3u8")
    });
    assert_eq!(edge(&origin, "a", "").json()["error"]["code"], "no_edge");
}

#[test]
fn an_nginx_that_only_caches_gets_no_members_for_low_latency_hls() {
    let at_origin = config_that("weir_publish open; weir_play token;").start();
    let cache = Config::stock().http("root @DIR@;").start();
    let origin = start_origin(&at_origin, &cache);
    until("the origin knows that the stream needs tokens", 6.0, || {
        led(&origin, "&redirect=hls&token=a.b.c")
            == format!("{PAGES}/stream/live/show/llhls/master.m3u8?token=a.b.c")
    });
    assert_eq!(edge(&origin, "a", "").json()["error"]["code"], "no_edge", "the player of a page");
}

/// The first edge cannot reach the RTMP port of the origin.
#[test]
fn an_edge_that_cannot_pull_a_stream_gets_no_viewers_of_it() {
    let at_origin = nginx();
    let origin = Sidecar::start(&at_origin, ORIGIN);
    let _publisher = Publisher::to(at_origin.rtmp(), "live/show").start().started();
    origin.wait_log("stream is live stream=\"live/show\"");
    let (at_edges, closed) = ([nginx_of_edge(), nginx_of_edge()], Port::reserve());
    let rtmp = |port: u16| format!("rtmp = \"rtmp://127.0.0.1:{port}\"\n");
    let lame = start_edge(&at_edges[0], &origin, "lame", &rtmp(closed.number()));
    let viewer = Player::start(at_edges[0].rtmp(), "live/show");
    viewer.wait_playing();
    lame.wait_log("stream not pulled: cannot connect to");
    until("the origin knows it", 10.0, || listed(&origin)[0]["failing"] == serde_json::json!(["live/show"]));
    // As long as there is no other edge, viewers are still sent there.
    assert_eq!(edge(&origin, "a", "").json()["edge"], "lame");
    let _good = start_edge(&at_edges[1], &origin, "good", &rtmp(at_origin.rtmp()));
    until("the other edge has joined", 6.0, || listed(&origin).len() == 2);
    for viewer in 0..20 {
        assert_eq!(edge(&origin, &format!("viewer {viewer}"), "").json()["edge"], "good", "viewer {viewer}");
    }
    let output = Command::new(products::weir())
        .args(["check", "node", "--all", "--api", &at_edges[0].url("/api"), "--conf"])
        .arg(at_edges[0].path("nginx.conf"))
        .arg("--config")
        .arg(lame.configuration())
        .arg("--socket")
        .arg(lame.socket())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("problem: cluster: live/show cannot be pulled: cannot connect to")
            && said.contains("must reach the RTMP port of the origin"),
        "{said}"
    );
}

/// One edge asks for no tokens, and another one has another secret.
#[test]
fn an_edge_that_cannot_serve_members_gets_no_viewers_of_their_streams() {
    let at_origin = config_that("weir_publish open; weir_play token;").start();
    let origin = Sidecar::start(&at_origin, ORIGIN);
    let closed = || config_that("weir_publish key; weir_play token;");
    let other_secret = closed().file("secret", "another-secret-another-secret-another").start();
    let (at_open, at_good) = (nginx_of_edge(), closed().start());
    let _open = start_edge(&at_open, &origin, "open", "");
    let _other = start_edge(&other_secret, &origin, "other", "");
    let refusing = || -> Vec<String> {
        let refuses = |edge: &&Value| edge["refused"] == serde_json::json!(["live"]);
        let edges = listed(&origin);
        edges.iter().filter(refuses).map(|edge| edge["id"].as_str().unwrap().to_owned()).collect()
    };
    until("both edges report it", 10.0, || refusing() == ["open", "other"]);
    assert_eq!(edge(&origin, "a", "").json()["error"]["code"], "no_edge", "viewers watch at the origin");
    let (_, _, warnings) = origin.command(&["edge", "list"]);
    assert!(warnings.contains("edge other serves no viewers of application live"), "{warnings}");

    let _good = start_edge(&at_good, &origin, "good", "");
    until("the good edge gets viewers", 10.0, || edge(&origin, "a", "").json()["edge"] == "good");
    for viewer in 0..20 {
        assert_eq!(edge(&origin, &format!("viewer {viewer}"), "").json()["edge"], "good", "viewer {viewer}");
    }

    std::fs::write(other_secret.path("secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
    other_secret.reload();
    until("the edge with the right secret serves them again", 10.0, || refusing() == ["open"]);
}
