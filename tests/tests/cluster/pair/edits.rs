//! Keys, targets, bans, revoked tokens, administrators, used codes and bans of the chat: a change on one node is in force on the other
//! within two seconds. A node that was down, was killed or lost its state gets everything again.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use weir_tests::harness::websocket::{Message, WebSocket};
use weir_tests::harness::{Sidecar, products, totp, until};

use super::{A, B, Pair, within};
use crate::{client, take};

const PASSWORD: &str = "correct horse";

#[test]
fn keys_targets_and_bans_of_one_node_hold_on_the_other() {
    let mut pair = Pair::start();
    let (a, b) = (pair.api(A), pair.api(B));

    let key = a.create_key("live", "show");
    let publisher = within("the key opens on the other node", 2.0, || pair.try_publish(B, &key.key));
    assert_eq!(b.get("/v1/keys").expect(200)["keys"][0]["id"], key.id);

    // A target that was created on B pushes the stream of A, and a target that was created on A pushes the stream of B.
    let url = format!("rtmp://127.0.0.1:{}/in/there?key=secret-of-target", pair.nodes[B].nginx.rtmp());
    let target = b.post("/v1/targets", &json!({ "app": "live", "stream": "show", "url": url })).expect(201);
    let id = target["id"].as_str().unwrap().to_owned();
    let sessions = |nth: usize| pair.api(nth).get(&format!("/v1/targets/{id}")).json["sessions"].clone();
    until("B pushes", 5.0, || sessions(B)[0]["state"] == "live");
    publisher.close();
    let publisher = pair.publish(A, &key.key);
    within("A pushes", 3.0, || sessions(A)[0]["state"] == "live");
    b.send(b.request("PATCH", &format!("/v1/targets/{id}")).json(&json!({ "enabled": false }))).expect(200);
    within("A pauses it", 2.0, || a.get(&format!("/v1/targets/{id}")).json["enabled"] == false);
    a.delete(&format!("/v1/targets/{id}")).expect(200);
    within("it is removed", 2.0, || b.get(&format!("/v1/targets/{id}")).status == 404);

    // A ban on A is in force on B.
    a.delete("/v1/streams/live/show?ban_s=60").expect(200);
    publisher.wait_closed(2.0);
    within("the key is banned on the other node", 2.0, || {
        pair.try_publish(B, &key.key)
            .is_none()
            .then(|| pair.nodes[B].nginx.log_lines("key banned").pop())
            .flatten()
    });
    // nginx has bans only in memory, so the daemon restores them.
    pair.nodes[B].nginx.restart(|_| {});
    until("the ban is back", 5.0, || pair.try_publish(B, &key.key).is_none());

    // After a rotation, the old secret is invalid on the other node, too. A revocation drops the publisher.
    let key = a.create_key("live", "talk");
    let old = within("the key opens", 2.0, || pair.try_publish(B, &key.key));
    old.close();
    let answer = b.post(&format!("/v1/keys/{}/rotate", key.id), &json!({})).expect(200);
    let new = answer["key"].as_str().unwrap().to_owned();
    let publisher = within("the new secret opens", 2.0, || pair.try_publish(A, &new));
    assert!(pair.try_publish(A, &key.key).is_none(), "the old secret still opens");
    b.delete(&format!("/v1/keys/{}", key.id)).expect(200);
    publisher.wait_closed(2.0);
    assert!(pair.try_publish(A, &new).is_none());

    let revoked = a.post("/v1/tokens/revoke", &json!({ "app": "live", "stream": "show" }));
    assert!(revoked.status == 200, "{}", revoked.text);
    within("tokens are revoked", 2.0, || {
        b.get("/v1/tokens/revocations").json["revocations"]
            == a.get("/v1/tokens/revocations").json["revocations"]
    });
    pair.wait_in_step();
    for node in &pair.nodes {
        let log = node.daemon.log() + &node.nginx.log();
        assert!(
            !log.contains("secret-of-target") && !log.contains(&new) && !log.contains(super::SECRET),
            "{log}"
        );
    }
    let metrics = pair.nodes[A].daemon.get("/metrics").unwrap();
    assert!(metrics.contains("weir_pair_up 1") && metrics.contains("weir_pair_held 0"), "{metrics}");
}

pub(super) fn admin(daemon: &Sidecar, args: &[&str]) {
    let mut command = Command::new(products::weir());
    command.arg("admin").args(args).arg("--config").arg(daemon.configuration());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(PASSWORD.as_bytes());
    assert!(child.wait().unwrap().success(), "{args:?}");
}

pub(super) fn log_in(daemon: &Sidecar, name: &str) -> bool {
    let url = format!("http://127.0.0.1:{}/admin/api/login", daemon.web());
    let request = client().post(url).header("content-type", "application/json");
    let body = json!({ "name": name, "password": PASSWORD }).to_string();
    take(request.body(body).send().unwrap()).status == 200
}

#[test]
fn administrators_and_bans_of_the_chat_are_in_common() {
    let pair = Pair::start();
    let (a, b) = (&pair.nodes[A].daemon, &pair.nodes[B].daemon);
    admin(a, &["add", "ana"]);
    admin(b, &["add", "ben"]);
    within("ana logs in on B", 3.0, || log_in(b, "ana"));
    within("ben logs in on A", 3.0, || log_in(a, "ben"));
    admin(b, &["remove", "ana"]);
    let known = |daemon: &Sidecar| std::fs::read_to_string(daemon.media().join("state/admins")).unwrap();
    within("ana is gone on A", 2.0, || !known(a).contains("ana"));
    assert!(!log_in(a, "ana"));
    // An account with the name of a removed one is a new account.
    admin(a, &["add", "ana", "--role", "viewer"]);
    within("ana is back", 2.0, || known(b).contains("ana"));

    let (_eve, welcome) = join(a, &json!({ "name": "Eve" }));
    assert_eq!(welcome["type"], "chat.welcome");
    let mut chief = join_as_moderator(a);
    chief.send(&json!({ "type": "chat.ban", "name": "Eve" }).to_string()).unwrap();
    within("she is banned on B", 2.0, || join(b, &json!({ "name": "eve" })).1["code"] == "banned");
    assert_eq!(join(b, &json!({ "name": "Other" })).1["code"], "banned", "by her address, too");
    chief.send(&json!({ "type": "chat.unban", "name": "Eve" }).to_string()).unwrap();
    within("she may come back", 2.0, || join(b, &json!({ "name": "eve" })).1["type"] == "chat.welcome");
}

/// A code of a second factor is valid once, on either node.
#[test]
fn a_used_code_is_used_on_both_nodes() {
    let pair = Pair::start();
    let (a, b) = (&pair.nodes[A].daemon, &pair.nodes[B].daemon);
    admin(a, &["add", "ana"]);
    let mut command = Command::new(products::weir());
    command.args(["admin", "totp", "ana", "--json", "--config"]).arg(a.configuration());
    let made: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let secret = made["secret"].as_str().unwrap();
    let known = |daemon: &Sidecar| {
        let text = std::fs::read_to_string(daemon.media().join("state/admins")).unwrap_or_default();
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };
    within("B knows the second factor", 2.0, || known(b)["accounts"][0]["totp"] == secret);
    let try_code = |daemon: &Sidecar, code: &str| {
        let url = format!("http://127.0.0.1:{}/admin/api/login", daemon.web());
        let body = json!({ "name": "ana", "password": PASSWORD, "code": code }).to_string();
        let request = client().post(url).header("content-type", "application/json").body(body);
        take(request.send().unwrap()).status
    };
    let present = totp::code(secret, 0);
    assert_eq!(try_code(a, &present), 200);
    within("B knows that the code was used", 2.0, || known(b)["codes"]["ana"].is_u64());
    assert_eq!((try_code(b, &present), try_code(a, &present)), (401, 401));
    // Both nodes still take the next code, and the other one refuses it.
    let next = totp::code(secret, 1);
    assert_eq!(try_code(b, &next), 200);
    within("A knows it, too", 2.0, || known(a)["codes"] == known(b)["codes"]);
    assert_eq!(try_code(a, &next), 401);
    pair.wait_in_step();
}

/// Joins the chat; returns the socket and the first message of the chat.
pub(super) fn join(daemon: &Sidecar, who: &Value) -> (WebSocket, Value) {
    let mut socket = WebSocket::connect(daemon.web(), "/v1/ws", &[]).unwrap();
    let mut message = json!({ "type": "join", "app": "live", "stream": "show" });
    message.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
    socket.send(&message.to_string()).unwrap();
    let first = until("a word of the chat", 5.0, || match socket.receive() {
        Some(Message::Text(text)) => Some(serde_json::from_str::<Value>(&text).unwrap()).filter(is_of_chat),
        other => panic!("{other:?}"),
    });
    (socket, first)
}

pub(super) fn join_as_moderator(daemon: &Sidecar) -> WebSocket {
    let token = moderator();
    let (socket, welcome) = until("tokens are known", 10.0, || {
        Some(join(daemon, &json!({ "token": token }))).filter(|(_, first)| first["type"] == "chat.welcome")
    });
    assert_eq!(welcome["moderator"], true, "{welcome}");
    socket
}

/// Returns a token of a moderator, as a backend makes it (RFC 7519).
pub(crate) fn moderator() -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use hmac::{Hmac, KeyInit, Mac};
    let claims =
        json!({ "sub": "live/*", "act": "chat", "exp": 4_000_000_000_u64, "name": "Mod", "moderator": true });
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(claims.to_string().as_bytes()));
    let mac = Hmac::<sha2::Sha256>::new_from_slice(super::TOKENS.as_bytes()).unwrap().chain_update(&signed);
    format!("{signed}.{}", encode(&mac.finalize().into_bytes()))
}

fn is_of_chat(word: &Value) -> bool {
    let kind = word["type"].as_str().unwrap_or_default();
    kind == "error" || kind == "chat.welcome"
}

#[test]
fn a_node_that_was_down_or_killed_or_lost_its_state_catches_up() {
    let mut pair = Pair::start();
    let keys: Vec<_> = (0..3).map(|n| pair.api(A).create_key("live", &format!("s{n}"))).collect();
    pair.wait_in_step();

    // B's daemon is killed; both nodes are edited in the meantime.
    pair.nodes[B].daemon.kill();
    pair.api(A).delete(&format!("/v1/keys/{}", keys[0].id)).expect(200);
    let new = pair.api(A).create_key("live", "new");
    let at_b = pair.api(B).create_key("live", "at-b");
    pair.api(B).delete(&format!("/v1/keys/{}", keys[1].id)).expect(200);
    pair.nodes[B].daemon.start_again();
    within("the revoked key is closed", 2.0, || pair.try_publish(B, &keys[0].key).is_none());
    within("the new key opens", 2.0, || pair.try_publish(B, &new.key));
    within("the key of B opens on A", 2.0, || pair.try_publish(A, &at_b.key));
    within("the key that was revoked on B is closed", 2.0, || pair.try_publish(A, &keys[1].key).is_none());
    pair.wait_in_step();

    // Each daemon in turn is killed in the middle of many changes.
    let many: Vec<_> = (0..150).map(|n| pair.api(A).create_key("live", &format!("m{n}"))).collect();
    pair.nodes[A].daemon.kill();
    pair.nodes[A].daemon.start_again();
    for key in many.iter().take(75) {
        pair.api(B).delete(&format!("/v1/keys/{}", key.id));
    }
    pair.nodes[B].daemon.kill();
    pair.nodes[B].daemon.start_again();
    pair.wait_in_step();

    // First nginx of B loses its state file, then B's daemon loses its table: nothing is removed on either node.
    let count = |nth: usize| pair_count(&pair, nth);
    let before = count(A);
    assert!(before >= 75, "{before}");
    pair.nodes[B].nginx.restart(|nginx| std::fs::remove_file(nginx.path("state")).unwrap());
    until("they are back", 15.0, || pair_count(&pair, B) == before);
    assert_eq!(pair_count(&pair, A), before);
    pair.nodes[B].daemon.kill();
    let file = pair.nodes[B].daemon.media().join("state/pair.db");
    for part in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{part}", file.display()));
    }
    pair.api(A).delete(&format!("/v1/keys/{}", new.id)).expect(200);
    pair.nodes[B].daemon.start_again();
    within("what was revoked meanwhile is closed", 3.0, || pair.try_publish(B, &new.key).is_none());
    pair.wait_in_step();
    assert_eq!(pair_count(&pair, A), before - 1);
}

fn pair_count(pair: &Pair, nth: usize) -> usize {
    pair.api(nth).get("/v1/keys").json["keys"].as_array().map_or(0, Vec::len)
}
