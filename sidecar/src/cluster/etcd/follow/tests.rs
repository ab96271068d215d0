use super::*;
use crate::cluster::etcd::client::Client;
use crate::cluster::record::sample;
use crate::cluster::store::{Board, LEASE, Table};
use crate::config::cluster::Etcd;

const NAMES: [&str; 2] = ["a", "b"];

fn id(name: &str) -> EdgeId {
    name.parse().unwrap()
}

fn record(name: &str, sent: u64) -> Record {
    Record { sent, ..sample(name) }
}

/// Returns the state of an origin at which edges a and b have just renewed.
fn renewed() -> Inner {
    let settings = Etcd { endpoints: vec!["http://127.0.0.1:1".into()], ca_file: None, user: None };
    let inner = Inner::new(Client::new(&settings).unwrap(), Board::new(Table::default()));
    for name in NAMES {
        inner.held(|held| held.renewed.insert(id(name), (Instant::now(), 10)));
        inner.keep(record(name, 10));
    }
    inner
}

/// Handles a line of the watch.
fn line(inner: &Inner, result: &Value) {
    let line = json!({ "result": result }).to_string();
    take(inner, line.as_bytes(), &mut Some(1)).unwrap();
}

fn event(name: &str, sent: u64) -> Value {
    let value = encode(&serde_json::to_string(&record(name, sent)).unwrap());
    let kv = json!({ "key": encode(&format!("/weir/edges/{name}")), "value": value, "mod_revision": "2" });
    json!({ "events": [{ "kv": kv }] })
}

/// Returns whether a and b are in the table two lease times later.
async fn there_later(inner: &Inner) -> [bool; 2] {
    tokio::select! {
        never = expire(inner) => match never {},
        () = sleep(LEASE * 2) => {}
    }
    NAMES.map(|name| inner.board.look(|table| table.edges.contains_key(&id(name))))
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_renews_at_another_origin_after_a_failure_stays() {
    let inner = renewed();
    inner.lost("no answer");
    line(&inner, &json!({ "created": true }));
    line(&inner, &event("a", 11));
    // A record that is not newer is no sign of life.
    line(&inner, &event("b", 10));
    assert_eq!(there_later(&inner).await, [true, false]);
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_has_renewed_at_another_origin_before_a_failure_stays() {
    let inner = renewed();
    tokio::time::advance(LEASE).await;
    inner.held(|held| held.renewed.insert(id("b"), (Instant::now(), 10)));
    inner.lost("no answer");
    assert_eq!(there_later(&inner).await, [true, false]);
}
