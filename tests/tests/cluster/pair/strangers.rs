//! Without the cluster's secret, nobody reads or changes the common state of a pair, and nobody can replay a letter.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use weir_tests::harness::{took, until};

use super::{A, B, Pair, within};
use crate::{client, take};

/// Returns the first complete request of the bytes that were sent over a connection.
fn request(sent: &[u8]) -> Option<&[u8]> {
    let end = sent.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&sent[..end]).ok()?.to_lowercase();
    let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse::<usize>().ok()?;
    sent.get(..end + length)
}

/// Sends a request unchanged, and returns the status of the answer.
fn status(port: u16, request: &[u8]) -> u16 {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.write_all(request).unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).unwrap();
    std::str::from_utf8(&answer[9..]).unwrap().parse().unwrap()
}

#[test]
fn letters_are_signed_sealed_and_taken_once() {
    let pair = Pair::start();
    let url = "rtmp://127.0.0.1:1/in/name?key=secret-of-target";
    let body = json!({ "app": "live", "stream": "show", "url": url, "enabled": false });
    pair.api(A).post("/v1/targets", &body).expect(201);
    pair.wait_in_step();
    let port = pair.nodes[B].daemon.web();
    let post = |authorization: &str| {
        let request = client().post(format!("http://127.0.0.1:{port}/v1/pair")).body("{}");
        let answer = take(request.header("authorization", authorization).send().unwrap());
        assert_eq!(answer.header("weir-signature"), "", "{answer:?}");
        answer.status
    };
    assert_eq!(post(""), 401);
    assert_eq!(post("Bearer x"), 401);
    let (of_another, _) = crate::signed("x".repeat(32), crate::now(), &json!({}));
    assert_eq!(post(&of_another), 401);
    let url = format!("http://127.0.0.1:{port}/v1/pair");
    assert_eq!(take(client().get(url).send().unwrap()).status, 405);

    let large = client().post(format!("http://127.0.0.1:{port}/v1/pair")).body(vec![b'x'; 3 << 20]);
    assert_eq!(take(large.header("authorization", &of_another).send().unwrap()).status, 413);

    // A letter that was sent over the link is sent a second time.
    let sent =
        until("a letter", 5.0, || pair.links[B].sent().into_iter().find(|sent| request(sent).is_some()));
    let letter = request(&sent).unwrap();
    assert_eq!(status(port, letter), 409, "a letter that is repeated");
    let mut changed = letter.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(status(port, &changed), 401, "a letter that was changed");
    let cable: Vec<u8> = [A, B].iter().flat_map(|nth| pair.links[*nth].sent()).flatten().collect();
    assert!(!cable.windows(16).any(|part| part == b"secret-of-target"), "the URL is on the cable");
}

#[test]
fn the_module_shows_its_state_to_who_has_the_secret_alone() {
    let pair = Pair::start();
    let api = pair.api(A);
    assert!(api.get("/v1/replica").error(401, "unauthorized").contains("pair's secret"));
    let token = api.request("GET", "/v1/replica").bearer_auth(super::SECRET);
    assert_eq!(api.send(token).status, 401, "the secret itself is no token");
    let put = api.request("PUT", "/v1/replica").json(&json!({ "mark": "0000000000000000" }));
    assert_eq!(api.send(put).status, 401);
    assert_eq!(api.get("/v1/pushes").expect(200), json!({ "held": false, "paired": true }));
    let wrong = api.send(api.request("PUT", "/v1/pushes").json(&json!({ "hold": true })));
    assert!(wrong.error(400, "bad_request").contains("held"));
}

/// Behaviour of a server that answers instead of a node.
#[derive(Clone, Copy, Debug)]
enum Fake {
    /// Accepts the letter, and does not answer.
    Silent,
    /// Answers without end.
    Endless,
    /// Sends bytes that are not a letter.
    Nonsense,
    /// Refuses with a message that reverses the reading order.
    Rude,
}

/// Returns the port of such a server, and the largest number of bytes that it could write to one client.
fn fake(kind: Fake) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, most) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
    let of = most.clone();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (mut socket, most) = (socket.unwrap(), of.clone());
            thread::spawn(move || {
                let _ = socket.read(&mut [0; 65536]);
                let head: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
                match kind {
                    Fake::Silent => while matches!(socket.read(&mut [0; 65536]), Ok(1..)) {},
                    Fake::Rude => {
                        let body = "{\"error\":{\"message\":\"no\u{202e}pair\\u001b[31m\"}}";
                        let head = "HTTP/1.1 404 Not Found\r\nconnection: close\r\n";
                        let _ = write!(socket, "{head}content-length: {}\r\n\r\n{body}", body.len());
                    }
                    Fake::Nonsense => drop(socket.write_all(&[head, b"\x00{[\xff\nnonsense"].concat())),
                    Fake::Endless => {
                        let _ = socket.write_all(head);
                        let mut written = 0;
                        while let Ok(more @ 1..) = socket.write(&[b' '; 65536]) {
                            written += more;
                            most.fetch_max(written, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    (port, most)
}

#[test]
fn what_answers_nothing_or_nonsense_or_without_end_holds_up_nobody() {
    let pair = Pair::start();
    for (nth, kind) in [Fake::Silent, Fake::Endless, Fake::Nonsense, Fake::Rude].into_iter().enumerate() {
        let (port, most) = fake(kind);
        pair.links[B].cut();
        pair.links[B].lead_to(port);
        pair.links[B].heal();
        until(&format!("{kind:?} is noticed"), 8.0, || pair.view(A)["error"].is_string());
        if let Fake::Rude = kind {
            within("its words are cleaned", 8.0, || {
                let error = pair.view(A)["error"].to_string();
                error.contains("status 404: no\u{fffd}pair\u{fffd}[31m")
            });
        }
        let begin = Instant::now();
        let key = pair.api(A).create_key("live", &format!("s{nth}"));
        pair.nodes[A].daemon.get("/healthz").unwrap();
        took(&format!("{kind:?}: a key and the health"), begin, 1.0);
        // The letters of B, and the answers to them, still arrive.
        within(&format!("{kind:?}: the key opens on B"), 5.0, || pair.try_publish(B, &key.key));
        let most = most.load(Ordering::Relaxed);
        assert!(most < 64 << 20, "{kind:?}: {most} bytes were taken of one answer");
        pair.connect();
        pair.links[B].cut();
        pair.links[B].heal();
        pair.wait_in_step();
    }
}

#[test]
fn letters_of_strangers_that_never_end_hold_up_nobody() {
    let pair = Pair::start();
    let port = pair.nodes[B].daemon.web();
    let (open, is_open) = mpsc::channel::<()>();
    let strangers: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let head = "POST /v1/pair HTTP/1.1\r\nhost: b\r\nauthorization: Weir-Cluster time=1,nonce=00,signature=00\r\ncontent-length: 1000000\r\n\r\n{";
            socket.write_all(head.as_bytes()).unwrap();
            socket
        })
        .collect();
    let dribble = thread::spawn({
        let mut sockets: Vec<TcpStream> = strangers.iter().map(|one| one.try_clone().unwrap()).collect();
        move || {
            while is_open
                .recv_timeout(Duration::from_millis(200))
                .is_err_and(|e| e == mpsc::RecvTimeoutError::Timeout)
            {
                sockets.retain_mut(|socket| socket.write_all(b" ").is_ok());
            }
        }
    });
    let key = pair.api(A).create_key("live", "show");
    within("the key opens on B", 3.0, || pair.try_publish(B, &key.key));
    pair.api(B).delete(&format!("/v1/keys/{}", key.id)).expect(200);
    within("it is revoked on A", 3.0, || pair.try_publish(A, &key.key).is_none());
    drop(open);
    dribble.join().unwrap();
}

/// A letter is in memory before the daemon knows who sent it.
#[test]
fn strangers_do_not_fill_the_memory_with_letters() {
    let pair = Pair::start();
    let daemon = &pair.nodes[A].daemon;
    let begin = |_| {
        let mut socket = TcpStream::connect(("127.0.0.1", daemon.web())).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let head = "POST /v1/pair HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: x\r\nContent-Length: 2000000\r\n\r\n";
        // A client that is refused immediately may see a reset.
        let _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(&[b' '; 100_000]));
        socket
    };
    let sockets: Vec<TcpStream> = (0..48).map(begin).collect();
    let status = |mut socket: TcpStream| {
        let mut line = [0; 12];
        socket.read_exact(&mut line).ok()?;
        std::str::from_utf8(&line[9..]).ok()?.parse().ok()
    };
    let all: Vec<Option<u16>> = sockets.into_iter().map(status).collect();
    let count = |wanted: u16| all.iter().filter(|status| **status == Some(wanted)).count();
    assert!(count(503) >= 16 && count(408) >= 16, "{all:?}");
    pair.wait_in_step();
}
