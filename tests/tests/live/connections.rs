//! Connections that do nothing are closed, their number is limited, and the daemon survives a lack of file descriptors.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use weir_tests::harness::{Sidecar, WebSocket, until};

use super::{ask, open, publish, watch};

fn connect(sidecar: &Sidecar) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", sidecar.web())).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

/// Returns everything that arrives until the server closes, and the time that this took in seconds.
fn until_closed(mut socket: TcpStream) -> (String, f64) {
    let (start, mut all) = (Instant::now(), Vec::new());
    let mut buffer = [0; 4096];
    // A reset ends the connection as well.
    while let Ok(n @ 1..) = socket.read(&mut buffer) {
        all.extend_from_slice(&buffer[..n]);
    }
    (String::from_utf8_lossy(&all).into_owned(), start.elapsed().as_secs_f64())
}

#[test]
fn who_sends_no_request_is_closed_and_so_is_who_sends_no_other_one() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let silent = connect(&sidecar);
    let mut slow = connect(&sidecar);
    slow.write_all(b"GET /v1/live HTTP/1.1\r\nHost: h\r\nX-Slow: ").unwrap();
    let mut kept = connect(&sidecar);
    kept.write_all(b"GET /v1/live HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let (answer, seconds) = until_closed(kept);
    assert!(answer.starts_with("HTTP/1.1 200") && (8.0..15.0).contains(&seconds), "{seconds}: {answer}");
    for socket in [silent, slow] {
        let (_, seconds) = until_closed(socket);
        assert!(seconds < 5.0, "{seconds}");
    }
}

#[test]
fn more_connections_than_allowed_are_refused_until_others_end() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\nmax_connections = 10\n");
    let crowd: Vec<TcpStream> = (0..10).map(|_| connect(&sidecar)).collect();
    for _ in 0..5 {
        let (answer, _) = until_closed(connect(&sidecar));
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    let line = "refuses connections: max_connections = 10 are open";
    sidecar.wait_log(line);
    assert_eq!(sidecar.log().matches(line).count(), 1, "{}", sidecar.log());
    drop(crowd);
    until("there is room again", 10.0, || ask(sidecar.web(), "/v1/live", &[]).status == 200);
}

#[test]
fn who_takes_nothing_is_closed() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\nmax_connections = 10\n");
    let stalled: Vec<TcpStream> = (0..10)
        .map(|_| {
            let mut socket = connect(&sidecar);
            // The answers are far larger than the buffers of both sides.
            let requests = "GET /assets/hls.min.js HTTP/1.1\r\nHost: h\r\n\r\n".repeat(40);
            socket.write_all(requests.as_bytes()).unwrap();
            socket
        })
        .collect();
    until("they have gone", 50.0, || {
        let (answer, _) = until_closed({
            let mut socket = connect(&sidecar);
            let _ = socket.write_all(b"GET /v1/live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            socket
        });
        answer.starts_with("HTTP/1.1 200")
    });
    drop(stalled);
}

/// Asserts that a viewer that sends `frame` without an end is disconnected.
#[track_caller]
fn flood(frame: &[u8]) {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = publish(&nginx, "show");
    let _other = watch(&sidecar, "show");
    let mut socket = connect(&sidecar);
    let request = "GET /stream/live/show/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    let mut reader = socket.try_clone().unwrap();
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    // A text message must begin before continuation frames can follow.
    socket.write_all(&[0x01, 0x80, 0, 0, 0, 0]).unwrap();
    let frames = frame.repeat(1000);
    until("the flood ends", 10.0, || socket.write_all(&frames).is_err());
    // Other viewers are not affected.
    watch(&sidecar, "show");
}

#[test]
fn pongs_without_an_end_end_the_connection() {
    flood(&[0x8a, 0x80, 0, 0, 0, 0]);
}

#[test]
fn empty_continuations_without_an_end_end_the_connection() {
    flood(&[0x00, 0x80, 0, 0, 0, 0]);
}

#[test]
fn a_lack_of_files_is_one_line_and_is_survived() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let limit = |files: usize| {
        let pid = sidecar.process().0.to_string();
        let status =
            Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={files}:20000")]).status();
        assert!(status.unwrap().success());
    };
    limit(sidecar.process().open_files().len() + 2);
    let crowd: Vec<TcpStream> = (0..12).map(|_| connect(&sidecar)).collect();
    let line = "[web] cannot accept connections for now: Too many open files";
    sidecar.wait_log(line);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(sidecar.log().matches(line).count(), 1, "{}", sidecar.log());
    limit(4096);
    drop(crowd);
    until("it serves again", 10.0, || ask(sidecar.web(), "/v1/live", &[]).status == 200);
    let missing = WebSocket::connect(sidecar.web(), "/stream/live/show/ws", &[]).err().unwrap();
    assert_eq!(missing.0, 404);
}
