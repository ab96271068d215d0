use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::cluster::pair::entry::{Entry, EntryKind};
use crate::cluster::pair::marks::Trust;

/// Opens the daemon's node whose file is in this folder.
fn daemon(folder: &Path) -> Pair {
    let settings = Settings {
        peer: "http://127.0.0.1:1".parse().unwrap(),
        file: folder.join("pair.db"),
        secret_file: "/nonexistent".into(),
    };
    Pair::open(&settings, Key::new(&[7; 32]).unwrap(), None).unwrap()
}

/// Sends a letter that is signed and sealed correctly, with any content.
fn send(from: &Pair, to: &Pair, text: &[u8]) -> (u16, Answer) {
    let body = from.seal.close("request", text).unwrap();
    let header = from.key.sign(Purpose::Request, clock::next_number(), &signature::nonce().unwrap(), &body);
    let (status, body, signature) = to.take(Some(&header), &body);
    assert!(signature.is_some());
    (status, serde_json::from_slice(&from.seal.open("answer", &body).unwrap()).unwrap())
}

/// Exchanges letters as the nodes do.
fn meet(a: &Pair, b: &Pair) {
    for _ in 0..3 {
        let known = a.status().node.clone();
        let (status, answer) = send(a, b, &serde_json::to_vec(&a.letter(known.as_deref())).unwrap());
        assert_eq!(status, 200, "{answer:?}");
        a.hear(&answer.letter.unwrap()).unwrap();
    }
}

/// Creates a key at a node.
fn make(at: &Pair, id: &str) {
    let mut table = at.table();
    let names = table.names();
    let mut seen: BTreeMap<String, Value> = names.into_iter().map(|name| (name, json!({}))).collect();
    seen.insert(EntryKind::Key.name(id), json!({}));
    table.observe(&[EntryKind::Key], &seen, Trust::Known, clock::now().as_millis());
    at.count(&table);
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
    let lie = |entries: &[(&str, u64)]| Letter {
        upto: u64::MAX,
        entries: entries.iter().map(|(name, at)| ((*name).to_owned(), entry(*at))).collect(),
        have: Some((b.run.clone(), u64::MAX)),
        pending: usize::MAX,
        ..a.letter(None)
    };
    let send_lie = |entries: &[(&str, u64)]| send(&a, &b, &serde_json::to_vec(&lie(entries)).unwrap());
    // Such an edit would win against all later ones, so the whole letter is refused.
    let ahead = clock::now().as_millis() + 367 * 86_400_000;
    for at in [u64::MAX, 1 << 53, ahead] {
        let (status, answer) = send_lie(&[("key/k2", 1), ("key/k1", at)]);
        let (code, message) = answer.error.unwrap();
        assert!(status == 409 && code == "ahead" && message.contains("NTP"), "{at}: {status} {message}");
        assert_eq!(names(&b), ["key/k1"]);
    }
    assert_eq!(send_lie(&[("other/x", 1), ("nothing", 1), ("", 1)]).0, 200);
    assert_eq!(names(&b), ["key/k1"]);
    assert_eq!(b.view().things, 1);
    // Both nodes work as before.
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
    // The clock is set back by an hour: letters from before do not count.
    let node = a.table().node().to_owned();
    b.last.lock().unwrap().insert(node, (clock::now().as_millis() + 3_600_000, Instant::now()));
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
    // The numbers of its log start again at those that b knows already.
    let a = daemon(backup.path());
    for number in 6..16 {
        make(&a, &format!("k{number}"));
    }
    meet(&a, &b);
    assert_eq!(names(&b).len(), 15, "{:?}", names(&b));
    assert_eq!(names(&a), names(&b));
}

#[test]
fn a_machine_that_is_a_copy_of_the_other_one_is_told_so() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = daemon(one.path());
    make(&a, "k1");
    drop(a);
    std::fs::copy(one.path().join("pair.db"), two.path().join("pair.db")).unwrap();
    let (a, b) = (daemon(one.path()), daemon(two.path()));
    let letter = |of: &Pair| serde_json::to_vec(&of.letter(None)).unwrap();
    let (status, answer) = send(&a, &b, &letter(&a));
    let (code, message) = answer.error.unwrap();
    assert!(status == 409 && code == "same_id" && message.contains("remove /"), "{status}: {message}");
    assert!(b.hear(&a.letter(None)).unwrap_err().to_string().contains("pair.db"));
    assert_eq!(send(&a, &a, &letter(&a)).0, 200, "that is this server itself, and no copy");
    // With another file, it is another node.
    drop(b);
    std::fs::remove_file(two.path().join("pair.db")).unwrap();
    let b = daemon(two.path());
    meet(&a, &b);
    assert_eq!(names(&b), ["key/k1"]);
}

#[test]
fn who_asks_how_the_pair_is_does_not_wait_for_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let a = daemon(folder.path());
    make(&a, "k1");
    let (tell, told) = std::sync::mpsc::channel();
    let written = a.table();
    let things = std::thread::scope(|scope| {
        scope.spawn(|| tell.send(a.view().things).unwrap());
        let things = told.recv_timeout(Duration::from_secs(5));
        drop(written);
        things
    });
    assert_eq!(things, Ok(1));
}

/// The nodes are upgraded one after the other. Meanwhile, the old version skips the things of a kind that it does not know.
#[test]
fn a_new_version_gets_the_things_that_the_old_one_skipped() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (daemon(one.path()), daemon(two.path()));
    make(&a, "k1");
    meet(&a, &b);
    make(&a, "k2");
    let node = b.table().node().to_owned();
    b.hear(&Letter { entries: Vec::new(), ..a.letter(Some(&node)) }).unwrap();
    let answer = b.letter(Some(a.table().node()));
    a.hear(&answer).unwrap();
    meet(&a, &b);
    drop(b);
    let b = daemon(two.path());
    let theirs = |b: &Pair| b.table().peer(a.table().node()).theirs;
    assert_eq!(theirs(&b), a.table().seq(), "a restart of the same version asks for nothing again");
    meet(&a, &b);
    assert_eq!(names(&b), ["key/k1"]);
    drop(b);
    let file = rusqlite::Connection::open(two.path().join("pair.db")).unwrap();
    let text: String =
        file.query_row("SELECT value FROM meta WHERE name = 'table'", [], |row| row.get(0)).unwrap();
    let mut meta: Value = serde_json::from_str(&text).unwrap();
    assert!(meta.as_object_mut().unwrap().remove("kinds").is_some());
    file.execute("UPDATE meta SET value = ?1", [meta.to_string()]).unwrap();
    drop(file);
    let b = daemon(two.path());
    assert_eq!(theirs(&b), 0);
    meet(&a, &b);
    assert_eq!(names(&b), ["key/k1", "key/k2"]);
    assert_eq!(theirs(&b), a.table().seq());
}
