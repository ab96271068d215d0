use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use futures_util::{StreamExt, stream};
use tokio::net::TcpListener;

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
    take(inner, line.as_bytes(), &mut Seen::default()).unwrap();
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

/// Starts a member of etcd that does not answer the first write. The writes are counted.
async fn slow_member(writes: Arc<AtomicUsize>) -> (String, tokio::task::JoinHandle<()>) {
    let say = |answer: Value| move || std::future::ready(answer.to_string());
    let write = move || {
        let is_first = writes.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if is_first {
                std::future::pending::<()>().await;
            }
            json!({ "succeeded": true, "header": { "revision": "2" } }).to_string()
        }
    };
    let created = json!({ "result": { "created": true } });
    let watch = move || {
        let line = Ok::<_, std::convert::Infallible>(format!("{created}\n"));
        std::future::ready(Body::from_stream(stream::iter([line]).chain(stream::pending())))
    };
    let app = Router::new()
        .route("/v3/kv/range", post(say(json!({ "header": { "revision": "1" } }))))
        .route("/v3/lease/grant", post(say(json!({ "ID": "7" }))))
        .route("/v3/lease/keepalive", post(say(json!({ "result": { "TTL": "5" } }))))
        .route("/v3/kv/txn", post(write))
        .route("/v3/watch", post(watch));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }))
}

/// Starts a member of etcd that goes back in its history while the watch continues. Complete reads of the table are counted.
async fn member_with_a_loss(reads: Arc<AtomicUsize>) -> (String, tokio::task::JoinHandle<()>) {
    let range = move |body: String| {
        let is_count = body.contains("count_only");
        let reads =
            if is_count { reads.load(Ordering::SeqCst) } else { reads.fetch_add(1, Ordering::SeqCst) + 1 };
        // The loss is between the first read and the first query.
        let revision = if reads == 1 && !is_count { "9" } else { "3" };
        let header = json!({ "revision": revision, "cluster_id": "1" });
        let kvs = event("dead", 10)["events"][0]["kv"].clone();
        let kvs = if revision == "9" { vec![kvs] } else { Vec::new() };
        std::future::ready(json!({ "header": header, "kvs": kvs }).to_string())
    };
    let watch = || {
        let line =
            Ok::<_, std::convert::Infallible>(format!("{}\n", json!({ "result": { "created": true } })));
        std::future::ready(Body::from_stream(stream::iter([line]).chain(stream::pending())))
    };
    let app = Router::new().route("/v3/kv/range", post(range)).route("/v3/watch", post(watch));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }))
}

#[tokio::test]
async fn an_etcd_that_goes_back_in_its_history_is_read_again() {
    let reads = Arc::new(AtomicUsize::new(0));
    let (url, member) = member_with_a_loss(reads.clone()).await;
    let settings = Etcd { endpoints: vec![url], ca_file: None, user: None };
    let board = Board::new(Table::default());
    let inner = Arc::new(Inner::new(Client::new(&settings).unwrap(), board.clone()));
    let following = tokio::spawn(run(inner.clone()));
    let waited = async {
        while reads.load(Ordering::SeqCst) < 2 || !board.look(|table| table.edges.is_empty()) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap();
    following.abort();
    member.abort();
}

#[test]
fn a_history_that_is_shorter_or_of_another_etcd_is_another_one() {
    let seen = |cluster: &str, revision: i64| Seen { cluster: cluster.to_owned(), revision };
    assert!(!seen("1", 3).is_other(&Seen::default()), "the first answer");
    assert!(!seen("1", 3).is_other(&seen("1", 3)) && !seen("1", 4).is_other(&seen("1", 3)));
    assert!(seen("1", 2).is_other(&seen("1", 3)) && seen("2", 9).is_other(&seen("1", 3)));
}

#[tokio::test]
async fn an_origin_writes_again_after_a_slow_write() {
    let writes = Arc::new(AtomicUsize::new(0));
    let (url, member) = slow_member(writes.clone()).await;
    let settings = Etcd { endpoints: vec![url], ca_file: None, user: None };
    let inner = Arc::new(Inner::new(Client::new(&settings).unwrap(), Board::new(Table::default())));
    inner.board.change(|table| table.stale = Some("etcd was not asked yet".into()));
    let following = tokio::spawn(run(inner.clone()));
    let is_stale = || inner.board.look(|table| table.stale.is_some());
    let until = |expected: bool| async move {
        let waited = async {
            while is_stale() != expected {
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap();
    };
    until(false).await;
    inner.renew(record("a", 10)).await.unwrap();
    assert_eq!(writes.load(Ordering::SeqCst), 1);
    until(false).await;
    inner.renew(record("a", 2010)).await.unwrap();
    assert_eq!((writes.load(Ordering::SeqCst), is_stale()), (2, false));
    following.abort();
    member.abort();
}
