//! Both nodes have space for everything that the two may create while they are separated. A request for the health waits for no file.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use weir_tests::harness::until;

use super::{A, B, Pair, within};

/// Returns the token with which a daemon of the pair calls its module.
fn token() -> String {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(super::SECRET.as_bytes()).unwrap();
    let bytes = mac.chain_update(b"weir-replica-1").finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns how many keys are banned at a node.
fn bans(pair: &Pair, nth: usize) -> usize {
    let api = pair.api(nth);
    let answer = api.send(api.request("GET", "/v1/replica").bearer_auth(token())).expect(200);
    answer["bans"].as_array().unwrap().len()
}

#[test]
fn bans_of_both_nodes_push_none_out() {
    const EACH: usize = 120;
    let pair = Pair::start();
    pair.cut();
    for (nth, first) in [(A, 0), (B, EACH)] {
        let api = pair.api(nth);
        for number in first..first + EACH {
            let until = "2099-01-01T00:00:00Z";
            let ban = json!({ "ban": { "key": format!("k{number:016x}"), "until": until } });
            api.send(api.request("PUT", "/v1/replica").bearer_auth(token()).json(&ban)).expect(200);
        }
    }
    let key = pair.api(A).create_key("live", "show");
    let publisher = pair.publish(A, &key.key);
    pair.heal();
    until("both nodes have all bans", 20.0, || bans(&pair, A) == 2 * EACH && bans(&pair, B) == 2 * EACH);
    pair.wait_in_step();
    // A node refuses further bans, because they would take the space of the other node's bans.
    let refused = pair.api(A).delete("/v1/streams/live/show?ban_s=60").error(409, "conflict");
    assert!(refused.contains("128 keys are banned already"), "{refused}");
    assert!(!publisher.is_closed() && bans(&pair, A) == 2 * EACH);
    pair.api(A).delete("/v1/streams/live/show").expect(200);
    publisher.wait_closed(2.0);
}

#[test]
fn who_asks_for_the_health_does_not_wait_for_the_file_of_the_pair() {
    let pair = Pair::start();
    let daemon = &pair.nodes[A].daemon;
    let script = "import sqlite3, sys\ndatabase = sqlite3.connect(sys.argv[1])\ndatabase.execute('BEGIN IMMEDIATE')\n\
                  print('locked', flush=True)\nsys.stdin.read()";
    let mut holder = Command::new("python3")
        .args(["-c", script])
        .arg(daemon.media().join("state/pair.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut line)
        .unwrap();
    assert_eq!(line, "locked\n");
    let key = pair.api(A).create_key("live", "show");
    // The daemon waits for the file once it has seen the key.
    let mut slowest = Duration::ZERO;
    let begin = Instant::now();
    until("the edit waits for the file", 10.0, || {
        let asked = Instant::now();
        daemon.get("/healthz").unwrap();
        slowest = slowest.max(asked.elapsed());
        let view: Value = pair.view(A);
        begin.elapsed() > Duration::from_secs(3) && view["to_send"].as_u64().is_some_and(|count| count > 0)
    });
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    holder.stdin.take().unwrap().flush().unwrap();
    holder.wait().unwrap();
    within("the key opens on B", 12.0, || pair.try_publish(B, &key.key));
    pair.wait_in_step();
}
