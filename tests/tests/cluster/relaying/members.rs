//! Streams for members only: an edge pulls no stream that it would give to everybody. Its log, `weir check node --all` and `weir doctor`
//! say why, and how to change it. The same commands report another `weir_secret`. What the origin revokes is revoked at its edges.

use std::process::Command;

use serde_json::{Value, json};
use weir_model::Timestamp;
use weir_model::token::{Action, Claims, Signer};
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Nginx, Player, Publisher, Sidecar, WebSocket, products, until};

use crate::{ORIGIN, config_that};

const FAULT: &str = "application \"live\" needs play tokens at the origin, and this edge's nginx gives its streams without one, so this edge \
                     does not pull them: add \"weir_play token;\" to application live in nginx.conf, then reload nginx";
const WATCH: &str = "/stream/live/show/ws";

/// Starts the daemon of an edge that does not drop a stream because nobody watches it.
fn start_edge(at_edge: &Nginx, origin: &Sidecar, at_origin: &Nginx) -> Sidecar {
    Sidecar::start(at_edge, &of_edge(origin, at_origin))
}

/// Returns its configuration.
pub(super) fn of_edge(origin: &Sidecar, at_origin: &Nginx) -> String {
    format!(
        "[web]\n[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n[edge]\norigin = \"http://127.0.0.1:{}\"\n\
         address = \"http://127.0.0.1:1\"\nbandwidth = \"1g\"\nrtmp = \"rtmp://127.0.0.1:{}\"\nlinger = \"600s\"\n",
        origin.web(),
        at_origin.rtmp()
    )
}

/// Lets nginx ask for play tokens for the application `live`.
fn protect(nginx: &mut Nginx) {
    nginx.edit(|mut config| {
        let open = "application live { live on; ";
        config.server = config.server.replace(open, &format!("{open}weir_play token; "));
        config
    });
    nginx.reload();
}

/// Publishes, and waits until the origin offers the stream.
pub(super) fn publish(origin: &Sidecar, at_origin: &Nginx, path: &str) -> Publisher {
    let publisher = Publisher::to(at_origin.rtmp(), path).start().started();
    origin.wait_log(&format!("stream is live stream=\"{path}\""));
    publisher
}

/// Returns the lines of a command that checks the edge.
fn check(command: &[&str], edge: &Sidecar, at_edge: &Nginx) -> Vec<String> {
    let output = Command::new(products::weir())
        .args(command)
        .args(["--api", &at_edge.url("/api"), "--conf"])
        .arg(at_edge.path("nginx.conf"))
        .arg("--config")
        .arg(edge.configuration())
        .arg("--socket")
        .arg(edge.socket())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Returns a token to watch with this id, without the time when it was minted.
pub(super) fn token(jti: &str) -> String {
    let claims = Claims {
        sub: "live/show".parse().unwrap(),
        act: Action::Play,
        exp: Timestamp::from_millis(4_000_000_000_000),
        nbf: None,
        iat: None,
        jti: Some(jti.parse().unwrap()),
        ip: None,
        yields: false,
    };
    Signer::new(b"0123456789abcdef0123456789abcdef").unwrap().mint(&claims).expose().to_owned()
}

/// Watches the stream at an edge's pages. Returns the status of a refusal.
pub(super) fn watch(edge: &Sidecar, token: &str) -> Result<WebSocket, u16> {
    WebSocket::connect(edge.web(), &format!("{WATCH}?token={token}"), &[]).map_err(|(status, _)| status)
}

pub(super) fn revoke(at: &Nginx, body: &Value) -> Value {
    at.api().post("/v1/tokens/revoke", body).expect(200)
}

/// Waits until a revocation is in force at an nginx: the same tokens, up to the same time.
#[track_caller]
fn wait_revoked(at: &Nginx, revocation: &Value) {
    let is_same = |one: &Value| match revocation.get("jti") {
        Some(jti) => one["jti"] == *jti,
        None => ["app", "stream", "revoked_at"].iter().all(|name| one[name] == revocation[name]),
    };
    until("the edge has the revocation", 20.0, || {
        let answer = at.api().get("/v1/tokens/revocations");
        answer.json["revocations"].as_array().is_some_and(|list| list.iter().any(is_same))
    });
}

/// Asserts that nginx refuses a revoked token over RTMP.
#[track_caller]
fn is_refused(at: &Nginx, token: &str) {
    let player = Player::start(at.rtmp(), &format!("live/show?token={token}"));
    player.wait_closed(10.0);
    assert_eq!(player.seen().statuses.last().unwrap().description, "token revoked");
}

pub(super) fn is_live(at: &Nginx, path: &str) -> bool {
    at.api().get(&format!("/v1/streams/{path}")).status == 200
}

#[test]
fn an_edge_pulls_no_stream_that_it_would_give_to_everybody() {
    let at_origin =
        config_that("weir_publish open; weir_play token;").app("free", "weir_publish open;").start();
    let origin = Sidecar::start(&at_origin, ORIGIN);
    let _publishers = ["live/show", "free/show"].map(|path| publish(&origin, &at_origin, path));
    let mut at_edge = config_that("weir_publish key;").app("free", "weir_publish key;").start();
    let edge = start_edge(&at_edge, &origin, &at_origin);
    edge.wait_log(&format!("streams not pulled: {FAULT}, origin: http://127.0.0.1:{}", origin.web()));

    // The edge sees the viewer of each application, and pulls one of the two streams.
    let members = Player::start(at_edge.rtmp(), "live/show");
    members.wait_playing();
    let free = Player::start(at_edge.rtmp(), "free/show");
    free.wait_video(1);
    assert!(!is_live(&at_edge, "live/show") && members.seen().video == 0);
    assert!(WebSocket::connect(edge.web(), WATCH, &[]).is_err());
    drop((members, free));

    let nginx = products::nginx().display().to_string();
    let commands: [&[&str]; 2] = [&["check", "node", "--all"], &["doctor", "--nginx", &nginx]];
    for command in commands {
        let said = check(command, &edge, &at_edge);
        let lines = said.iter().filter(|line| **line == format!("problem: cluster: {FAULT}")).count();
        assert_eq!(lines, 1, "{command:?}: {said:#?}");
    }
    assert_eq!(edge.log().matches("streams not pulled").count(), 1, "{}", edge.log());

    // The administrator adds the line. Members may watch, and nobody else.
    protect(&mut at_edge);
    edge.wait_log("this edge asks for play tokens as its origin does");
    let mut viewer = until("a member can watch", 10.0, || watch(&edge, &token("member")).ok());
    while !matches!(viewer.receive(), Some(Message::Binary(_))) {}
    let refused = WebSocket::connect(edge.web(), WATCH, &[]).map(drop).map_err(|(status, _)| status);
    assert_eq!(refused, Err(403));
    for command in commands {
        let said = check(command, &edge, &at_edge);
        assert!(!said.iter().any(|line| line.contains("play tokens")), "{command:?}: {said:#?}");
    }
}

#[test]
fn a_stream_that_becomes_one_for_members_ends_at_an_edge_that_is_open() {
    let mut at_origin = config_that("weir_publish open;").start();
    let origin = Sidecar::start(&at_origin, ORIGIN);
    let _publisher = publish(&origin, &at_origin, "live/show");
    let at_edge = config_that("weir_publish key;").start();
    let edge = start_edge(&at_edge, &origin, &at_origin);
    let player = Player::start(at_edge.rtmp(), "live/show");
    player.wait_video(1);
    protect(&mut at_origin);
    until("the edge drops the stream", 15.0, || !is_live(&at_edge, "live/show"));
    edge.wait_log(&format!("streams not pulled: {FAULT}"));
}

#[test]
fn a_token_that_the_origin_revokes_opens_nothing_at_its_edges() {
    let at_origin = config_that("weir_publish open; weir_play token;").start();
    let origin = Sidecar::start(&at_origin, ORIGIN);
    let _publisher = publish(&origin, &at_origin, "live/show");
    let mut at_edge = config_that("weir_publish key; weir_play token;").start();
    let edge = start_edge(&at_edge, &origin, &at_origin);
    let [leaked, other] = ["leaked", "other"].map(token);
    let mut viewer = until("the token opens the stream", 20.0, || watch(&edge, &leaked).ok());
    while !matches!(viewer.receive(), Some(Message::Binary(_))) {}
    let player = Player::start(at_edge.rtmp(), &format!("live/show?token={leaked}"));
    player.wait_video(1);

    let revocation = revoke(&at_origin, &json!({ "jti": "leaked" }));
    wait_revoked(&at_edge, &revocation);
    edge.wait_log("tokens revoked as at the origin, revocations: 1");
    player.wait_closed(5.0);
    let end = loop {
        match viewer.receive() {
            Some(Message::Binary(_) | Message::Text(_) | Message::Pong(_)) => {}
            end => break end,
        }
    };
    assert!(matches!(&end, Some(Message::Close(1008, why)) if why.contains("revoked")), "{end:?}");
    assert_eq!(watch(&edge, &leaked).err(), Some(403));
    is_refused(&at_edge, &leaked);
    assert!(watch(&edge, &other).is_ok());

    // This nginx has no state file.
    at_edge.restart(|_| {});
    wait_revoked(&at_edge, &revocation);
    is_refused(&at_edge, &leaked);
    until("the pages refuse the token", 10.0, || watch(&edge, &leaked).err() == Some(403));

    // All tokens of the stream until now. A newer one opens it.
    let revocation = revoke(&at_origin, &json!({ "app": "live", "stream": "show" }));
    wait_revoked(&at_edge, &revocation);
    is_refused(&at_edge, &other);
    until("the pages refuse the token", 10.0, || watch(&edge, &other).err() == Some(403));
    let wanted = json!({ "app": "live", "stream": "show", "action": "play", "ttl_s": 600 });
    let minted = at_origin.api().post("/v1/tokens", &wanted).expect(201);
    let newer = minted["token"].as_str().unwrap();
    // The revocation also ends the relay of the edge, which then pulls the stream again.
    until("a newer token opens the stream", 30.0, || {
        let mut viewer = watch(&edge, newer).ok()?;
        loop {
            match viewer.receive() {
                Some(Message::Binary(_)) => return Some(()),
                Some(Message::Text(_) | Message::Pong(_)) => {}
                Some(Message::Close(..)) | None => return None,
            }
        }
    });
}

#[test]
fn an_edge_with_another_secret_of_play_tokens_says_so() {
    let at_origin = config_that("weir_publish open; weir_play token;").start();
    let origin = Sidecar::start(&at_origin, ORIGIN);
    let at_edge = config_that("weir_publish key; weir_play token;")
        .file("secret", "another-secret-another-secret-another")
        .start();
    let edge = start_edge(&at_edge, &origin, &at_origin);
    let fault = "this edge has another weir_secret than the origin";
    edge.wait_log(fault);
    let nginx = products::nginx().display().to_string();
    let commands: [&[&str]; 2] = [&["check", "node", "--all"], &["doctor", "--nginx", &nginx]];
    let found = |command: &[&str]| {
        let said = check(command, &edge, &at_edge);
        said.iter().filter(|line| line.starts_with(&format!("problem: cluster: {fault}"))).count()
    };
    assert_eq!(commands.map(found), [1, 1]);
    assert_eq!(edge.log().matches(fault).count(), 1, "{}", edge.log());

    std::fs::write(at_edge.path("secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
    at_edge.reload();
    edge.wait_log("this edge has the weir_secret of its origin");
    assert_eq!(commands.map(found), [0, 0]);
}
