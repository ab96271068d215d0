use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::cluster::record::sample;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn start() -> Arc<Origin> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let config = settings::Cluster {
        secret_file: Some(file),
        pair: None,
        store: settings::Store::Memory,
        max_bandwidth: 1 << 40,
        edges: Vec::new(),
        regions: Vec::new(),
    };
    Origin::start(&config).unwrap()
}

/// Returns a report, and its signature with this key.
fn signed(key: &Key, id: &str) -> (String, String) {
    let body = serde_json::to_string(&sample(id).report).unwrap();
    let nonce = signature::nonce().unwrap();
    (key.sign(Purpose::Request, clock::now().as_millis(), &nonce, body.as_bytes()), body)
}

#[tokio::test]
async fn a_stranger_costs_no_look_at_the_streams() {
    let (origin, looks) = (start(), AtomicUsize::new(0));
    let facts = || {
        looks.fetch_add(1, Ordering::Relaxed);
        (vec!["live/show".to_owned()], None)
    };
    let from = Ipv4Addr::LOCALHOST.into();
    let (header, body) = signed(&Key::new(&[7; 32]).unwrap(), "e");
    for header in [None, Some(&*header)] {
        assert_eq!(origin.take(from, header, None, body.as_bytes(), facts).await.0, 401);
    }
    assert_eq!(looks.load(Ordering::Relaxed), 0);
    let (header, body) = signed(&Key::new(SECRET.as_bytes()).unwrap(), "e");
    let (status, answer, _) = origin.take(from, Some(&header), None, body.as_bytes(), facts).await;
    assert_eq!((status, looks.load(Ordering::Relaxed)), (200, 1));
    assert!(answer.contains("live/show"), "{answer}");
}

#[tokio::test]
async fn the_table_has_the_senders_of_edges_with_a_credential() {
    let origin = start();
    let cluster = Key::new(SECRET.as_bytes()).unwrap();
    let until = clock::now().as_seconds() + 1000;
    let rented = Credential::issue(&cluster, "rented".parse().unwrap(), until).unwrap();
    let from: IpAddr = Ipv4Addr::new(192, 0, 2, 7).into();
    for (key, id, claim) in [(&rented.key, "rented", Some(rented.claim.header())), (&cluster, "own", None)] {
        let (header, body) = signed(key, id);
        let facts = || (Vec::new(), None);
        let done = origin.take(from, Some(&header), claim.as_deref(), body.as_bytes(), facts).await;
        assert_eq!(done.0, 200, "{done:?}");
    }
    let mut table = origin.watch();
    let table = table.wait_for(|table| table.edges.len() == 2).await.unwrap().clone();
    let sender = |id: &str| table.edges[&id.parse::<EdgeId>().unwrap()].from;
    assert_eq!((sender("rented"), sender("own")), (Some(from), None));
}

#[tokio::test]
async fn only_edges_that_can_serve_the_viewer_are_chosen_and_count_as_full() {
    let origin = start();
    let mut refusing = sample("refusing");
    refusing.report.refused = vec!["members".to_owned()];
    origin.store.renew(refusing).await.unwrap();
    origin.store.renew(sample("good")).await.unwrap();
    let _ = origin.watch().wait_for(|table| table.edges.len() == 2).await.unwrap();
    let place = |stream: &str, not: &[&str]| {
        let not: Vec<EdgeId> = not.iter().map(|name| name.parse().unwrap()).collect();
        let address = Ipv4Addr::LOCALHOST.into();
        let ask = |hash| Viewer { hash, address, bitrate: None, stream, needs_daemon: true, not: &not };
        let of = |number: u64| origin.place(ask(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let mut found: Vec<_> = (0..40).map(|number| of(number).map(|place| place.edge)).collect();
        found.sort_by_key(|one| format!("{one:?}"));
        found.dedup();
        found
    };
    let edge = |name: &str| Ok(name.to_owned());
    assert_eq!(place("live/show", &[]), [edge("good"), edge("refusing")]);
    assert_eq!(place("members/show", &[]), [edge("good")]);
    assert_eq!(place("members/show", &["good"]), [Err(NoPlace::NoEdge)]);
    assert_eq!(place("live/show", &["good", "refusing"]), [Err(NoPlace::NoEdge)]);

    let mut full = sample("good");
    (full.sent, full.report.egress) = (2, full.report.bandwidth);
    origin.store.renew(full).await.unwrap();
    let is_full = |table: &Arc<Table>| table.edges.values().any(|record| record.sent == 2);
    let _ = origin.watch().wait_for(is_full).await.unwrap();
    assert_eq!(place("members/show", &[]), [Err(NoPlace::Full)]);
    assert_eq!(place("members/show", &["good"]), [Err(NoPlace::NoEdge)]);
}

#[tokio::test]
async fn the_list_shows_a_drain_immediately() {
    let origin = start();
    for name in ["a:8080", "b"] {
        origin.store.renew(sample(name)).await.unwrap();
    }
    let _ = origin.watch().wait_for(|table| table.edges.len() == 2).await.unwrap();
    for (drained, state) in [(true, "drained"), (false, "up"), (true, "drained")] {
        assert_eq!(origin.drain("a", drained).await.unwrap().unwrap().as_str(), "a:8080");
        assert_eq!(origin.list().0[0].state, state);
    }
    assert_eq!(origin.drain("c", true).await, Ok(None));
}
