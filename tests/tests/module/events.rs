//! `GET /v1/events` reports each event once and in order, from every worker. A reader that reconnects gets the events that it missed, or is
//! notified that they are gone. A reader that does not read holds up nobody, and nginx closes its connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket, sockopt};
use serde_json::{Value, json};
use weir_tests::harness::ports::Port;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Http2, Nginx, Publisher, until, until_ok};

use super::{BAD_NAME, keyed, wait_gone, wait_live, worker_of};

/// One event, as received.
#[derive(Debug, Clone)]
struct Event {
    id: Option<u64>,
    kind: String,
    data: Value,
}

/// A reader of events. A read fails if nothing arrives within ten seconds.
struct Reader(BufReader<TcpStream>);

impl Reader {
    /// Connects, and sends `after` as `Last-Event-ID`. Returns when nginx has begun to answer.
    fn open(nginx: &Nginx, after: Option<u64>) -> Reader {
        let after = after.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        Self::open_with(nginx, &after)
    }

    /// Does the same with these headers.
    fn open_with(nginx: &Nginx, headers: &str) -> Reader {
        let mut stream = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // HTTP/1.0: the answer is not chunked, and ends with the connection.
        write!(stream, "GET /api/v1/events HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n").unwrap();
        let mut reader = Reader(BufReader::new(stream));
        let head = reader.paragraph().unwrap();
        for line in [
            "HTTP/1.1 200 OK",
            "Content-Type: text/event-stream",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
        ] {
            assert!(head.iter().any(|found| found == line), "{line} in {head:?}");
        }
        assert_eq!(reader.paragraph().unwrap(), [": events of weir"]);
        reader
    }

    /// Returns the lines up to the next empty line; `None` at the end.
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
        // While there are no events, the answer contains comments that keep the connection alive.
        let is_comment = |lines: &Vec<String>| lines.iter().all(|line| line.starts_with(':'));
        let mut lines = self.paragraph().expect("the events go on");
        while is_comment(&lines) {
            lines = self.paragraph().expect("the events go on");
        }
        let field = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        Event {
            id: field("id: ").map(|id| id.parse().unwrap()),
            kind: field("event: ").expect("an event has a kind"),
            data: serde_json::from_str(&field("data: ").expect("an event has data")).unwrap(),
        }
    }

    /// Returns the next event with this id in its data.
    fn find_id(&mut self, id: &str) -> Event {
        std::iter::from_fn(|| Some(self.next())).find(|event| event.data["id"] == id).unwrap()
    }

    /// Returns the next event of this kind.
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

/// The header names a program; only Weir's own programs have names.
#[test]
fn each_change_names_its_program() {
    let nginx = keyed().workers(2).start();
    let api = nginx.api();
    let mut reader = Reader::open(&nginx, None);
    for (header, by) in
        [("weir", "weir"), ("serve", "serve"), ("pair", "pair"), ("<b>ana</b>", "api"), ("", "api")]
    {
        let body = json!({ "app": "live", "stream": "show" });
        let key = api.send(api.request("POST", "/v1/keys").header("Weir-By", header).json(&body)).expect(201);
        let event = reader.next();
        let told = json!({ "at": event.data["at"], "app": "live", "by": by, "change": "added", "id": key["id"], "name": "show" });
        assert_eq!((event.kind.as_str(), &event.data), ("key.changed", &told), "{header}");
    }
    let target = json!({ "app": "live", "stream": "*", "url": "rtmp://127.0.0.1:9/app/secret-key" });
    let id = api.post("/v1/targets", &target).expect(201)["id"].clone();
    let path = format!("/v1/targets/{}", id.as_str().unwrap());
    for body in [json!({ "enabled": false }), json!({ "enabled": true }), json!({ "note": "x" })] {
        api.send(api.request("PATCH", &path).json(&body)).expect(200);
    }
    api.delete(&path).expect(200);
    for change in ["added", "paused", "resumed", "changed", "removed"] {
        let event = reader.find("target.changed");
        assert_eq!(
            (&event.data["id"], &event.data["change"], &event.data["by"]),
            (&id, &json!(change), &json!("api"))
        );
        assert!(!event.data.to_string().contains("secret-key"), "{event:?}");
    }
    let key = api.create_key("live", "live");
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started();
    api.delete("/v1/streams/live/live?ban_s=9").expect(200);
    let event = reader.find("stream.dropped");
    let told = json!({ "at": event.data["at"], "app": "live", "ban_s": 9, "by": "api", "name": "live" });
    assert_eq!(event.data, told);
    assert_eq!(reader.find("stream.ended").data["reason"], "dropped");
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

    // These are more events than the zone keeps: a reader that was away for too long is notified.
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

/// Happens after the clock was set back before a restart, or with the id of another server.
#[test]
fn an_id_that_this_nginx_never_gave_is_missed_and_the_events_go_on() {
    let nginx = keyed().start();
    let api = nginx.api();
    let first = api.create_key("live", "first");
    for ahead in
        ["99999999999999999", "18446744073709551614", "18446744073709551615", "99999999999999999999999"]
    {
        let mut reader = Reader::open_with(&nginx, &format!("Last-Event-ID: {ahead}\r\n"));
        let missed = reader.next();
        assert_eq!((missed.kind.as_str(), missed.id, &missed.data["count"]), ("missed", None, &Value::Null));
        assert!(missed.data["after"].is_u64(), "{missed:?}");
        // The reader gets the events that the zone keeps, from the oldest and in order, and then all new ones.
        assert_eq!(reader.next().data["id"], first.id);
        let next = api.create_key("live", "next");
        let told = reader.find_id(&next.id);
        assert_eq!(told.kind, "key.changed");
        let mut again = Reader::open(&nginx, told.id);
        let last = api.create_key("live", "last");
        assert_eq!(again.next().data["id"], last.id, "its position is a good one by now");
    }
    let mut none = Reader::open_with(&nginx, "Last-Event-ID: \r\n");
    let next = api.create_key("live", "next");
    assert_eq!(none.next().data["id"], next.id);
}

/// nginx keeps the unsent part of an answer until it is sent, even if the client has cancelled the request.
#[test]
fn a_reset_in_the_middle_of_a_frame_harms_no_other_stream() {
    let port = Port::reserve();
    let nginx = keyed().http(&format!("listen 127.0.0.1:{} http2 sndbuf=4k;", port.number())).start();
    let api = nginx.api();
    let worker = nginx.workers();
    for _ in 0..3 {
        let mut client = Http2::connect(port.number(), Some(2304));
        let events = client.request("GET", "localhost", "/api/v1/events", &[]);
        let begun = client.read(events, |brought| !brought.body.is_empty());
        assert_eq!((begun.status, &*begun.body), (200, &b": events of weir\n\n"[..]));
        // These are more events than all the buffers hold.
        for _ in 0..150 {
            api.create_key("live", "show");
        }
        client.reset(events);
        let health = client.request("GET", "localhost", "/api/v1/health", &[]);
        for _ in 0..10 {
            api.create_key("live", "show");
        }
        let answer = client.read(health, |_| false);
        assert_eq!((answer.status, answer.is_ended), (200, true), "{answer:?}");
        serde_json::from_slice::<Value>(&answer.body).unwrap();
    }
    assert_eq!(nginx.workers(), worker);
}

#[test]
fn a_reload_ends_the_streams_in_order() {
    let port = Port::reserve();
    let nginx = keyed().workers(2).http(&format!("listen 127.0.0.1:{} http2;", port.number())).start();
    let mut client = Http2::connect(port.number(), None);
    let events = client.request("GET", "localhost", "/api/v1/events", &[]);
    client.read(events, |brought| !brought.body.is_empty());
    let mut chunked = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
    chunked.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(chunked, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut begun = [0; 1];
    chunked.read_exact(&mut begun).unwrap();
    nginx.reload();
    assert!(client.read(events, |_| false).is_ended);
    let mut rest = String::new();
    chunked.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
    drop(client);
    until("the old workers have gone", 10.0, || nginx.draining().is_empty());
}

/// If `gzip_types` includes events, they still arrive immediately, complete and readable.
#[test]
fn compressed_events_come_at_once() {
    let nginx = keyed().http("gzip on; gzip_min_length 1; gzip_types text/event-stream;").start();
    let api = nginx.api();
    let mut stream = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET /api/v1/events HTTP/1.0\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n")
        .unwrap();
    let mut reader = Reader(BufReader::new(stream));
    let head = reader.paragraph().unwrap();
    assert!(!head.iter().any(|line| line.starts_with("Content-Encoding")), "{head:?}");
    assert_eq!(reader.paragraph().unwrap(), [": events of weir"]);
    for nth in 0..50 {
        let key = api.create_key("live", &format!("s{nth}"));
        assert_eq!(reader.next().data["id"], key.id);
    }
}

/// Such a reader holds up nobody, and nginx closes its connection after a while.
#[test]
fn a_reader_that_takes_nothing_is_given_up() {
    let port = Port::reserve();
    let nginx = keyed().http(&format!("listen 127.0.0.1:{} sndbuf=4k;", port.number())).start();
    let api = nginx.api();
    let sockets = || {
        let files = nginx.workers()[0].open_files();
        files.iter().filter(|file| file.starts_with("socket:")).count()
    };
    let before = until("the connections of others are closed", 10.0, || {
        let now = sockets();
        until_ok(0.5, || sockets() != now).is_none().then_some(now)
    });
    let mut deaf = small_window(port.number());
    write!(deaf, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut reader = Reader::open(&nginx, None);
    until("it is served", 10.0, || sockets() == before + 2);
    // These are more events than all the buffers hold.
    for _ in 0..300 {
        let key = api.create_key("live", "show");
        assert_eq!(reader.next().data["id"], key.id);
    }
    until("the one that reads is left", 90.0, || sockets() == before + 1);
    let key = api.create_key("live", "last");
    assert_eq!(reader.next().data["id"], key.id);
}

/// Returns a connection with a small receive buffer, for a client that does not read.
pub(super) fn small_window(port: u16) -> TcpStream {
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    setsockopt(&fd, sockopt::RcvBuf, &2304).unwrap();
    connect(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port)).unwrap();
    TcpStream::from(fd)
}
