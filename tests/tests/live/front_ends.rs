//! `/v1/ws`: a front end joins a stream, and is notified when the stream can be played, is interrupted and ends, and of the number of
//! viewers. The daemon answers an invalid message with an error, and closes a connection that sends too much.

use std::io::Read;

use serde_json::{Value, json};
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Ffmpeg, Sidecar, WebSocket, until};

use super::{ask, open, publish, watch};

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
    let ended = news(&mut socket);
    assert_eq!([&ended["type"], &ended["reason"]], ["stream.ended", "unpublished"]);
}

/// The renditions begin some seconds after the stream. The message that it can be played follows when all of them can be played.
#[test]
fn a_ladder_is_ready_when_its_last_rendition_is() {
    let nginx = open().app("abr", "weir_publish key;").start();
    let config = "[web]\n[rung.low]\nheight = 90\nbitrate = \"100k\"\n[ladder.one]\nrungs = [\"low\"]\n\
                  [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"one\"\ndeliver = \"rtmp\"\n\
                  to_app = \"abr\"\n";
    let sidecar = Sidecar::start(&nginx, config);
    let listed = |name: &str| {
        let list = ask(sidecar.web(), "/v1/live", &[]).json();
        let streams = list["streams"].as_array().unwrap().clone();
        streams.into_iter().find(|stream| stream["name"] == name)
    };
    let mut socket = join(&sidecar, "show", &[]);
    assert_eq!(news(&mut socket)["type"], "stream.ended");
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let started = news(&mut socket);
    assert_eq!(
        [&started["type"], &started["kind"], &started["source"], &started["slate"]],
        [&json!("stream.started"), &json!("publisher"), &json!(null), &json!(false)]
    );
    let ready = news(&mut socket);
    assert_eq!(ready["type"], "stream.ready");
    let all = listed("show").unwrap();
    assert_eq!([&all["ready"], &all["renditions"]], [&json!(true), &json!(["source", "low"])]);
    assert_eq!(
        [&all["kind"], &all["source"], &all["slate"]],
        [&json!("publisher"), &json!(null), &json!(false)]
    );
    // The rendition is marked as such.
    let source = json!({ "app": "live", "name": "show", "rung": "low" });
    let rendition = until("the rendition is listed", 20.0, || listed("show_low"));
    assert_eq!([&rendition["kind"], &rendition["source"]], [&json!("rendition"), &source]);
    let mut socket = WebSocket::connect(sidecar.web(), "/v1/ws", &[]).unwrap();
    socket.send(&json!({ "type": "join", "app": "abr", "stream": "show_low" }).to_string()).unwrap();
    let told = news(&mut socket);
    assert_eq!(
        [&told["type"], &told["kind"], &told["source"]],
        [&json!("stream.ready"), &json!("rendition"), &source]
    );
}

#[test]
fn a_lost_publisher_ends_its_stream_after_the_linger_of_the_stream() {
    let nginx = open().start();
    let config = "[web]\n[rung.low]\nheight = 90\nbitrate = \"100k\"\n[ladder.one]\nrungs = [\"low\"]\n\
                  [[stream]]\napp = \"live\"\nstream = \"show\"\nladder = \"one\"\nfolder = \"@DIR@/media\"\n\
                  linger = \"60s\"\n[[stream]]\napp = \"live\"\nstream = \"short\"\nladder = \"one\"\n\
                  folder = \"@DIR@/media\"\nlinger = \"0s\"\n";
    let sidecar = Sidecar::start(&nginx, config);
    let mut sockets = ["show", "short", "other"].map(|name| {
        let mut socket = join(&sidecar, name, &[]);
        assert_eq!(news(&mut socket)["type"], "stream.ended");
        let publisher = publish(&nginx, name);
        assert_eq!(news(&mut socket)["type"], "stream.started", "{name}");
        publisher.kill();
        socket
    });
    let next_of = |socket: &mut WebSocket| {
        let mut message = news(socket);
        while message["type"] == "stream.ready" {
            message = news(socket);
        }
        message["type"].as_str().unwrap().to_owned()
    };
    let [show, short, other] = &mut sockets;
    assert_eq!([next_of(show), next_of(short)], ["stream.interrupted", "stream.ended"]);
    // Without a rule, 10 seconds are the default.
    assert_eq!([next_of(other), next_of(other)], ["stream.interrupted", "stream.ended"]);
    for name in ["short", "other"] {
        let ended = news(&mut join(&sidecar, name, &[]));
        assert_eq!([&ended["type"], &ended["reason"]], ["stream.ended", "disconnected"], "{name}");
    }
    assert_eq!(news(&mut join(&sidecar, "show", &[]))["type"], "stream.interrupted");
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
