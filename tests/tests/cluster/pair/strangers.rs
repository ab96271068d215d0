//! Nobody without the cluster's secret reads or changes what a pair has in common, and nobody repeats a letter.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;
use weir_tests::harness::until;

use super::{A, B, Pair};
use crate::{client, take};

/// The first whole request of what was sent over a connection.
fn request(sent: &[u8]) -> Option<&[u8]> {
    let end = sent.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&sent[..end]).ok()?.to_lowercase();
    let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse::<usize>().ok()?;
    sent.get(..end + length)
}

/// Status of a request that is sent as it is.
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
    let (of_another, _) = crate::signed(&"x".repeat(32), crate::now(), &json!({}));
    assert_eq!(post(&of_another), 401);
    let url = format!("http://127.0.0.1:{port}/v1/pair");
    assert_eq!(take(client().get(url).send().unwrap()).status, 405);

    // What went over the cable, sent once more.
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
    assert!(api.get("/v1/replica").error(401, "unauthorized").contains("cluster's secret"));
    let token = api.request("GET", "/v1/replica").bearer_auth(super::SECRET);
    assert_eq!(api.send(token).status, 401, "the secret itself is no token");
    let put = api.request("PUT", "/v1/replica").json(&json!({ "mark": "0000000000000000" }));
    assert_eq!(api.send(put).status, 401);
    assert_eq!(api.get("/v1/pushes").expect(200), json!({ "held": false, "paired": true }));
    let wrong = api.send(api.request("PUT", "/v1/pushes").json(&json!({ "hold": true })));
    assert!(wrong.error(400, "bad_request").contains("held"));
}
