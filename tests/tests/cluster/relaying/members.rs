//! Streams for members only: an edge pulls no stream that it would give to everybody. Its log, `weir check node --all` and `weir doctor` say
//! why, and how to change it.

use std::process::Command;

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
    Sidecar::start(
        at_edge,
        &format!(
            "[web]\n[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n[edge]\norigin = \"http://127.0.0.1:{}\"\n\
             address = \"http://127.0.0.1:1\"\nbandwidth = \"1g\"\nrtmp = \"rtmp://127.0.0.1:{}\"\nlinger = \"600s\"\n",
            origin.web(),
            at_origin.rtmp()
        ),
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
fn publish(origin: &Sidecar, at_origin: &Nginx, path: &str) -> Publisher {
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

fn is_live(at: &Nginx, path: &str) -> bool {
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
    let claims = Claims {
        sub: "live/show".parse().unwrap(),
        act: Action::Play,
        exp: Timestamp::from_millis(4_000_000_000_000),
        nbf: None,
        iat: None,
        jti: None,
        ip: None,
        yields: false,
    };
    let token = Signer::new(b"0123456789abcdef0123456789abcdef").unwrap().mint(&claims);
    let path = format!("{WATCH}?token={}", token.expose());
    let mut viewer = until("a member can watch", 10.0, || WebSocket::connect(edge.web(), &path, &[]).ok());
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
