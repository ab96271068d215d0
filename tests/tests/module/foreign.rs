//! Requests where only the address decides: programs of this machine may ask, pages of other sites in the machine's browsers may not. Also
//! the headers and the caching of each answer, over each version of HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Http2, Nginx};

use super::keyed;

/// Returns status, head and body of the answer to a request that the test writes byte by byte.
#[track_caller]
fn raw(nginx: &Nginx, request: &[u8]) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    (head[9..12].parse().unwrap(), head, body)
}

/// Asks with these headers only, without the headers that a client would add.
#[track_caller]
fn ask(nginx: &Nginx, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let body = if method == "POST" { r#"{"app":"live","stream":"show"}"# } else { "" };
    let request = format!(
        "{method} {path} HTTP/1.0\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, _, body) = raw(nginx, request.as_bytes());
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn keys(nginx: &Nginx) -> usize {
    nginx.api().get("/v1/keys").expect(200)["keys"].as_array().unwrap().len()
}

const OWN: [&str; 7] = [
    "127.0.0.1:8080",
    "localhost",
    "LOCALHOST:80",
    "[::1]:8080",
    "192.0.2.7",
    "live.example.org",
    "a.b.example.net:80",
];
const FOREIGN: [&str; 4] =
    ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example"];

fn named() -> Config {
    keyed().http(
        "server_name _ live.example.org *.example.net ~^node\\d+$; location /stat { weir_stat html; } \
         location /full { weir_stat xml full; } location /metrics { weir_stat prometheus full; }",
    )
}

#[test]
fn a_host_of_somebody_else_is_refused_before_anything_is_done() {
    let nginx = named().start();
    for host in FOREIGN.into_iter().chain(["node7.evil.example", "node", "live.example.org.evil.example"]) {
        for (method, path) in [
            ("GET", "/api/v1/keys"),
            ("HEAD", "/api/v1/health"),
            ("GET", "/api/v1/events"),
            ("POST", "/api/v1/keys"),
            ("DELETE", "/api/v1/streams/live/show"),
            ("POST", "/api/v1/tokens"),
            ("GET", "/api/nothing"),
            ("GET", "/full"),
        ] {
            let (status, answer) = ask(&nginx, method, path, &[("Host", host)]);
            assert_eq!(status, 403, "{method} {path} {host}");
            if method != "HEAD" {
                assert_eq!(answer["error"]["code"], "forbidden", "{answer}");
            }
        }
        // These answers do not show who publishes and plays.
        for path in ["/stat", "/metrics"] {
            assert_eq!(ask(&nginx, "GET", path, &[("Host", host)]).0, 200, "{path} {host}");
        }
    }
    assert_eq!(keys(&nginx), 0);
    for host in OWN.into_iter().chain(["node17", "NODE2:80"]) {
        assert_eq!(ask(&nginx, "POST", "/api/v1/keys", &[("Host", host)]).0, 201, "{host}");
        assert_eq!(ask(&nginx, "GET", "/full", &[("Host", host)]).0, 200, "{host}");
    }
    assert_eq!(ask(&nginx, "POST", "/api/v1/keys", &[]).0, 201, "a program need not send a host");
    assert_eq!(keys(&nginx), OWN.len() + 3);
}

#[test]
fn a_page_of_another_site_is_refused() {
    let nginx = named().start();
    for origin in ["http://evil.example", "http://192.0.2.99", "null", "https://127.0.0.1.evil.example", ""] {
        for host in ["127.0.0.1:8080", "localhost", "live.example.org"] {
            let headers = [("Host", host), ("Origin", origin)];
            assert_eq!(ask(&nginx, "POST", "/api/v1/keys", &headers).0, 403, "{host} {origin}");
            assert_eq!(ask(&nginx, "GET", "/full", &headers).0, 403, "{host} {origin}");
        }
    }
    let both = [("Host", "localhost"), ("Origin", "http://localhost"), ("Origin", "http://evil.example")];
    assert_eq!(ask(&nginx, "POST", "/api/v1/keys", &both).0, 403);
    assert_eq!(keys(&nginx), 0);
    for (host, origin) in [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:8080", "http://localhost:3000"),
        ("live.example.org", "https://live.example.org"),
    ] {
        let headers = [("Host", host), ("Origin", origin)];
        assert_eq!(ask(&nginx, "POST", "/api/v1/keys", &headers).0, 201, "{host} {origin}");
    }
}

/// The token proves who asks, so any host name is accepted.
#[test]
fn with_a_token_the_name_is_free() {
    let nginx = Config::weir()
        .file("token", "0123456789abcdef-token")
        .main("weir_zone 2m;")
        .http("location /api { weir_api; weir_api_token @DIR@/token; }")
        .start();
    let bearer = ("Authorization", "Bearer 0123456789abcdef-token");
    let headers = [("Host", "live.example"), ("Origin", "https://dashboard.example"), bearer];
    assert_eq!(ask(&nginx, "POST", "/api/v1/keys", &headers).0, 201);
    assert_eq!(ask(&nginx, "GET", "/api/v1/keys", &headers[..2]).0, 401);
}

#[test]
fn http_2_names_the_host_otherwise() {
    let port = Port::reserve();
    let nginx = named().http(&format!("listen 127.0.0.1:{} http2;", port.number())).start();
    let mut client = Http2::connect(port.number(), None);
    for host in FOREIGN {
        assert_eq!(client.ask("GET", host, "/api/v1/keys", &[]).status, 403, "{host}");
    }
    for host in OWN {
        let answer = client.ask("GET", host, "/api/v1/keys", &[]);
        assert_eq!((answer.status, answer.is_ended), (200, true), "{host}");
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), json!({"keys": []}));
    }
    let foreign = client.ask("GET", "localhost", "/api/v1/keys", &[("origin", "http://evil.example")]);
    assert_eq!(foreign.status, 403);
    let head = client.ask("HEAD", "localhost", "/api/v1/keys", &[]);
    assert_eq!((head.status, head.is_ended, head.body.len()), (200, true, 0));
    assert_eq!(nginx.api().get("/v1/health").status, 200);
}

#[test]
fn a_path_that_is_no_text_is_a_bad_request() {
    let nginx = named().start();
    for path in [
        &b"/api/v1/keys/\xff\xfe"[..],
        b"/api/v1/streams/live/%ff%fe",
        b"/api/v1/targets/%c3",
        b"/api/%ff",
        b"/api/v1/keys?\xff",
    ] {
        for method in ["GET", "DELETE", "POST"] {
            let request = [
                method.as_bytes(),
                b" ",
                path,
                b" HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            ]
            .concat();
            let (status, _, body) = raw(&nginx, &request);
            let answer: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((status, &answer["error"]["code"]), (400, &json!("bad_request")), "{path:?} {answer}");
        }
    }
    let (status, ..) = raw(&nginx, b"GET /stat/\xff HTTP/1.0\r\nHost: localhost\r\n\r\n");
    assert_eq!(status, 200);
}

#[test]
fn every_answer_is_for_now_and_for_what_it_says() {
    let nginx = named()
        .http("gzip on; gzip_min_length 1; gzip_types *; location /html { weir_stat html full; }")
        .start();
    let paths = [
        ("GET", "/api/v1/health", 200),
        ("GET", "/api/v1/keys", 200),
        ("GET", "/api/v1/streams", 200),
        ("GET", "/api/v1/targets", 200),
        ("GET", "/api/v1/streams/live/none", 404),
        ("GET", "/api/v1/nothing", 404),
        ("PUT", "/api/v1/keys", 405),
        ("POST", "/api/v1/keys", 201),
        ("POST", "/api/v1/targets", 400),
        ("POST", "/api/v1/tokens", 400),
        ("DELETE", "/api/v1/keys/k0000000000000000", 404),
        ("GET", "/api/v1/keys/%ff", 400),
        ("GET", "/stat", 200),
        ("GET", "/html", 200),
        ("GET", "/full", 200),
        ("GET", "/metrics", 200),
        ("POST", "/stat", 405),
        ("HEAD", "/api/v1/events", 200),
        ("HEAD", "/api/v1/keys", 200),
        ("HEAD", "/stat", 200),
    ];
    for (method, path, wanted) in paths {
        for version in ["1.0", "1.1"] {
            for more in [
                "",
                "Accept-Encoding: gzip\r\n",
                "Range: bytes=2-5\r\n",
                "If-None-Match: *\r\n",
                "If-Match: \"x\"\r\n",
            ] {
                let body = if method == "POST" { r#"{"app":"live","stream":"show"}"# } else { "" };
                let request = format!(
                    "{method} {path} HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\n{more}\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let (status, head, body) = raw(&nginx, request.as_bytes());
                assert_eq!(status, wanted, "{request}{head}");
                for line in ["Cache-Control: no-store\r\n", "X-Content-Type-Options: nosniff\r\n"] {
                    assert!(head.contains(line), "{request}{head}");
                }
                assert!(!head.contains("Accept-Ranges") && !head.contains("ETag"), "{head}");
                assert_eq!(body.is_empty(), method == "HEAD", "{request}");
            }
        }
    }
}
