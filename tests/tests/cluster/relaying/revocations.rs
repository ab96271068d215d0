//! An edge whose nginx has none of the origin's many revocations pulls no stream for members before it has made them all, those of whole
//! streams first. A full nginx is not asked again and again.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};
use weir_tests::harness::ports::Port;
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Sidecar, until};

use super::members::{is_live, of_edge, publish, revoke, token, watch};
use crate::{ORIGIN, SECRET, config_that, idle, now, report, signed};

/// Number of revoked tokens at the origin.
const TOKENS: usize = 40;

/// The API of an nginx behind a proxy, which holds or refuses revocations.
struct Proxy {
    port: Port,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

#[derive(Default)]
struct Seen {
    /// Bodies of the revocations, in order.
    revocations: Vec<Value>,
    /// Number of requests for the applications: one for each answer of an origin.
    applications: usize,
    /// Number of requests for the revocations.
    looks: usize,
    is_held: bool,
    is_full: bool,
}

impl Proxy {
    fn start(nginx: u16, seen: Seen) -> Self {
        let (port, seen) = (Port::reserve(), Arc::new((Mutex::new(seen), Condvar::new())));
        let listener = TcpListener::bind(("127.0.0.1", port.number())).unwrap();
        let shared = seen.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = shared.clone();
                // An error ends the connection only.
                std::thread::spawn(move || _ = serve(client, nginx, &shared));
            }
        });
        Self { port, seen }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api", self.port.number())
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        let result = look(&mut self.seen.0.lock().unwrap());
        self.seen.1.notify_all();
        result
    }
}

/// Passes one request on, and its answer back.
fn serve(mut client: TcpStream, nginx: u16, shared: &(Mutex<Seen>, Condvar)) -> std::io::Result<()> {
    let (head, body) = request(&mut client)?;
    let mut seen = shared.0.lock().unwrap();
    if head.starts_with("POST /api/v1/tokens/revoke ") {
        seen.revocations.push(serde_json::from_slice(&body).unwrap());
        seen = shared.1.wait_while(seen, |seen| seen.is_held).unwrap();
        if seen.is_full {
            let text = r#"{"error":{"code":"conflict","message":"4096 revocations are kept already"}}"#;
            let length = text.len();
            return write!(
                client,
                "HTTP/1.1 409 Conflict\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
            );
        }
    }
    seen.applications += usize::from(head.starts_with("GET /api/v1/applications "));
    seen.looks += usize::from(head.starts_with("GET /api/v1/tokens/revocations "));
    drop(seen);
    let mut server = TcpStream::connect(("127.0.0.1", nginx))?;
    write!(server, "{}Connection: close\r\n\r\n", head.trim_end_matches("\r\n").to_owned() + "\r\n")?;
    server.write_all(&body)?;
    std::io::copy(&mut server, &mut client).map(drop)
}

/// Reads a request.
fn request(client: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().filter_map(|line| line.split_once(':'));
    let mut length = length
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.trim().parse());
    let mut body = vec![0; length.next_back().map_or(0, |length| length.unwrap())];
    client.read_exact(&mut body)?;
    Ok((head, body))
}

/// Waits until an origin names this many revocations to its edges.
fn wait_named(origin: &Sidecar, number: usize) {
    let mut other = idle("other");
    other["revoked"] = "".into();
    until("the origin names its revocations", 20.0, || {
        let answer = report(origin, &signed(SECRET, now(), &other)).json();
        answer["revoked"]["list"].as_array().is_some_and(|list| list.len() == number)
    });
}

#[test]
fn an_edge_pulls_nothing_for_members_before_all_revocations_are_made() {
    let at_origin = config_that("weir_publish open; weir_play token;").start();
    let origin = Sidecar::start(&at_origin, ORIGIN);
    let _publisher = publish(&origin, &at_origin, "live/show");
    revoke(&at_origin, &json!({ "app": "live", "stream": "other" }));
    for nth in 0..TOKENS {
        revoke(&at_origin, &json!({ "jti": format!("leaked-{nth}") }));
    }
    wait_named(&origin, TOKENS + 1);
    let newest = format!("leaked-{}", TOKENS - 1);
    let at_edge = config_that("weir_publish key; weir_play token;").start();
    let proxy = Proxy::start(at_edge.http(), Seen { is_held: true, ..Seen::default() });
    let edge = Sidecar::start_at(&at_edge, &proxy.url(), &of_edge(&origin, &at_origin));
    edge.wait_log("edge joined");
    until("some are asked for at once", 20.0, || proxy.seen(|seen| seen.revocations.len() >= 16));
    // The edge has handled two whole answers since.
    let before = proxy.seen(|seen| seen.applications);
    until("the origin answers again", 20.0, || proxy.seen(|seen| seen.applications >= before + 6));
    let asked = proxy.seen(|seen| seen.revocations.clone());
    assert_eq!(asked.len(), 16, "{asked:?}");
    assert!(
        asked.iter().any(|one| one["stream"] == "other") && asked.iter().any(|one| one["jti"] == *newest),
        "{asked:?}"
    );
    assert!(watch(&edge, &token("member")).is_err());
    assert!(!is_live(&at_edge, "live/show"));

    proxy.seen(|seen| seen.is_held = false);
    edge.wait_log(&format!("tokens revoked as at the origin, revocations: {}", TOKENS + 1));
    let mut viewer = until("a member can watch", 20.0, || watch(&edge, &token("member")).ok());
    while !matches!(viewer.receive(), Some(Message::Binary(_))) {}
    assert_eq!(proxy.seen(|seen| seen.revocations.len()), TOKENS + 1, "each is made once");
}

#[test]
fn a_full_nginx_is_not_asked_again_and_again() {
    let at_origin = config_that("weir_publish open;").start();
    let origin = Sidecar::start(&at_origin, ORIGIN);
    for nth in 0..TOKENS {
        revoke(&at_origin, &json!({ "jti": format!("leaked-{nth}") }));
    }
    wait_named(&origin, TOKENS);
    let at_edge = config_that("weir_publish key;").start();
    let proxy = Proxy::start(at_edge.http(), Seen { is_full: true, ..Seen::default() });
    let edge = Sidecar::start_at(&at_edge, &proxy.url(), &of_edge(&origin, &at_origin));
    let line = "revoked tokens of the origin are not revoked here: 4096 revocations are kept already";
    edge.wait_log(line);
    let before = proxy.seen(|seen| seen.looks);
    until("the daemon has looked again", 20.0, || proxy.seen(|seen| seen.looks >= before + 6));
    assert_eq!(proxy.seen(|seen| seen.revocations.len()), 16);
    assert_eq!(edge.log().matches(line).count(), 1, "{}", edge.log());
}
