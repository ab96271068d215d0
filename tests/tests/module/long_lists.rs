//! Long lists are complete and can be read in parts. No worker stops for a long list, however slowly a client reads it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Http2, Nginx, keys, until};

use super::events::small_window;

/// Number of keys in the state file.
const KEYS: u64 = 20_000;

fn long() -> Config {
    Config::weir()
        .main("weir_zone 16m state=@DIR@/state;")
        .file("state", keys::state(KEYS))
        .file("keys", format!("studio {}\nguest {}\n", "a".repeat(64), "b".repeat(64)))
        .http("location /api { weir_api; }")
        .app("live", "weir_publish key; weir_key_file @DIR@/keys;")
}

#[track_caller]
fn page(nginx: &Nginx, query: &str) -> (Vec<Value>, Value) {
    let answer = nginx.api().get(&format!("/v1/keys{query}")).expect(200);
    (answer["keys"].as_array().unwrap().clone(), answer["next"].clone())
}

#[test]
fn the_list_of_keys_is_whole_and_the_same_in_parts() {
    let nginx = long().start();
    let (all, next) = page(&nginx, "");
    assert_eq!((all.len() as u64, next), (KEYS + 2, Value::Null));
    for limit in [10_000, 7_777] {
        let (mut parts, mut query) = (Vec::new(), format!("?limit={limit}"));
        loop {
            let (part, next) = page(&nginx, &query);
            assert!(part.len() == limit || next.is_null(), "{} keys, next: {next}", part.len());
            parts.extend(part);
            let Some(next) = next.as_str() else { break };
            query = format!("?limit={limit}&after={next}");
        }
        assert!(parts == all, "{} of {} keys in parts of {limit}", parts.len(), all.len());
    }
    // A cursor stays valid when the key that it names is removed.
    let (first, next) = page(&nginx, "?limit=3");
    nginx.api().delete(&format!("/v1/keys/{}", first[2]["id"].as_str().unwrap())).expect(200);
    let (second, _) = page(&nginx, &format!("?limit=2&after={}", next.as_str().unwrap()));
    assert_eq!(second, all[3..5]);
    // Cursors between the last key of the API and the first of the file, within the keys of the file, and after the last key.
    let (last, next) = page(&nginx, &format!("?limit=2&after={}", cursor(&all[KEYS as usize - 2])));
    assert_eq!(
        (&last[..], next.as_str()),
        (&[all[KEYS as usize - 1].clone(), all[KEYS as usize].clone()][..], Some("file.1"))
    );
    let (last, next) = page(&nginx, "?limit=2&after=file.1");
    assert_eq!((&last[..], &next), (&all[KEYS as usize + 1..], &Value::Null));
    assert_eq!(page(&nginx, "?limit=2&after=file.7").0, Vec::<Value>::new());
    for query in ["limit=0", "limit=x", "limit=10001", "limit=5&after=x", "after=", "after=file.x"] {
        nginx.api().get(&format!("/v1/keys?{query}")).error(400, "bad_request");
    }
}

fn cursor(key: &Value) -> String {
    let created: weir_model::Timestamp = key["created_at"].as_str().unwrap().parse().unwrap();
    format!("{}.{}", created.as_millis(), key["id"].as_str().unwrap())
}

#[test]
fn a_long_list_comes_over_each_version_of_http() {
    let port = Port::reserve();
    let nginx =
        long().http(&format!("listen 127.0.0.1:{} http2; gzip on; gzip_types *;", port.number())).start();
    let mut client = Http2::connect(port.number(), None);
    let answer = client.ask("GET", "localhost", "/api/v1/keys", &[]);
    let count =
        |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["keys"].as_array().unwrap().len();
    assert_eq!((answer.status, count(&answer.body) as u64), (200, KEYS + 2));
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        let body = answer.split_off(end);
        (String::from_utf8(answer).unwrap(), body)
    };
    let (head, body) = ask("GET /api/v1/keys HTTP/1.0\r\nHost: localhost\r\n\r\n");
    assert!(head.contains("nosniff") && head.contains("no-store") && !head.contains("chunked"), "{head}");
    assert_eq!(count(&body) as u64, KEYS + 2);
    let (head, body) = ask(
        "GET /api/v1/keys HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nRange: bytes=0-9\r\nIf-None-Match: *\r\n\r\n",
    );
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("chunked"), "{head}");
    assert!(body.ends_with(b"\r\n0\r\n\r\n"));
    let (head, body) = ask(
        "GET /api/v1/keys HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n",
    );
    assert!(head.contains("Content-Encoding: gzip"), "{head}");
    assert!(body.len() > 100_000 && body.ends_with(b"\r\n0\r\n\r\n"), "{} bytes", body.len());
    let (head, body) = ask("HEAD /api/v1/keys HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{head}");
}

#[test]
fn nobody_waits_for_a_long_list() {
    let port = Port::reserve();
    let nginx =
        long().http(&format!("send_timeout 2s; listen 127.0.0.1:{} sndbuf=4k;", port.number())).start();
    let api = nginx.api();
    let done = AtomicBool::new(false);
    let mut waits = std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut waits = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let asked = Instant::now();
                nginx.api().get("/v1/keys/none").error(405, "method_not_allowed");
                waits.push(asked.elapsed());
            }
            waits
        });
        for _ in 0..5 {
            assert_eq!(page(&nginx, "").0.len() as u64, KEYS + 2);
        }
        let id = page(&nginx, "?limit=1").0[0]["id"].as_str().unwrap().to_owned();
        api.delete(&format!("/v1/keys/{id}")).expect(200);
        done.store(true, Ordering::Relaxed);
        others.join().unwrap()
    });
    waits.sort();
    // The list takes a second or more; the time for one part depends on the machine.
    let usual = waits[waits.len() * 9 / 10];
    assert!(usual < Duration::from_millis(150), "{usual:?}, at worst {:?}", waits.last());

    // A client that asks and does not read gets some time to begin, and is then disconnected.
    let mut deaf = small_window(port.number());
    deaf.write_all(b"GET /api/v1/keys HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    nginx.wait_log("client timed out");
    // A client that disconnects in the middle of a list leaves nothing behind.
    for _ in 0..20 {
        let mut gone = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
        gone.write_all(b"GET /api/v1/keys HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        gone.read_exact(&mut [0; 2000]).unwrap();
    }
    drop(deaf);
    assert_eq!(api.get("/v1/health").expect(200)["status"], "ok");
}

/// A draining worker sends its answers to the end.
#[test]
fn a_reload_cuts_no_list() {
    let nginx = long().start();
    let mut stream = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /api/v1/keys HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = vec![0; 2000];
    stream.read_exact(&mut answer).unwrap();
    nginx.reload();
    stream.read_to_end(&mut answer).unwrap();
    let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    let list: Value = serde_json::from_slice(&answer[body..]).unwrap();
    assert_eq!(list["keys"].as_array().unwrap().len() as u64, KEYS + 2);
    until("the old worker has gone", 10.0, || nginx.draining().is_empty());
    assert_eq!(list.get("next"), None, "{}", json!(list["next"]));
}
