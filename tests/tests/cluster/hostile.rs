//! A stranger answers at the address of the origin: the edge reads only the beginning of an answer without an end, and its log has no lines
//! of the stranger. An edge whose clock was set back joins again immediately.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Sidecar, until};

use super::{ORIGIN, nginx};

/// Most bytes that the sockets of both sides keep, and that the edge reads too much.
const BUFFERS: usize = 32 << 20;

/// Something that answers each request, and counts them.
struct Stranger {
    port: Port,
    requests: Arc<AtomicUsize>,
}

impl Stranger {
    fn start(answer: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let (port, requests, answer) = (Port::reserve(), Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let listener = TcpListener::bind(("127.0.0.1", port.number())).unwrap();
        let shared = requests.clone();
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let (requests, answer) = (shared.clone(), answer.clone());
                std::thread::spawn(move || {
                    // The edge sends a request in one or two parts, and waits for the answer.
                    let mut begin = [0; 16 << 10];
                    if client.read(&mut begin).is_ok_and(|length| length > 0) {
                        answer(client, requests.fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
        });
        Self { port, requests }
    }

    fn wait(&self, number: usize) {
        until("the edge has asked", 30.0, || self.requests.load(Ordering::Relaxed) >= number);
    }
}

/// Returns the configuration of an edge.
fn of_edge(origin: u16) -> String {
    format!(
        "[web]\n[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n[edge]\norigin = \"http://127.0.0.1:{origin}\"\n\
         address = \"https://one.example.org\"\nbandwidth = \"1g\"\n"
    )
}

#[test]
fn an_answer_without_an_end_uses_no_memory() {
    let most = Arc::new(Mutex::new(0_usize));
    let shared = most.clone();
    let stranger = Stranger::start(move |mut client, _| {
        let (block, mut sent) = ([b' '; 64 << 10], 0);
        let mut begin =
            client.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n").is_ok();
        while begin {
            begin = client.write_all(&block).is_ok();
            sent += block.len();
            let mut most = shared.lock().unwrap();
            *most = sent.max(*most);
        }
    });
    let nginx = nginx();
    let edge = Sidecar::start(&nginx, &of_edge(stranger.port.number()));
    edge.wait_log("edge not joined: its answer has more than 4194304 bytes");
    stranger.wait(3);
    let most = *most.lock().unwrap();
    assert!(most < (4 << 20) + BUFFERS, "the edge has read {most} bytes of an answer");
}

#[test]
fn a_stranger_writes_no_lines_into_the_log() {
    let stranger = Stranger::start(|mut client, nth| {
        let message = format!("turn {nth}\nFORGED WARN all is lost\r\u{1b}[2J{}", "x".repeat(100_000));
        let body = json!({ "error": { "code": "clock", "message": message } }).to_string();
        let length = body.len();
        let _ = write!(
            client,
            "HTTP/1.1 409 Conflict\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        // The rest of the request is read, so that the answer is not lost.
        let _ = client.shutdown(std::net::Shutdown::Write);
        let _ = client.read_to_end(&mut Vec::new());
    });
    let nginx = nginx();
    let edge = Sidecar::start(&nginx, &of_edge(stranger.port.number()));
    edge.wait_log("edge not joined: status 409: turn 0 FORGED");
    stranger.wait(4);
    let log = edge.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("FORGED")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("edge not joined") && lines[0].len() < 600, "{lines:?}");
    assert!(!log.contains('\u{1b}') && !log.contains('\r'), "{log}");
}

#[test]
fn an_edge_whose_clock_was_set_back_joins_again() {
    let nginx = nginx();
    let origin = Sidecar::start(&nginx, ORIGIN);
    let mut edge = Sidecar::start_with_clock(&nginx, &of_edge(origin.web()));
    edge.wait_log("edge joined");
    edge.set_clock(25);
    until("the origin has a report of the later time", 20.0, || {
        let (_, text, _) = origin.command(&["edge", "list", "--json"]);
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        answer["edges"][0]["skew_ms"].as_i64().is_some_and(|skew| skew > 20_000)
    });
    edge.kill();
    edge.set_clock(0);
    edge.start_again();
    until("it has joined again", 10.0, || edge.log().matches("edge joined").count() == 2);
    assert!(!edge.log().contains("edge not joined"), "{}", edge.log());
}
