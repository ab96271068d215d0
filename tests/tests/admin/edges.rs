//! Edges in the dashboard: it lists them with their state. An administrator drains an edge and takes that back, and every open dashboard
//! shows it; other roles can only read.

use serde_json::json;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Sidecar, until};

use super::look::{complaints, go, log_in, look_at, wait_for};
use super::{Visitor, WEB, add, nginx};

#[test]
fn edges_are_drained_from_the_dashboard() {
    let nginx = nginx();
    let page = nginx.url("/");
    let edges = format!(
        "[cluster]\n[[cluster.edge]]\nname = \"edge1\"\naddress = \"{}\"\nbandwidth = \"1g\"\nregion = \"eu\"\n",
        page.trim_end_matches('/')
    );
    let sidecar = Sidecar::start(&nginx, &format!("{WEB}{edges}"));
    add(&sidecar, "ana", "admin");
    add(&sidecar, "mo", "moderator");
    let mo = Visitor::logged_in(&sidecar, "mo");
    assert_eq!(mo.ask("POST", "edges/edge1/drain", &json!({})).0, 403);
    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    go(&browser, "edges");
    wait_for(&browser, "the edge", 10.0, "document.querySelector('[data-edge=edge1] button')");
    until("it lives", 20.0, || mo.get("edges").1["edges"][0]["state"] == "up");
    browser.click("[data-edge=edge1] button");
    wait_for(
        &browser,
        "it is drained",
        5.0,
        "document.querySelector('[data-edge=edge1] .pill').textContent === 'drained'",
    );
    assert_eq!(mo.get("edges").1["edges"][0]["state"], "drained");
    look_at(&browser, "edges-of-origin");
    browser.click("[data-edge=edge1] button");
    wait_for(
        &browser,
        "it is back",
        5.0,
        "document.querySelector('[data-edge=edge1] .pill').textContent === 'takes viewers'",
    );
    assert_eq!(Visitor::logged_in(&sidecar, "ana").ask("POST", "edges/none/drain", &json!({})).0, 404);
    assert_eq!(complaints(&browser), [""; 0]);
}
