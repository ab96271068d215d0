//! `GET /v1/events` tells what happens once, in order, whichever worker it happens in; a reader that comes back
//! gets what it missed or hears that it is gone, and one that does not read holds up nobody.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use weir_tests::harness::process::Process;
use weir_tests::harness::{Nginx, Publisher, until};

use super::{BAD_NAME, keyed, wait_gone, wait_live, worker_of};

/// One event, as it came.
#[derive(Debug, Clone)]
struct Event {
    id: Option<u64>,
    kind: String,
    data: Value,
}

/// A reader of events. Whatever does not come within ten seconds never does.
struct Reader(BufReader<TcpStream>);

impl Reader {
    /// Connects; `after` is sent as `Last-Event-ID`. Returns when nginx has begun to answer.
    fn open(nginx: &Nginx, after: Option<u64>) -> Reader {
        let mut stream = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let after = after.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        // HTTP/1.0: the answer is not chunked, and ends with the connection.
        write!(stream, "GET /api/v1/events HTTP/1.0\r\nHost: localhost\r\n{after}\r\n").unwrap();
        let mut reader = Reader(BufReader::new(stream));
        let head = reader.paragraph().unwrap();
        assert!(head.iter().any(|line| line == "HTTP/1.1 200 OK"), "{head:?}");
        assert!(head.iter().any(|line| line == "Content-Type: text/event-stream"), "{head:?}");
        assert_eq!(reader.paragraph().unwrap(), [": events of weir"]);
        reader
    }

    /// The lines up to the next empty one; `None` at the end.
    fn paragraph(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end() {
                "" => return Some(lines),
                text => lines.push(text.to_owned()),
            }
        }
    }

    fn next(&mut self) -> Event {
        let lines = self.paragraph().expect("the events go on");
        let field = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        Event {
            id: field("id: ").map(|id| id.parse().unwrap()),
            kind: field("event: ").expect("an event has a kind"),
            data: serde_json::from_str(&field("data: ").expect("an event has data")).unwrap(),
        }
    }

    /// The next event of this kind.
    fn find(&mut self, kind: &str) -> Event {
        std::iter::from_fn(|| Some(self.next())).find(|event| event.kind == kind).unwrap()
    }
}

#[test]
fn a_session_starts_once_and_ends_once() {
    let nginx = keyed().workers(4).start();
    let api = nginx.api();
    let mut readers: Vec<Reader> = (0..4).map(|_| Reader::open(&nginx, None)).collect();
    let key = api.create_key("live", "show");
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started();
    let live = wait_live(&api, "live", "show");
    for reader in &mut readers {
        let event = reader.find("stream.started");
        assert_eq!((&event.data["app"], &event.data["name"]), (&json!("live"), &json!("show")));
        assert_eq!(event.data["session"], live["session"]);
        assert_eq!(event.data["key_id"], live["publisher"]["key_id"]);
        assert!(!event.data.to_string().contains(&key.key));
    }
    publisher.close();
    wait_gone(&api, "live", "show");
    Publisher::to(nginx.rtmp(), "live/guess").start().refused(BAD_NAME);
    api.delete(&format!("/v1/keys/{}", key.id)).expect(200);
    for reader in &mut readers {
        let rest = [reader.next(), reader.next(), reader.next()];
        let kinds: Vec<&str> = rest.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["stream.ended", "publish.denied", "key.changed"]);
        assert_eq!(rest[0].data["session"], live["session"]);
        assert!(rest[0].data["bytes_in"].as_u64() > Some(0));
        assert_eq!(rest[1].data["reason"], "unknown_key");
        assert_eq!((&rest[2].data["id"], &rest[2].data["change"]), (&json!(key.id), &json!("revoked")));
        let ids: Vec<u64> = rest.iter().map(|event| event.id.unwrap()).collect();
        assert_eq!([ids[1] - ids[0], ids[2] - ids[1]], [1, 1]);
    }
}

#[test]
fn a_worker_that_dies_ends_its_streams() {
    let mut nginx = keyed().workers(2).start();
    let key = nginx.api().create_key("live", "show");
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started();
    let worker = Process(worker_of(&nginx, "show"));
    let started = Reader::open(&nginx, Some(0)).find("stream.started");
    nginx.kill_worker(worker);
    let ended = Reader::open(&nginx, started.id).find("stream.ended");
    assert_eq!(ended.data["session"], started.data["session"]);
}

#[test]
fn a_reader_that_comes_back_gets_what_it_missed() {
    let nginx = keyed().start();
    let api = nginx.api();
    let mut reader = Reader::open(&nginx, None);
    for stream in ["a", "b", "c"] {
        api.create_key("live", stream);
    }
    let first = reader.next();
    drop(reader);
    let mut again = Reader::open(&nginx, first.id);
    assert_eq!([again.next().id, again.next().id], [first.id.map(|id| id + 1), first.id.map(|id| id + 2)]);

    // More than the zone keeps: who was away too long is told.
    for stream in 0..200 {
        let key = api.create_key("live", &format!("s{stream}"));
        api.delete(&format!("/v1/keys/{}", key.id)).expect(200);
    }
    let mut late = Reader::open(&nginx, first.id);
    let missed = late.next();
    assert_eq!((missed.kind.as_str(), missed.id), ("missed", None));
    let count = missed.data["count"].as_u64().unwrap();
    assert_eq!(late.next().id, first.id.map(|id| id + count + 1));
}

#[test]
fn a_reader_that_does_not_read_holds_up_nobody() {
    let nginx = keyed().start();
    let api = nginx.api();
    let idle = Reader::open(&nginx, None);
    let mut reader = Reader::open(&nginx, None);
    for stream in 0..100 {
        let key = api.create_key("live", &format!("s{stream}"));
        assert_eq!(reader.next().data["id"], key.id);
    }
    drop(idle);
    assert_eq!(api.get("/v1/health").expect(200)["status"], "ok");
}

#[test]
fn a_reload_lets_readers_go() {
    let nginx = keyed().workers(2).start();
    let mut reader = Reader::open(&nginx, None);
    nginx.reload();
    let mut rest = Vec::new();
    reader.0.read_to_end(&mut rest).unwrap();
    until("the old workers have gone", 10.0, || nginx.draining().is_empty());
}

#[test]
fn a_bad_id_is_named() {
    let nginx = keyed().start();
    let api = nginx.api();
    let head = api.send(api.request("HEAD", "/v1/events"));
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    let request = api.request("GET", "/v1/events").header("Last-Event-ID", "x");
    let message = api.send(request).error(400, "bad_request");
    assert_eq!(message, "header \"Last-Event-ID\": expected a number");
}
