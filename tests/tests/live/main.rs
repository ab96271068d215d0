//! The service of `weir serve` for viewers, beside stock nginx with Weir's module. Each file's header says what the file proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod attacks;
mod bandwidth;
mod browser;
mod captions;
mod chat;
mod climb;
mod conformance;
mod connections;
mod controls;
mod examples;
mod expiry;
mod foreign;
mod front_ends;
mod impostor;
mod ladder;
mod latency;
mod llhls;
mod long;
mod media;
mod network;
mod pages;
mod reading;
mod renditions;
mod revoked;
mod settings;
mod slow;
mod stills;
mod sync;
mod whep;
mod whip;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Nginx, Publisher, Sidecar, WebSocket, until};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Returns a configuration with an open application `live`, the API, and a secret for tokens.
fn open() -> Config {
    Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .with_api()
        .app("live", "weir_publish open;")
}

#[track_caller]
fn publish(nginx: &Nginx, name: &str) -> Publisher {
    Publisher::to(nginx.rtmp(), &format!("live/{name}")).start().started()
}

/// An answer of the daemon.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head.lines().find(named).map(|line| line.split_once(':').unwrap().1.trim())
    }
}

/// Requests a path exactly as given, with these additional headers.
#[track_caller]
fn ask(port: u16, path: &str, headers: &[&str]) -> Answer {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: live.example.org\r\nConnection: close\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    socket.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: all[end + 4..].to_vec() }
}

/// Sends a request with a method and a body.
#[track_caller]
fn request(port: u16, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: live.example.org\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    // The daemon refuses a body that is too long before it reads the body.
    let _ = socket.write_all(format!("{request}\r\n{body}").as_bytes());
    let mut all = Vec::new();
    let _ = socket.read_to_end(&mut all);
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: all[end + 4..].to_vec() }
}

/// Waits until a stream can be watched, and watches it.
#[track_caller]
fn watch(sidecar: &Sidecar, name: &str) -> WebSocket {
    let path = format!("/stream/live/{name}/ws");
    until("the stream can be watched", 10.0, || WebSocket::connect(sidecar.web(), &path, &[]).ok())
}

/// Returns the type of a JSON event, or `binary`.
fn kind(message: &Message) -> String {
    match message {
        Message::Text(text) => {
            let event: Value = serde_json::from_str(text).unwrap();
            event["type"].as_str().unwrap().to_owned()
        }
        Message::Binary(_) => "binary".into(),
        Message::Pong(_) => "pong of a ping".into(),
        Message::Close(code, reason) => format!("close {code} {reason}"),
    }
}

/// Returns the media of all messages, concatenated.
fn bytes(messages: &[Message]) -> Vec<u8> {
    let media = |message: &Message| match message {
        Message::Binary(bytes) => bytes.clone(),
        _ => Vec::new(),
    };
    messages.iter().flat_map(media).collect()
}
