//! The rooms of the chat have the same bans, time-outs and slow mode on both nodes, also after a restart, a partition and a disk that
//! refused to write.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use weir_tests::harness::websocket::{Message, WebSocket};
use weir_tests::harness::{Sidecar, until};

use super::edits::{join, join_as_moderator};
use super::{A, B, Pair, within};

fn tell(socket: &mut WebSocket, message: &Value) {
    socket.send(&message.to_string()).unwrap();
}

/// Returns the slow mode that a new person is told.
fn slow(daemon: &Sidecar) -> u64 {
    join(daemon, &json!({})).1["slow_s"].as_u64().unwrap()
}

/// Joins under a name and writes; returns the type of the answer, or the code of the refusal.
fn answer(daemon: &Sidecar, name: &str) -> String {
    let (mut socket, _) = join(daemon, &json!({ "name": name }));
    tell(&mut socket, &json!({ "type": "chat", "text": format!("hello of {name}") }));
    loop {
        let Some(Message::Text(text)) = socket.receive() else { panic!("the connection has ended") };
        let heard: Value = serde_json::from_str(&text).unwrap();
        match heard["type"].as_str() {
            Some("error") => return heard["code"].as_str().unwrap().to_owned(),
            Some("chat") if heard["name"] == name => return "chat".to_owned(),
            _ => {}
        }
    }
}

#[test]
fn time_outs_and_slow_mode_are_in_common() {
    let mut pair = Pair::start();
    let mut chief = join_as_moderator(&pair.nodes[A].daemon);
    let (_eve, _) = join(&pair.nodes[A].daemon, &json!({ "name": "Eve" }));
    tell(&mut chief, &json!({ "type": "chat.timeout", "name": "Eve", "seconds": 600 }));
    within("she has a time-out on B", 2.0, || answer(&pair.nodes[B].daemon, "Eve") == "timed_out");
    assert_eq!(answer(&pair.nodes[B].daemon, "Other"), "timed_out", "by her address, too");
    tell(&mut chief, &json!({ "type": "chat.slow", "seconds": 30 }));
    within("B is slow", 2.0, || slow(&pair.nodes[B].daemon) == 30);
    pair.wait_in_step();

    // Both stay in force after a restart, and the room is empty in the meantime.
    drop((chief, _eve));
    for nth in [A, B] {
        pair.nodes[nth].daemon.kill();
        pair.nodes[nth].daemon.start_again();
    }
    pair.wait_in_step();
    for nth in [A, B] {
        let daemon = &pair.nodes[nth].daemon;
        assert_eq!((answer(daemon, "Eve").as_str(), slow(daemon)), ("timed_out", 30));
    }

    // The time-out is lifted on the node where it was not given.
    let mut chief = join_as_moderator(&pair.nodes[B].daemon);
    tell(&mut chief, &json!({ "type": "chat.unban", "name": "Eve" }));
    within("she may write on A", 2.0, || answer(&pair.nodes[A].daemon, "Eve") == "chat");

    // Both nodes change the slow mode while they are apart: the slower one is in force.
    pair.wait_in_step();
    pair.cut();
    let mut other = join_as_moderator(&pair.nodes[A].daemon);
    tell(&mut other, &json!({ "type": "chat.slow", "seconds": 60 }));
    until("A has seen it", 5.0, || pair.view(A)["to_send"].as_u64() > Some(0));
    tell(&mut chief, &json!({ "type": "chat.slow", "seconds": 5 }));
    until("B has seen it", 5.0, || pair.view(B)["to_send"].as_u64() > Some(0));
    pair.heal();
    pair.wait_in_step();
    until("both are slow", 5.0, || [A, B].map(|nth| slow(&pair.nodes[nth].daemon)) == [60, 60]);
    tell(&mut other, &json!({ "type": "chat.slow", "seconds": 0 }));
    within("slow mode is off", 2.0, || slow(&pair.nodes[B].daemon) == 0);

    // A time-out ends on both nodes, and the end is no edit.
    tell(&mut other, &json!({ "type": "chat.timeout", "name": "Ben", "seconds": 3 }));
    within("he has a time-out on B", 2.0, || answer(&pair.nodes[B].daemon, "Ben") == "timed_out");
    until("it ends on B", 8.0, || answer(&pair.nodes[B].daemon, "Ben") == "chat");
    until("it ends on A", 8.0, || answer(&pair.nodes[A].daemon, "Ben") == "chat");
    pair.wait_in_step();
}

/// Waits for a message of the chat that fits, and returns it.
#[track_caller]
fn hear(socket: &mut WebSocket, fits: impl Fn(&Value) -> bool) -> Value {
    until("a word of the chat", 10.0, || match socket.receive() {
        Some(Message::Text(text)) => Some(serde_json::from_str::<Value>(&text).unwrap()).filter(&fits),
        Some(_) => None,
        None => panic!("the connection has ended"),
    })
}

/// Returns the texts of the messages that a new person gets.
fn history(daemon: &Sidecar) -> Vec<String> {
    // The messages come after the welcome; the person's own one is the last.
    let (mut socket, _) = join(daemon, &json!({ "name": "Reader" }));
    tell(&mut socket, &json!({ "type": "chat", "text": "the end" }));
    let mut texts = Vec::new();
    loop {
        let heard = hear(&mut socket, |heard| heard["type"] == "chat");
        match heard["text"].as_str().unwrap() {
            "the end" => return texts,
            text => texts.push(text.to_owned()),
        }
    }
}

#[test]
fn messages_are_in_common() {
    let mut pair = Pair::start();
    pair.wait_in_step();
    let mut chief = join_as_moderator(&pair.nodes[B].daemon);
    let (mut ann, _) = join(&pair.nodes[A].daemon, &json!({ "name": "Ann" }));
    let say = |socket: &mut WebSocket, text: &str| tell(socket, &json!({ "type": "chat", "text": text }));
    say(&mut ann, "one");
    say(&mut ann, "two");
    let heard = hear(&mut chief, |heard| heard["type"] == "chat");
    assert_eq!((&heard["name"], &heard["text"]), (&"Ann".into(), &"one".into()));
    hear(&mut chief, |heard| heard["text"] == "two");

    // A moderator of the other node deletes one.
    let (one, other) = (heard["id"].clone(), |kind: &str| json!({ "type": kind, "id": heard["id"] }));
    let is_deleted = |heard: &Value| heard["type"] == "chat.deleted" && heard["id"] == one;
    tell(&mut chief, &other("chat.delete"));
    hear(&mut ann, is_deleted);
    // It comes back where it was, and is deleted again.
    tell(&mut chief, &other("chat.restore"));
    hear(&mut ann, |heard| heard["type"] == "chat.restored" && heard["message"]["id"] == one);
    let (mut reader, _) = join(&pair.nodes[A].daemon, &json!({ "name": "Late" }));
    assert_eq!(hear(&mut reader, |heard| heard["type"] == "chat")["text"], "one");
    tell(&mut chief, &other("chat.delete"));
    hear(&mut ann, is_deleted);
    say(&mut chief, "three");
    hear(&mut ann, |heard| heard["text"] == "three" && heard["moderator"] == true);

    // What is written while the nodes are apart comes later, once.
    pair.cut();
    say(&mut ann, "four");
    say(&mut chief, "five");
    hear(&mut chief, |heard| heard["text"] == "five");
    pair.heal();
    hear(&mut chief, |heard| heard["text"] == "four");
    hear(&mut ann, |heard| heard["text"] == "five");
    let mut expected = ["two", "three", "four", "five"];
    expected.sort_unstable();
    let sorted = |daemon: &Sidecar| {
        let mut texts = history(daemon);
        texts.retain(|text| text != "the end");
        texts.sort_unstable();
        texts
    };
    assert_eq!([A, B].map(|nth| sorted(&pair.nodes[nth].daemon)), [expected, expected]);

    // They are also in the file.
    drop((ann, chief));
    pair.nodes[B].daemon.kill();
    pair.nodes[B].daemon.start_again();
    assert_eq!(sorted(&pair.nodes[B].daemon), expected);
}

#[test]
fn the_messages_of_a_banned_person_go_and_come_back_on_both_nodes() {
    let pair = Pair::start();
    pair.wait_in_step();
    let mut chief = join_as_moderator(&pair.nodes[A].daemon);
    let say = |socket: &mut WebSocket, text: &str| tell(socket, &json!({ "type": "chat", "text": text }));
    let (mut eve, _) = join(&pair.nodes[A].daemon, &json!({ "name": "Eve" }));
    let (mut reader, _) = join(&pair.nodes[B].daemon, &json!({}));
    say(&mut eve, "one");
    hear(&mut reader, |heard| heard["text"] == "one");
    tell(&mut chief, &json!({ "type": "chat.timeout", "name": "Eve", "seconds": 600 }));
    hear(&mut reader, |heard| heard["type"] == "chat.cleared");
    tell(&mut chief, &json!({ "type": "chat.unban", "name": "Eve" }));
    tell(&mut chief, &json!({ "type": "chat.restore", "name": "Eve" }));
    hear(&mut reader, |heard| heard["type"] == "chat.restored" && heard["message"]["text"] == "one");
}

/// Locks the file of a chat until its standard input is closed, so that the daemon cannot write to it.
fn lock(daemon: &Sidecar) -> Child {
    let script = "import sqlite3, sys\ndatabase = sqlite3.connect(sys.argv[1])\ndatabase.execute('BEGIN IMMEDIATE')\n\
                  print('locked', flush=True)\nsys.stdin.read()";
    let mut holder = Command::new("python3")
        .args(["-c", script])
        .arg(daemon.history().with_file_name("chat.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");
    holder
}

#[test]
fn a_ban_that_the_disk_refused_is_in_force_after_a_restart() {
    let mut pair = Pair::start();
    let mut chief = join_as_moderator(&pair.nodes[A].daemon);
    // The file has a mark after the first ban.
    tell(&mut chief, &json!({ "type": "chat.ban", "name": "First" }));
    let is_banned =
        |daemon: &Sidecar, name: &str| join(daemon, &json!({ "name": name })).1["code"] == "banned";
    within("the first ban is on B", 2.0, || is_banned(&pair.nodes[B].daemon, "First"));
    let file = pair.nodes[A].daemon.history().with_file_name("chat.db-wal");
    until("it is on the disk", 5.0, || {
        std::fs::read(&file).unwrap().windows(5).any(|window| window == b"first")
    });
    pair.wait_in_step();

    let mut holder = lock(&pair.nodes[A].daemon);
    tell(&mut chief, &json!({ "type": "chat.ban", "name": "Second" }));
    within("the second ban is on B", 2.0, || is_banned(&pair.nodes[B].daemon, "Second"));
    pair.nodes[A].daemon.wait_log("chat not written");
    pair.nodes[A].daemon.kill();
    drop(holder.stdin.take());
    holder.wait().unwrap();
    pair.nodes[A].daemon.start_again();
    pair.nodes[A].daemon.wait_log("pair: old or empty file ignored");
    pair.wait_in_step();
    for nth in [A, B] {
        for name in ["First", "Second"] {
            assert!(is_banned(&pair.nodes[nth].daemon, name), "{name} may come back");
        }
    }
    // A moderator may lift it as any other.
    let mut chief = join_as_moderator(&pair.nodes[A].daemon);
    tell(&mut chief, &json!({ "type": "chat.unban", "name": "Second" }));
    within("it is lifted on B", 2.0, || !is_banned(&pair.nodes[B].daemon, "Second"));
}
