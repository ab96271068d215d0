use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::cluster::pair::entry::{Entry, Kind};

/// The daemon of a node whose file is in this folder.
fn daemon(folder: &Path) -> Pair {
    let settings = Settings {
        peer: "http://127.0.0.1:1".parse().unwrap(),
        file: folder.join("pair.db"),
        secret_file: "/nonexistent".into(),
    };
    Pair::open(&settings, Key::new(&[7; 32]).unwrap()).unwrap()
}

/// A letter that is signed and sealed as it should be, whatever is in it.
fn send(from: &Pair, to: &Pair, text: &[u8]) -> (u16, Answer) {
    let body = from.seal.close("request", text).unwrap();
    let header = from.key.sign(Purpose::Request, clock::next_number(), &signature::nonce().unwrap(), &body);
    let (status, body, signature) = to.take(Some(&header), &body);
    assert!(signature.is_some());
    (status, serde_json::from_slice(&from.seal.open("answer", &body).unwrap()).unwrap())
}

/// As the nodes exchange letters.
fn meet(a: &Pair, b: &Pair) {
    for _ in 0..3 {
        let known = a.status().node.clone();
        let (status, answer) = send(a, b, &serde_json::to_vec(&a.letter(known.as_deref())).unwrap());
        assert_eq!(status, 200, "{answer:?}");
        a.hear(&answer.letter.unwrap()).unwrap();
    }
}

/// Somebody makes a key at a node.
fn make(at: &Pair, id: &str) {
    let mut table = at.table();
    let names = table.names();
    let mut seen: BTreeMap<String, Value> = names.into_iter().map(|name| (name, json!({}))).collect();
    seen.insert(Kind::Key.name(id), json!({}));
    table.observe(&[Kind::Key], &seen, true, clock::now().as_millis());
    table.commit().unwrap();
}

fn names(of: &Pair) -> Vec<String> {
    of.table().names()
}

#[test]
fn a_peer_that_lies_breaks_nothing() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (daemon(one.path()), daemon(two.path()));
    make(&a, "k1");
    meet(&a, &b);
    assert_eq!(names(&b), ["key/k1"]);
    for text in ["", "not JSON", "[]", r#"{"entries":1}"#, r#"{"node":"a","upto":-1}"#] {
        let (status, answer) = send(&a, &b, text.as_bytes());
        assert!(status == 400 && answer.letter.is_none(), "{text}: {answer:?}");
    }
    let entry = |at: u64| Entry {
        clock: [("x".to_owned(), at)].into(),
        at,
        by: "x".into(),
        value: Some(json!("lie")),
    };
    let entries = [("key/k1", u64::MAX), ("key/k2", u64::MAX - 1), ("other/x", 1), ("nothing", 1), ("", 1)];
    let lie = Letter {
        upto: u64::MAX,
        entries: entries.map(|(name, at)| (name.to_owned(), entry(at))).into(),
        have: Some((b.run.clone(), u64::MAX)),
        pending: usize::MAX,
        ..a.letter(None)
    };
    assert_eq!(send(&a, &b, &serde_json::to_vec(&lie).unwrap()).0, 200);
    assert_eq!(names(&b), ["key/k1"], "edits of the end of time are not taken");
    assert_eq!(b.view().things, 1);
    // Both go on.
    make(&a, "k3");
    make(&b, "k4");
    meet(&a, &b);
    assert_eq!(names(&a), ["key/k1", "key/k3", "key/k4"]);
    assert_eq!(names(&a), names(&b));
}

#[test]
fn a_letter_is_taken_once_and_not_from_before_the_daemon() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = daemon(one.path());
    let body = a.seal.close("request", &serde_json::to_vec(&a.letter(None)).unwrap()).unwrap();
    let header = a.key.sign(Purpose::Request, clock::next_number(), &signature::nonce().unwrap(), &body);
    std::thread::sleep(Duration::from_millis(3));
    let b = daemon(two.path());
    assert_eq!(b.take(Some(&header), &body).0, 401, "from before: it may have been here");
    let header = a.key.sign(Purpose::Request, clock::next_number(), &signature::nonce().unwrap(), &body);
    assert_eq!(b.take(Some(&header), &body).0, 200);
    assert_eq!(b.take(Some(&header), &body).0, 409);
    assert_eq!(b.take(None, &body).0, 401);
}

#[test]
fn a_node_whose_file_is_from_a_backup_tells_what_was_edited_since() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (daemon(one.path()), daemon(two.path()));
    make(&a, "k1");
    meet(&a, &b);
    drop(a);
    let backup = tempfile::tempdir().unwrap();
    std::fs::copy(one.path().join("pair.db"), backup.path().join("pair.db")).unwrap();
    let a = daemon(one.path());
    for number in 2..6 {
        make(&a, &format!("k{number}"));
    }
    meet(&a, &b);
    assert_eq!(names(&b).len(), 5);
    drop(a);
    // The numbers of its log begin again at those that b knows already.
    let a = daemon(backup.path());
    for number in 6..16 {
        make(&a, &format!("k{number}"));
    }
    meet(&a, &b);
    assert_eq!(names(&b).len(), 15, "{:?}", names(&b));
    assert_eq!(names(&a), names(&b));
}
