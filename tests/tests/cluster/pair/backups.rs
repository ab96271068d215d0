//! If a file of one node comes from a backup, removed entries do not return, and new entries are not removed. A copy of a whole machine is
//! recognized and reported.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use weir_tests::harness::Sidecar;

use super::edits::{admin, join, join_as_moderator, log_in};
use super::{A, B, Pair, within};

/// Copies a database file; SQLite keeps some of its data in further files beside it.
fn copy(from: &Path, to: &Path) {
    for part in ["", "-wal", "-shm"] {
        let of = |path: &Path| PathBuf::from(format!("{}{part}", path.display()));
        let _ = fs::remove_file(of(to));
        if of(from).exists() {
            fs::copy(of(from), of(to)).unwrap();
        }
    }
}

fn admins(daemon: &Sidecar) -> PathBuf {
    daemon.media().join("state/admins")
}

fn table(daemon: &Sidecar) -> PathBuf {
    daemon.media().join("state/pair.db")
}

fn chat(daemon: &Sidecar) -> PathBuf {
    daemon.media().parent().unwrap().join("chat.db")
}

/// The file does not exist before the first administrator arrives.
fn knows(daemon: &Sidecar, name: &str) -> bool {
    match fs::read_to_string(admins(daemon)) {
        Ok(text) => text.contains(name),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => panic!("{}: {error}", admins(daemon).display()),
    }
}

/// Returns the mark by which a node recognizes its file.
fn mark(file: &Path) -> Value {
    let content: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    content["mark"].clone()
}

fn is_banned(daemon: &Sidecar, name: &str) -> bool {
    join(daemon, &json!({ "name": name })).1["code"] == "banned"
}

#[test]
fn files_of_one_node_from_a_backup_bring_nothing_back() {
    let mut pair = Pair::start();
    let keys: Vec<_> = ["revoked", "rotated"].map(|name| pair.api(A).create_key("live", name)).into();
    for name in ["ana", "ben"] {
        admin(&pair.nodes[B].daemon, &["add", name]);
    }
    let mut chief = join_as_moderator(&pair.nodes[A].daemon);
    let mut moderate =
        |what: &str, name: &str| chief.send(&json!({ "type": what, "name": name }).to_string());
    moderate("chat.ban", "Forgiven").unwrap();
    within("all of it is on both", 3.0, || {
        knows(&pair.nodes[A].daemon, "ben") && pair.view(B)["things"] == 5 && pair.view(A)["things"] == 5
    });
    pair.wait_in_step();

    // The test takes a backup of B and then edits.
    pair.nodes[B].daemon.kill();
    let backup = tempfile::tempdir().unwrap();
    let place = |name: &str| backup.path().join(name);
    copy(&admins(&pair.nodes[B].daemon), &place("admins"));
    copy(&chat(&pair.nodes[B].daemon), &place("chat"));
    copy(&pair.nodes[B].nginx.path("state"), &place("state"));
    pair.nodes[B].daemon.start_again();
    admin(&pair.nodes[A].daemon, &["remove", "ana"]);
    moderate("chat.unban", "Forgiven").unwrap();
    moderate("chat.ban", "Mallory").unwrap();
    pair.api(A).delete(&format!("/v1/keys/{}", keys[0].id)).expect(200);
    let new = pair.api(A).post(&format!("/v1/keys/{}/rotate", keys[1].id), &json!({})).expect(200);
    let new = new["key"].as_str().unwrap().to_owned();
    within("all of it is on B", 3.0, || {
        let b = &pair.nodes[B].daemon;
        !knows(b, "ana") && is_banned(b, "mallory") && pair.try_publish(B, &keys[0].key).is_none()
    });
    pair.wait_in_step();
    // A node recognizes a backup by its mark, which changes shortly after the content.
    within("the file has a new mark", 3.0, || mark(&admins(&pair.nodes[B].daemon)) != mark(&place("admins")));

    // The files are replaced while the daemon runs, and while it does not.
    for is_running in [true, false] {
        let node = &mut pair.nodes[B];
        if !is_running {
            node.daemon.kill();
            copy(&place("chat"), &chat(&node.daemon));
            node.nginx.restart(|nginx| copy(&place("state"), &nginx.path("state")));
        }
        fs::copy(place("admins"), place("new")).unwrap();
        fs::copy(place("new"), admins(&node.daemon).with_extension("restored")).unwrap();
        fs::rename(admins(&node.daemon).with_extension("restored"), admins(&node.daemon)).unwrap();
        if !is_running {
            assert!(pair.try_publish(B, &keys[0].key).is_some(), "the backup has no revocation");
            pair.nodes[B].daemon.start_again();
        }
        within("the restored accounts are replaced", 3.0, || !knows(&pair.nodes[B].daemon, "ana"));
        within("what was revoked is closed", 3.0, || pair.try_publish(B, &keys[0].key).is_none());
        pair.wait_in_step();
        for nth in [A, B] {
            let daemon = &pair.nodes[nth].daemon;
            assert!(!knows(daemon, "ana") && log_in(daemon, "ben"), "{is_running}");
            assert!(is_banned(daemon, "mallory"), "{is_running}: a ban is gone");
            assert!(pair.try_publish(nth, &keys[0].key).is_none(), "{is_running}: a revoked key came back");
            assert!(pair.try_publish(nth, &keys[1].key).is_none(), "{is_running}: an old secret came back");
            drop(pair.publish(nth, &new));
        }
        assert_eq!(pair.view(A)["things"], 3, "{is_running}: {}", pair.view(A));
    }
    pair.nodes[B].daemon.wait_log("pair: old or empty file ignored");

    // B is edited afterwards, also while its daemon is stopped.
    admin(&pair.nodes[B].daemon, &["add", "carl"]);
    within("carl is on A", 3.0, || knows(&pair.nodes[A].daemon, "carl"));
    pair.nodes[B].daemon.kill();
    admin(&pair.nodes[B].daemon, &["remove", "ben"]);
    pair.nodes[B].daemon.start_again();
    within("ben is gone on A", 3.0, || !knows(&pair.nodes[A].daemon, "ben"));
}

#[test]
fn a_copy_of_a_machine_is_told_what_to_do() {
    let mut pair = Pair::start();
    let key = pair.api(A).create_key("live", "show");
    pair.wait_in_step();
    pair.nodes.iter_mut().for_each(|node| node.daemon.kill());
    copy(&table(&pair.nodes[A].daemon), &table(&pair.nodes[B].daemon));
    pair.nodes.iter_mut().for_each(|node| node.daemon.start_again());
    for nth in [A, B] {
        within("it is noticed", 8.0, || {
            let error = pair.view(nth)["error"].as_str().unwrap_or_default().to_owned();
            error.contains("the same id") && error.contains("pair.db")
        });
        pair.nodes[nth].daemon.wait_log("both nodes of the pair have the same id");
    }
    pair.nodes[B].daemon.kill();
    let file = table(&pair.nodes[B].daemon);
    copy(Path::new("/nonexistent"), &file);
    pair.nodes[B].daemon.start_again();
    pair.wait_in_step();
    drop(pair.publish(B, &key.key));
}
