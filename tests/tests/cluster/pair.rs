//! Two restream servers work as one: an edit on one node is in force on the other, also after a crash and a partition, and nobody else
//! reads or changes the common state.

mod backups;
mod chat;
pub(crate) mod edits;
mod limits;
mod link;
mod partition;
mod strangers;

use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::wait::Condition;
use weir_tests::harness::{Nginx, Publisher, Sidecar, products, took, until, until_ok};

use self::link::Link;
use super::SECRET;

/// Secret that signs tokens, the same on both nodes.
pub(crate) const TOKENS: &str = "0123456789abcdef0123456789abcdef";
/// Index of the first node.
const A: usize = 0;
const B: usize = 1;

/// One node of the pair.
struct Node {
    daemon: Sidecar,
    nginx: Nginx,
}

struct Pair {
    nodes: Vec<Node>,
    /// `links[A]` leads to node A.
    links: [Link; 2],
}

fn config() -> Config {
    Config::weir()
        .main("weir_zone 2m state=@DIR@/state; weir_secret @DIR@/secret; weir_pair_secret @DIR@/pair.secret;")
        .file("secret", TOKENS)
        .file("pair.secret", format!("{SECRET}\n"))
        .http("location /api { weir_api; }")
        .app("live", "weir_publish key; weir_push on; weir_push_allow all;")
        .app("in", "weir_publish open;")
}

/// Returns the configuration of a daemon.
fn settings(peer: &Link) -> String {
    format!(
        "[web]\nadmins_file = \"@MEDIA@/state/admins\"\n[chat]\nenabled = true\n[cluster]\npair_secret_file = \"@DIR@/pair.secret\"\n\
         peer = \"{}\"\npair_file = \"@MEDIA@/state/pair.db\"\n",
        peer.url()
    )
}

impl Pair {
    #[track_caller]
    fn start() -> Self {
        let links = [Link::new(), Link::new()];
        let node = |peer: &Link| {
            let nginx = config().start();
            let daemon = Sidecar::start(&nginx, &settings(peer));
            Node { daemon, nginx }
        };
        let pair = Self { nodes: vec![node(&links[B]), node(&links[A])], links };
        pair.connect();
        pair.wait_in_step();
        pair
    }

    fn connect(&self) {
        for (link, node) in self.links.iter().zip(&self.nodes) {
            link.lead_to(node.daemon.web());
        }
    }

    fn api(&self, nth: usize) -> weir_tests::harness::Api {
        self.nodes[nth].nginx.api()
    }

    fn view(&self, nth: usize) -> Value {
        let (status, text, errors) = self.nodes[nth].daemon.command(&["pair", "--json"]);
        assert_eq!(status, 0, "{errors}");
        serde_json::from_str(&text).unwrap()
    }

    /// Waits until both nodes have and show the same state.
    #[track_caller]
    fn wait_in_step(&self) {
        let is_in_step = |nth| {
            let view = self.view(nth);
            view["state"] == "in step" && view["error"].is_null()
        };
        if until_ok(15.0, || is_in_step(A) && is_in_step(B) && self.common(A) == self.common(B)).is_none() {
            let logs: Vec<_> = self.nodes.iter().map(|node| node.daemon.log()).collect();
            panic!(
                "not in step: {} {}\n{:?}\n{:?}\n{}",
                self.view(A),
                self.view(B),
                self.common(A),
                self.common(B),
                logs.join("\n---\n")
            );
        }
    }

    /// Returns the part of a node's state that both nodes have in common.
    fn common(&self, nth: usize) -> Value {
        let api = self.api(nth);
        let mut targets = api.get("/v1/targets").expect(200)["targets"].clone();
        let mut keys = api.get("/v1/keys").expect(200)["keys"].clone();
        for target in targets.as_array_mut().unwrap() {
            target["sessions"] = Value::Null;
        }
        for list in [&mut targets, &mut keys] {
            list.as_array_mut().unwrap().sort_by_key(|one| one["id"].to_string());
        }
        json!([keys, targets, api.get("/v1/tokens/revocations").expect(200)])
    }

    fn cut(&self) {
        self.links.iter().for_each(Link::cut);
    }

    fn heal(&self) {
        self.links.iter().for_each(Link::heal);
    }

    /// Notifies a node of a new state, as keepalived does.
    #[track_caller]
    fn notify(&self, nth: usize, state: &str) {
        let nginx = &self.nodes[nth].nginx;
        let output = Command::new(products::weir())
            .args([
                "notify",
                "INSTANCE",
                "restream",
                state,
                "100",
                "--api",
                &nginx.url("/api"),
                "--state-dir",
            ])
            .arg(nginx.path("notify"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Publishes as an encoder does: it retries until the server accepts the stream.
    #[track_caller]
    fn publish(&self, nth: usize, key: &str) -> Publisher {
        until("the publisher is taken", 5.0, || self.try_publish(nth, key))
    }

    fn try_publish(&self, nth: usize, key: &str) -> Option<Publisher> {
        let publisher = Publisher::to(self.nodes[nth].nginx.rtmp(), &format!("live/{key}")).start();
        (publisher.outcome() == weir_tests::harness::Outcome::Started).then_some(publisher)
    }
}

/// Administrators see what the other node reports of itself.
#[test]
fn each_node_shows_the_figures_of_the_other_one() {
    let pair = Pair::start();
    for nth in [A, B] {
        let twin = until("the figures are there", 10.0, || {
            let twin = pair.view(nth)["twin"].clone();
            twin["figures"]["nginx"]["zone"]["size"].is_u64().then_some(twin)
        });
        assert_eq!(twin["version"], env!("CARGO_PKG_VERSION"), "{twin}");
        assert!(twin["skew_ms"].as_i64().is_some_and(|skew| skew.abs() < 5000), "{twin}");
        let figures = &twin["figures"];
        assert_eq!(figures["nginx"]["workers"].as_array().map(Vec::len), Some(1), "{twin}");
        assert!(
            figures["cores"].as_u64() >= Some(1) && figures["load"].as_array().map(Vec::len) == Some(3),
            "{twin}"
        );
        assert!(figures["disks"][0]["free"].is_u64(), "{twin}");
    }
}

/// Waits for a condition that must become true within `limit` seconds, and prints how long it took.
#[track_caller]
fn within<T: Condition>(what: &str, limit: f64, look: impl FnMut() -> T) -> T::Found {
    let begin = Instant::now();
    let found = until(what, limit, look);
    took(what, begin, limit);
    found
}
