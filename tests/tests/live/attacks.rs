//! With `[web] play = "token"`, and where nginx requires tokens, only a valid token for the stream itself opens its media. No spelling of a
//! path or header gets around the check.

use serde_json::json;
use weir_model::Timestamp;
use weir_model::token::{Action, Claims, Signer};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Publisher, Sidecar, WebSocket, until};

use super::whep::{SDP, offer};
use super::{SECRET, ask, kind, open, publish, request};

/// Paths with media of `live/show`.
const PATHS: [&str; 5] = [
    "/stream/live/show/ws",
    "/stream/live/show/llhls/master.m3u8",
    "/stream/live/show/llhls/index.m3u8",
    "/stream/live/show/llhls/init-0.mp4",
    "/stream/live/show/whep",
];

pub(super) fn claims() -> Claims {
    Claims {
        sub: "live/show".parse().unwrap(),
        act: Action::Play,
        exp: Timestamp::from_millis(4_000_000_000_000),
        nbf: None,
        iat: None,
        jti: None,
        ip: None,
        yields: false,
    }
}

pub(super) fn signed(claims: &Claims) -> String {
    Signer::new(SECRET.as_bytes()).unwrap().mint(claims).expose().to_owned()
}

pub(super) fn token(subject: &str) -> String {
    signed(&Claims { sub: subject.parse().unwrap(), ..claims() })
}

/// Returns the settings of WebRTC on a port.
fn webrtc(port: &Port) -> String {
    format!("[webrtc]\nlisten = \"127.0.0.1:{}\"\n", port.number())
}

/// Returns the status of an answer; 101 and 201 count as 200.
pub(super) fn status(port: u16, path: &str, headers: &[&str]) -> u16 {
    if path.split('?').next().unwrap().ends_with("/whep") {
        let answer = request(port, "POST", path, &[&[SDP][..], headers].concat(), &offer());
        return if answer.status == 201 { 200 } else { answer.status };
    }
    if !path.split('?').next().unwrap().ends_with("/ws") {
        return ask(port, path, headers).status;
    }
    match WebSocket::connect(port, path, headers) {
        Ok(_) => 200,
        Err((status, _)) => status,
    }
}

/// Returns the status of a path for a valid token. The test does not know the number of the initialization segment, so that one is 404.
fn good_status(path: &str) -> u16 {
    if path.ends_with("init-0.mp4") { 404 } else { 200 }
}

/// Returns a configuration in which nginx requires a token for the application `live`.
pub(super) fn protected() -> Config {
    Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .with_api()
        .app("live", "weir_publish open; weir_play token;")
        .app("free", "weir_publish open;")
}

#[test]
fn what_nginx_protects_needs_a_token_here_too() {
    let (nginx, udp) = (protected().start(), Port::reserve());
    let sidecar = Sidecar::start(&nginx, &format!("[web]\n{}", webrtc(&udp)));
    let port = sidecar.web();
    let _show = publish(&nginx, "show");
    let good = token("live/show");
    until("the stream can be watched", 10.0, || {
        status(port, &format!("{}?token={good}", PATHS[0]), &[]) == 200
    });
    for path in PATHS {
        assert_eq!(status(port, path, &[]), 403, "{path}");
        assert_eq!(status(port, &format!("{path}?token={}", token("live/other")), &[]), 403, "{path}");
        assert_eq!(status(port, &format!("{path}?token={good}"), &[]), good_status(path), "{path}");
    }
    let _free = Publisher::to(nginx.rtmp(), "free/show").start().started();
    until("another application is open", 10.0, || status(port, "/stream/free/show/ws", &[]) == 200);
    // Only an explicit `play = "open"` opens it.
    sidecar.reload(&format!("[web]\nplay = \"open\"\n{}", webrtc(&udp)));
    until("it is open", 10.0, || status(port, PATHS[0], &[]) == 200);
}

#[test]
fn a_viewer_leaves_when_the_token_ends() {
    let nginx = protected().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _show = publish(&nginx, "show");
    let watch = |claims: &Claims| {
        let path = format!("{}?token={}", PATHS[0], signed(claims));
        until("the stream can be watched", 10.0, || WebSocket::connect(sidecar.web(), &path, &[]).ok())
    };
    let named = |jti: &str| Claims { jti: Some(jti.parse().unwrap()), ..claims() };
    let (mut revoked, mut stays) = (watch(&named("one")), watch(&named("two")));
    nginx.api().post("/v1/tokens/revoke", &json!({ "jti": "one" })).expect(200);
    assert_eq!(end(&mut revoked), "close 1008 the token has expired or was revoked");
    // Of the 30 seconds of leeway, 5 are left.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut expires = watch(&Claims { exp: Timestamp::from_millis((now - 25) * 1000), ..claims() });
    assert_eq!(end(&mut expires), "close 1008 the token has expired or was revoked");
    assert!(stays.during(1.0).iter().any(|message| kind(message) == "binary"));
}

/// Returns the close message with which a viewer is disconnected.
#[track_caller]
fn end(viewer: &mut WebSocket) -> String {
    until("the viewer is sent away", 20.0, || {
        let message = kind(&viewer.receive().expect("a message before the end"));
        message.starts_with("close").then_some(message)
    })
}

#[test]
fn each_wrong_token_is_refused_for_each_kind_of_media() {
    let (nginx, udp) = (open().start(), Port::reserve());
    let config = format!("[web]\nplay = \"token\"\ntrusted_proxies = [\"192.0.2.1\"]\n{}", webrtc(&udp));
    let sidecar = Sidecar::start(&nginx, &config);
    let port = sidecar.web();
    let (_show, _other) = (publish(&nginx, "show"), publish(&nginx, "other"));
    let good = token("live/show");
    until("the stream can be watched", 10.0, || {
        status(port, &format!("{}?token={good}", PATHS[0]), &[]) == 200
    });
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    let (none, body) =
        ("eyJhbGciOiJub25lIn0", "eyJzdWIiOiJsaXZlL3Nob3ciLCJhY3QiOiJwbGF5IiwiZXhwIjo0MDAwMDAwMDAwfQ");
    let at = |millis| Timestamp::from_millis(millis);
    let wrong = [
        String::new(),
        "token=".to_owned(),
        "token=x.y.z".to_owned(),
        format!("token={none}.{body}."),
        format!("token={unsigned}."),
        format!("token={unsigned}"),
        format!("token={none}.{}.{signature}", unsigned.split_once('.').unwrap().1),
        format!("token={}", "a".repeat(5000)),
        format!("tokens={good}"),
        format!("Token={good}"),
        format!("x=token={good}"),
        format!("token={}", Signer::new(&[9; 32]).unwrap().mint(&claims()).expose()),
        format!("token={}", signed(&Claims { exp: at(1_700_000_000_000), ..claims() })),
        format!("token={}", signed(&Claims { nbf: Some(at(3_900_000_000_000)), ..claims() })),
        format!("token={}", signed(&Claims { act: Action::Publish, ..claims() })),
        format!("token={}", signed(&Claims { ip: Some("192.0.2.0/24".parse().unwrap()), ..claims() })),
        format!("token={}", token("live2/*")),
        format!("token={}", token("live/other")),
        format!("token={}", token("stream/show")),
        format!("token={}", token("live/ws")),
        format!("token={}", token("live/show/ws")),
    ];
    for path in PATHS {
        for query in &wrong {
            assert_eq!(status(port, &format!("{path}?{query}"), &[]), 403, "{path}?{query}");
        }
        for headers in [
            vec![format!("Authorization: Basic {good}")],
            vec![format!("Authorization: {good}")],
            vec![format!("Cookie: token={good}")],
            vec![format!("Cookie: weir_token={good}x")],
            // A browser sends the cookie also with requests of a page of another site.
            vec!["Origin: https://evil.example".to_owned(), format!("Cookie: weir_token={good}")],
            vec!["Origin: null".to_owned(), format!("Cookie: weir_token={good}")],
            vec![format!("X-Original-URI: {path}?token={good}")],
            vec![format!("Referer: http://live.example.org{path}?token={good}")],
        ] {
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            assert_eq!(status(port, path, &headers), 403, "{path} {headers:?}");
        }
        // Only a trusted proxy may report the address of a viewer.
        let local = signed(&Claims { ip: Some("192.0.2.0/24".parse().unwrap()), ..claims() });
        let forged = format!("{path}?token={local}");
        assert_eq!(status(port, &forged, &["X-Forwarded-For: 192.0.2.7"]), 403, "{path}");
        assert_eq!(
            status(port, &format!("{path}?x=1&token={}", token("live/*")), &[]),
            good_status(path),
            "{path}"
        );
        let here = signed(&Claims { ip: Some("127.0.0.0/8".parse().unwrap()), ..claims() });
        assert_eq!(status(port, &format!("{path}?token={here}"), &[]), good_status(path), "{path}");
        for headers in [
            vec![format!("Authorization: Bearer {good}")],
            vec![format!("Cookie: a=b; weir_token={good}")],
            vec!["Origin: http://live.example.org".to_owned(), format!("Cookie: weir_token={good}")],
        ] {
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            assert_eq!(status(port, path, &headers), good_status(path), "{path} {headers:?}");
        }
    }
    for path in [
        "/stream/live/other/ws",
        "/stream/live/show/../other/ws",
        "/stream/live/%6fther/ws",
        "/stream/live%2fother/ws",
        "/stream//live/other/ws",
        "/stream/live/other//ws",
        "/stream/live/show%2f..%2fother/ws",
        "/stream/live/show/ws/../../other/ws",
        "/stream/live/SHOW/ws",
    ] {
        let answer = status(port, &format!("{path}?token={good}"), &[]);
        assert!(matches!(answer, 403 | 404), "{path}: {answer}");
    }
    assert!(!sidecar.log().contains(signature), "{}", sidecar.log());
    // A player needs nothing else, because each URI has the token.
    for file in ["master.m3u8", "index.m3u8"] {
        let answer = ask(port, &format!("/stream/live/show/llhls/{file}?token={good}"), &[]);
        assert!(answer.header("cache-control").unwrap().starts_with("private"), "{answer:?}");
        let text = String::from_utf8(answer.body).unwrap();
        let uris =
            text.matches(".m3u8").count() + text.matches(".m4s").count() + text.matches(".mp4").count();
        assert_eq!(uris, text.matches(&format!("?token={good}")).count(), "{text}");
    }
}
