//! The nodes in the dashboard: this server, its edges, and what they report. The view asks once; then the event stream brings each change
//! within a second, and the figures every few seconds. What a node does not report is shown as having no value.

use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::Value;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Sidecar, took, until};

use super::look::{complaints, go, log_in, look_at, wait_for};
use super::{Visitor, WEB, add};

const CLUSTER: &str = "[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n";
/// Requests of the page for the nodes, since it was loaded.
const ASKED: &str = "return performance.getEntriesByType('resource').filter(({ name }) => /api\\/(node|edges)$/.test(name)).length";

#[test]
fn nodes_follow_the_event_stream() {
    let mut nginx = Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", "0123456789abcdef0123456789abcdef")
        .file("cluster.secret", "fedcba9876543210fedcba9876543210")
        .with_api()
        .app("live", "weir_publish key;")
        .start();
    let quiet = "[[cluster.edge]]\nname = \"quiet\"\naddress = \"http://127.0.0.1:9\"\nbandwidth = \"1g\"\n";
    let origin = Sidecar::start(&nginx, &format!("{WEB}{CLUSTER}{quiet}"));
    add(&origin, "ana", "admin");
    let edge = format!(
        "[web]\n{CLUSTER}[edge]\norigin = \"http://127.0.0.1:{}\"\naddress = \"https://one.example.org\"\nname = \"one\"\nbandwidth = \"1g\"\ndrain_file = \"@DIR@/drain\"\n",
        origin.web()
    );
    let edge = Sidecar::start(&nginx, &edge);
    let browser = Browser::start();
    log_in(&browser, &origin, "ana");
    go(&browser, "node");
    let row = "document.querySelector('[data-node=\"edge one\"]')";
    wait_for(&browser, "the edge is listed", 10.0, row);
    wait_for(&browser, "its figures are shown", 10.0, &format!("{row}.textContent.includes('free of')"));
    let text = |selector: &str| {
        browser
            .run(&format!("return document.querySelector('{selector}').innerText"))
            .as_str()
            .unwrap()
            .to_owned()
    };
    let edge_text = text("[data-node=\"edge one\"]");
    for part in [
        "takes viewers",
        concat!("Weir ", env!("CARGO_PKG_VERSION")),
        "as this server's",
        "core",
        " of 2.1 MB",
    ] {
        assert!(edge_text.contains(part), "{part}: {edge_text}");
    }
    assert!(!edge_text.contains("no value"), "{edge_text}");
    let quiet = text("[data-node=\"edge quiet\"]");
    assert_eq!(quiet.matches("no value").count(), 6, "{quiet}");

    // Figures come by themselves.
    let asked = browser.run(ASKED).as_u64().unwrap();
    assert!(asked >= 2, "{asked}");
    browser.run(
        "window.drawn = 0;
         new MutationObserver(() => (window.drawn += 1)).observe(document.querySelector('main'), { subtree: true, characterData: true, childList: true })",
    );
    wait_for(&browser, "new figures", 12.0, "window.drawn > 0");

    let worker = nginx.workers()[0];
    nginx.kill_worker(worker);
    let begin = Instant::now();
    let next = nginx.workers()[0].0;
    wait_for(
        &browser,
        "the new worker",
        10.0,
        &format!("document.querySelector('main').textContent.includes('{next}')"),
    );
    took("a worker that died is shown", begin, 1.5);
    look_at(&browser, "nodes");

    edge.process().signal(Signal::SIGTERM);
    let ana = Visitor::logged_in(&origin, "ana");
    until("the edge has left", 5.0, || {
        ana.get("edges").1["edges"].as_array().is_some_and(|all| all.iter().all(|one| one["id"] != "one"))
    });
    let begin = Instant::now();
    wait_for(&browser, "it is gone", 10.0, &format!("!{row}"));
    took("an edge that left is gone", begin, 1.5);
    assert_eq!(browser.run(ASKED), asked, "the view has asked again");
    let node = ana.get("node").1;
    assert_eq!((&node["twin"], node["origins"].as_array().map(Vec::len)), (&Value::Null, Some(0)), "{node}");
    assert_eq!(complaints(&browser), [""; 0]);
}

/// The clock of an edge is compared with that of the origin.
#[test]
fn a_wrong_clock_is_shown() {
    let nginx = super::nginx();
    std::fs::write(nginx.path("cluster.secret"), "fedcba9876543210fedcba9876543210").unwrap();
    let origin = Sidecar::start(&nginx, &format!("{WEB}{CLUSTER}"));
    add(&origin, "ana", "admin");
    let edge = format!(
        "[web]\n{CLUSTER}[edge]\norigin = \"http://127.0.0.1:{}\"\naddress = \"https://one.example.org\"\nname = \"one\"\nbandwidth = \"1g\"\ndrain_file = \"@DIR@/drain\"\n",
        origin.web()
    );
    let edge = Sidecar::start_with_clock(&nginx, &edge);
    let ana = Visitor::logged_in(&origin, "ana");
    let skew = || ana.get("edges").1["edges"][0]["skew_ms"].as_i64();
    until("the clocks agree", 10.0, || skew().is_some_and(|skew| skew.abs() < 2000));
    edge.set_clock(20);
    until("the clock is ahead", 10.0, || skew().is_some_and(|skew| (18_000..22_000).contains(&skew)));
    let browser = Browser::start();
    log_in(&browser, &origin, "ana");
    go(&browser, "node");
    wait_for(
        &browser,
        "the difference",
        10.0,
        "/differs (19|20)[.][0-9] s ahead of this server/.test(document.querySelector('[data-node=\"edge one\"]')?.textContent)",
    );
}
