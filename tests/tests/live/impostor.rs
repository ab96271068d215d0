//! Another program answers at the API's address: streams that nginx protected stay protected, and a daemon that has never reached nginx
//! opens nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use weir_tests::harness::{Sidecar, until};

use super::attacks::{protected, status, token};
use super::publish;

/// Answers that do not come from an API of Weir.
const ANSWERS: [&str; 8] = [
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<h1>nginx</h1>\n",
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"applications\":null}",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    "nonsense\r\n\r\n",
];

/// Starts a server that gives one of [`ANSWERS`] to every request; returns its port, and which answer it gives and how often it has given
/// it.
fn impostor() -> (u16, Arc<Mutex<(usize, usize)>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let state = Arc::new(Mutex::new((0, 0)));
    let shared = Arc::clone(&state);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { continue };
            let _ = socket.read(&mut [0; 4096]);
            let answer = {
                let mut state = shared.lock().unwrap();
                state.1 += 1;
                ANSWERS[state.0]
            };
            let _ = socket.write_all(answer.as_bytes());
        }
    });
    (port, state)
}

#[test]
fn it_opens_nothing() {
    let nginx = protected().start();
    let (port, state) = impostor();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _show = publish(&nginx, "show");
    let path = "/stream/live/show/llhls/master.m3u8";
    let good = format!("{path}?token={}", token("live/show"));
    until("the stream can be watched", 10.0, || status(sidecar.web(), &good, &[]) == 200);
    assert_eq!(status(sidecar.web(), path, &[]), 403);
    // For the same daemon, nginx is no longer at that address.
    sidecar.reload_at(&format!("http://127.0.0.1:{port}/api"), "[web]\n");
    for (nth, answer) in ANSWERS.iter().enumerate() {
        *state.lock().unwrap() = (nth, 0);
        until("it has answered", 20.0, || {
            let opened = status(sidecar.web(), path, &[]);
            assert_ne!(opened, 200, "{answer}");
            state.lock().unwrap().1 > 3
        });
    }
    // This daemon has never had another answer.
    for (nth, answer) in ANSWERS.iter().enumerate() {
        *state.lock().unwrap() = (nth, 0);
        let early = Sidecar::start_at(&nginx, &format!("http://127.0.0.1:{port}/api"), "[web]\n");
        until("it has answered", 20.0, || state.lock().unwrap().1 > 3);
        for path in [path, "/stream/live/show/ws"] {
            assert_ne!(status(early.web(), path, &[]), 200, "{path}: {answer}");
        }
    }
}
