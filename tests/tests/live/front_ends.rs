//! `/v1/ws`: a front end joins a stream, and is notified when the stream can be played, is interrupted and ends, and of the number of
//! viewers. The daemon answers an invalid message with an error, and closes a connection that sends too much.

use std::io::Read;

use serde_json::{Value, json};
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Sidecar, WebSocket, until};

use super::{open, publish, watch};

/// Returns the next JSON message of the server; a close as `{"close": CODE, "reason": ..}`.
#[track_caller]
fn next(socket: &mut WebSocket) -> Value {
    match socket.receive() {
        Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
        Some(Message::Close(code, reason)) => json!({ "close": code, "reason": reason }),
        other => panic!("{other:?}"),
    }
}

/// Returns the next message that is not a number of viewers.
#[track_caller]
fn news(socket: &mut WebSocket) -> Value {
    loop {
        let message = next(socket);
        if message["type"] != "viewers" {
            return message;
        }
    }
}

#[track_caller]
fn join(sidecar: &Sidecar, stream: &str, headers: &[&str]) -> WebSocket {
    let mut socket = WebSocket::connect(sidecar.web(), "/v1/ws", headers).unwrap();
    socket.send(&json!({ "type": "join", "app": "live", "stream": stream }).to_string()).unwrap();
    socket
}

#[test]
fn a_front_end_hears_of_the_stream_that_it_joined() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    // A page of another site may read, because it brings no cookie.
    let mut socket = join(&sidecar, "show", &["Origin: https://elsewhere.example"]);
    assert_eq!(news(&mut socket)["type"], "stream.ended");
    let publisher = publish(&nginx, "show");
    let _other = publish(&nginx, "other");
    let started = news(&mut socket);
    assert_eq!([&started["type"], &started["app"], &started["stream"]], ["stream.started", "live", "show"]);
    assert!(started["at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(news(&mut socket)["type"], "stream.ready");
    assert_eq!(news(&mut join(&sidecar, "show", &[]))["type"], "stream.ready");

    let _viewer = watch(&sidecar, "show");
    until("the viewer is counted", 15.0, || next(&mut socket)["viewers"]["ws"] == 1);

    // The connection breaks, and the encoder reconnects in time.
    publisher.kill();
    assert_eq!(news(&mut socket)["type"], "stream.interrupted");
    let publisher = publish(&nginx, "show");
    assert_eq!(news(&mut socket)["type"], "stream.resumed");
    publisher.close();
    assert_eq!(news(&mut socket)["type"], "stream.ended");
}

#[test]
fn what_is_no_message_is_said_and_too_much_ends_the_connection() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let mut socket = WebSocket::connect(sidecar.web(), "/v1/ws", &[]).unwrap();
    for (text, code) in [
        (r#"{"type":"chat","text":"hello"}"#, "chat_off"),
        (r#"{"type":"dance"}"#, "unknown_type"),
        (r#"{"type":7}"#, "bad_message"),
        ("hello", "bad_message"),
        (r#"{"type":"join","app":"live","stream":"../x"}"#, "bad_message"),
        (r#"{"type":"join"}"#, "bad_message"),
    ] {
        socket.send(text).unwrap();
        let answer = next(&mut socket);
        assert_eq!([&answer["type"], &answer["code"]], ["error", code], "{text}");
    }
    let long = "x".repeat(4000);
    for _ in 0..30 {
        let _ = socket.send(&long);
    }
    let end = until("it ends", 10.0, || Some(next(&mut socket)).filter(|message| message["close"].is_u64()));
    assert_eq!(end, json!({ "close": 1008, "reason": "too many messages" }));
    assert_eq!(
        socket.stream().read(&mut [0]).unwrap(),
        0,
        "no reset, which can destroy the reason on its way"
    );

    let mut socket = WebSocket::connect(sidecar.web(), "/v1/ws", &[]).unwrap();
    socket.send(&"x".repeat(5000)).unwrap();
    assert_eq!(next(&mut socket), json!({ "close": 1009, "reason": "a message has at most 4096 bytes" }));
    assert_eq!(socket.stream().read(&mut [0]).unwrap(), 0, "no reset");
    let refused = WebSocket::connect(sidecar.web(), "/v1/ws/", &[]).err().unwrap();
    assert_eq!(refused.0, 404);
}

#[test]
fn a_stream_that_needs_a_token_tells_its_bearers_alone() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\nplay = \"token\"\n");
    let _publisher = publish(&nginx, "show");
    let request = json!({ "app": "live", "stream": "show", "action": "play", "ttl_s": 60 });
    let minted = nginx.api().post("/v1/tokens", &request).expect(201);
    let token = minted["token"].as_str().unwrap();
    let ask = |message: Value| {
        let mut socket = WebSocket::connect(sidecar.web(), "/v1/ws", &[]).unwrap();
        socket.send(&message.to_string()).unwrap();
        next(&mut socket)
    };
    let join = json!({ "type": "join", "app": "live", "stream": "show" });
    until("the daemon knows what is revoked", 10.0, || ask(join.clone())["code"] == "forbidden");
    let mut wrong = join.clone();
    wrong["token"] = json!("eyJ.x.y");
    assert_eq!(ask(wrong)["code"], "forbidden");
    let mut right = join;
    right["token"] = json!(token);
    until("it can be played", 10.0, || ask(right.clone())["type"] == "stream.ready");
}
