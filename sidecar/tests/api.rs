//! The requests of the program to the API, and its output for the answers. Each test has one canned answer; other tests run the program
//! with the real module.
#![allow(clippy::unwrap_used, reason = "all of it is tests, the helpers too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const KEY: &str = r#"{"id":"k0123456789abcdef","app":"live","stream":"show","note":"","created_at":"2026-11-20T18:00:00Z","expires_at":null,"publish_from":[],"source":"api","previous_valid_until":null,"key":"wk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;

/// Answers one request; returns the server's URL, and the request as text.
fn server(status: &str, body: &str) -> (String, Receiver<String>) {
    serve(status, vec![body.to_owned()])
}

/// Answers several requests, one after the other.
fn server_of(bodies: &[String]) -> (String, Receiver<String>) {
    serve("200 OK", bodies.to_vec())
}

fn serve(status: &str, bodies: Vec<String>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api", listener.local_addr().unwrap());
    let status = status.to_owned();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for body in bodies {
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                assert_ne!(reader.read_line(&mut request).unwrap(), 0);
            }
            let length = request
                .to_lowercase()
                .split("content-length: ")
                .nth(1)
                .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
            let mut content = vec![0; length];
            reader.read_exact(&mut content).unwrap();
            request.push_str(std::str::from_utf8(&content).unwrap());
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
            // The test may have ended by now.
            let _ = sender.send(request);
        }
    });
    (url, receiver)
}

fn weir(api: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    // The program must not use a proxy of the environment.
    command
        .args(args)
        .env("WEIR_API", api)
        .env("http_proxy", "http://127.0.0.1:9")
        .env_remove("WEIR_API_TOKEN_FILE");
    command.stdin(Stdio::null());
    command
}

/// Runs the program with one canned answer.
fn run(args: &[&str], status: &str, body: &str) -> (Output, String) {
    let (url, request) = server(status, body);
    let output = weir(&url, args).output().unwrap();
    (output, request.recv_timeout(Duration::from_secs(10)).unwrap())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_new_key_is_shown_as_obs_asks_for_it() {
    let (output, request) = run(
        &[
            "key",
            "add",
            "live",
            "show",
            "--from",
            "192.0.2.0/24",
            "--expires",
            "2026-12-24T18:00:00Z",
            "--note",
            "a b",
            "--server",
            "media.example",
        ],
        "201 Created",
        KEY,
    );
    assert!(request.starts_with("POST /api/v1/keys HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("content-type: application/json\r\n"), "{request}");
    assert!(
        request.ends_with(
            r#"{"app":"live","stream":"show","note":"a b","expires_at":"2026-12-24T18:00:00Z","publish_from":["192.0.2.0/24"]}"#
        ),
        "{request}"
    );
    assert_eq!(
        text(&output.stdout),
        "Key:        k0123456789abcdef for live/show\n\
         Server:     rtmp://media.example/live\n\
         Stream key: wk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
    );
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "The stream key is shown only this once.\n");
    // A loopback address does not help an encoder on another machine.
    let (output, _) = run(&["key", "add", "live", "show"], "201 Created", KEY);
    assert!(!text(&output.stdout).contains("rtmp://127.0.0.1/"), "{output:?}");
    assert!(text(&output.stderr).contains("--server HOST"), "{output:?}");
}

#[test]
fn json_is_the_answer_as_it_came() {
    let (output, _) = run(&["key", "add", "live", "show", "--json"], "201 Created", KEY);
    assert_eq!(text(&output.stdout), format!("{KEY}\n"));
    assert!(output.stderr.is_empty());
    let streams = r#"{"streams":[], "later": 1}"#;
    let (output, request) = run(&["stream", "list", "--json"], "200 OK", streams);
    assert!(request.starts_with("GET /api/v1/streams HTTP/1.1\r\n"), "{request}");
    assert_eq!(text(&output.stdout), format!("{streams}\n"));
}

#[test]
fn the_list_of_keys_is_read_in_parts() {
    let key = |id: u64| KEY.replace("k0123456789abcdef", &format!("k{id:016x}"));
    let part = |ids: &[u64], next: &str| {
        let keys: Vec<String> = ids
            .iter()
            .map(|id| key(*id).replace(r#","key":"wk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa""#, ""))
            .collect();
        format!(r#"{{"keys":[{}],"next":{next},"later":1}}"#, keys.join(","))
    };
    let parts = [part(&[1, 2], r#""5.k2""#), part(&[3], r#""file.0""#), part(&[4], "null")];
    let (url, requests) = server_of(&parts);
    let output = weir(&url, &["key", "list", "--json"]).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let ids: Vec<_> =
        answer["keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["k0000000000000001", "k0000000000000002", "k0000000000000003", "k0000000000000004"]);
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    let asked: Vec<String> =
        requests.iter().map(|request| request.lines().next().unwrap().to_owned()).collect();
    assert_eq!(
        asked,
        [
            "GET /api/v1/keys?limit=1000 HTTP/1.1",
            "GET /api/v1/keys?limit=1000&after=5.k2 HTTP/1.1",
            "GET /api/v1/keys?limit=1000&after=file.0 HTTP/1.1"
        ]
    );
    // An older server ignores the limit and sends the whole list; a server that repeats itself is not asked for ever.
    let (url, _requests) = server_of(&[part(&[1], "null").replace(r#","next":null"#, "")]);
    let output = weir(&url, &["key", "list"]).output().unwrap();
    assert!(text(&output.stdout).contains("k0000000000000001"), "{output:?}");
    let (url, _requests) = server_of(&[part(&[], r#""5.k2""#)]);
    assert_eq!(weir(&url, &["key", "list"]).output().unwrap().status.code(), Some(0));
}

#[test]
fn a_key_is_rotated_with_overlap() {
    let (output, request) = run(
        &["key", "rotate", "k0123456789abcdef", "--overlap", "10m", "--server", "live.example"],
        "200 OK",
        KEY,
    );
    assert!(request.starts_with("POST /api/v1/keys/k0123456789abcdef/rotate HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with(r#"{"overlap_s":600}"#), "{request}");
    assert!(text(&output.stdout).contains("Server:     rtmp://live.example/live\n"), "{output:?}");
}

#[test]
fn a_key_is_revoked_with_the_header_that_a_change_needs() {
    let (output, request) =
        run(&["key", "revoke", "k0123456789abcdef"], "200 OK", r#"{"id":"k0123456789abcdef","dropped":1}"#);
    assert!(request.starts_with("DELETE /api/v1/keys/k0123456789abcdef HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("content-type: application/json\r\n"), "{request}");
    assert_eq!(text(&output.stdout), "Revoked k0123456789abcdef; its publisher was dropped.\n");
}

const TARGET: &str = r#"{"id":"t0123456789abcdef","app":"live","stream":"show","url":"rtmps://a.example/app/***","enabled":true,"note":"","source":"api","sessions":[]}"#;

#[test]
fn a_target_is_made_from_a_file_that_no_list_of_processes_shows() {
    let (api, request) = server("201 Created", TARGET);
    let mut command = weir(&api, &["target", "add", "live", "show", "--url-file", "-", "--note", "main"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"rtmps://a.example/app/sk_1\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let request = request.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(request.starts_with("POST /api/v1/targets HTTP/1.1\r\n"), "{request}");
    assert!(
        request.ends_with(
            r#"{"app":"live","stream":"show","url":"rtmps://a.example/app/sk_1","enabled":true,"note":"main"}"#
        ),
        "{request}"
    );
    let said = "Target t0123456789abcdef for live/show at rtmps://a.example/app/***\n";
    assert_eq!((text(&output.stdout), text(&output.stderr)), (said, ""));
}

#[test]
fn a_target_may_begin_disabled() {
    let url = "rtmp://a.example/app/sk_1";
    let (output, request) =
        run(&["target", "add", "live", "*", url, "--disabled", "--json"], "201 Created", TARGET);
    let body = r#"{"app":"live","stream":"*","url":"rtmp://a.example/app/sk_1","enabled":false}"#;
    assert!(request.ends_with(body), "{request}");
    assert_eq!(text(&output.stdout), format!("{TARGET}\n"));
}

#[test]
fn a_wrong_target_url_is_not_repeated() {
    for (arguments, line) in [
        (&["http://a/app/sk_1"][..], "weir: URL: unknown scheme, expected rtmp:// or rtmps://\n"),
        (&["rtmp://a/sk_1"], "weir: URL: no stream key, expected rtmp://host/app/key\n"),
        (&["--url-file", "-"], "weir: --url-file: unknown scheme, expected rtmp:// or rtmps://\n"),
        (
            &["--url-file", "/nonexistent"],
            "weir: --url-file /nonexistent: No such file or directory (os error 2)\n",
        ),
    ] {
        let args = [&["target", "add", "live", "show"], arguments].concat();
        let output = weir("http://127.0.0.1:9/api", &args).output().unwrap();
        assert_eq!((text(&output.stderr), text(&output.stdout)), (line, ""));
        assert_ne!(output.status.code(), Some(0));
    }
    let both = ["target", "add", "live", "show", "rtmp://a/b/sk_1", "--url-file", "-"];
    for args in [&both[..], &both[..4]] {
        let output = weir("http://127.0.0.1:9/api", args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!text(&output.stderr).contains("sk_1"), "{output:?}");
    }
}

#[test]
fn a_target_is_paused_resumed_and_removed() {
    let id = "t0123456789abcdef";
    for (command, body, said) in [
        (
            "enable",
            r#"{"enabled":true}"#,
            "Enabled t0123456789abcdef; its stream is pushed there while it is live.\n",
        ),
        (
            "disable",
            r#"{"enabled":false}"#,
            "Disabled t0123456789abcdef; its stream is no longer pushed there.\n",
        ),
    ] {
        let (output, request) = run(&["target", command, id], "200 OK", TARGET);
        assert!(request.starts_with("PATCH /api/v1/targets/t0123456789abcdef HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with(body), "{request}");
        assert_eq!(text(&output.stdout), said);
    }
    let (output, request) = run(&["target", "remove", id], "200 OK", r#"{"id":"t0123456789abcdef"}"#);
    assert!(request.starts_with("DELETE /api/v1/targets/t0123456789abcdef HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("content-type: application/json\r\n"), "{request}");
    assert_eq!(text(&output.stdout), "Removed t0123456789abcdef; any running push was stopped.\n");
}

#[test]
fn targets_are_listed() {
    let answer = format!(r#"{{"targets":[{TARGET}]}}"#);
    let (output, request) = run(&["target", "list", "--json"], "200 OK", &answer);
    assert!(request.starts_with("GET /api/v1/targets HTTP/1.1\r\n"), "{request}");
    assert_eq!(text(&output.stdout), format!("{answer}\n"));
    let (output, _) = run(&["target", "list"], "200 OK", &answer);
    assert_eq!(
        text(&output.stdout),
        "ID                 APP   STREAM  ENABLED  STATE  OUT  URL                        PROBLEM  NOTE\n\
         t0123456789abcdef  live  show    yes      -      -    rtmps://a.example/app/***  -        -\n"
    );
}

#[test]
fn a_publisher_is_dropped_with_a_ban() {
    let answer = r#"{"banned_until":"2026-11-20T18:01:00Z","dropped":1}"#;
    let (output, request) = run(&["stream", "drop", "live/a", "show", "--ban", "1m"], "200 OK", answer);
    assert!(request.starts_with("DELETE /api/v1/streams/live/a/show?ban_s=60 HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("content-type: application/json\r\n"), "{request}");
    assert_eq!(
        text(&output.stdout),
        "Dropped the publisher of live/a/show; its key is refused until 2026-11-20T18:01:00Z.\n"
    );
    let (output, request) =
        run(&["stream", "drop", "live", "show", "--json"], "200 OK", r#"{"banned_until":null,"dropped":0}"#);
    assert!(request.starts_with("DELETE /api/v1/streams/live/show HTTP/1.1\r\n"), "{request}");
    assert_eq!(text(&output.stdout), "{\"banned_until\":null,\"dropped\":0}\n");
}

#[test]
fn any_name_is_asked_for_as_it_is() {
    let answer = r#"{"banned_until":null,"dropped":1}"#;
    for (name, coded) in [
        ("my show", "my%20show"),
        ("直播", "%E7%9B%B4%E6%92%AD"),
        ("a/b", "a%2Fb"),
        ("TEST%20STREAM", "TEST%2520STREAM"),
        ("..", "%2E%2E"),
        ("", ""),
    ] {
        let (output, request) = run(&["stream", "drop", "live", name], "200 OK", answer);
        let asked = format!("DELETE /api/v1/streams?app=live&name={coded} HTTP/1.1\r\n");
        assert!(request.starts_with(&asked), "{request}");
        assert_eq!(text(&output.stdout), format!("Dropped the publisher of live/{name}.\n"));
    }
    let limited = ["stream", "drop", "live", "show", "--server-block", "1936"];
    let (_, request) = run(&limited, "200 OK", answer);
    assert!(
        request.starts_with("DELETE /api/v1/streams/live/show?server=0%2E0%2E0%2E0%3A1936 HTTP"),
        "{request}"
    );
    let (output, _) = run(&["stream", "drop", "live", "show"], "200 OK", r#"{"dropped":2}"#);
    assert_eq!(text(&output.stdout), "Dropped the 2 publishers of live/show, one per server block.\n");
}

#[test]
fn a_player_is_dropped() {
    let (output, request) =
        run(&["stream", "drop", "live", "show", "--player", "s1f"], "200 OK", r#"{"dropped":1}"#);
    assert!(request.starts_with("DELETE /api/v1/streams/live/show/players/s1f HTTP/1.1\r\n"), "{request}");
    assert_eq!(text(&output.stdout), "Dropped player s1f of live/show.\n");
    let error = r#"{"error":{"code":"not_found","message":"no player \"s1f\" plays \"live/show\""}}"#;
    let (output, _) = run(&["stream", "drop", "live", "show", "--player", "s1f"], "404 Not Found", error);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "weir: no player \"s1f\" plays \"live/show\"\n");
}

#[test]
fn a_token_is_minted_by_nginx_without_a_secret() {
    let answer = r#"{"token":"a.b.c","expires_at":"2026-11-20T19:00:00Z"}"#;
    let (output, request) =
        run(&["token", "mint", "live", "*", "--action", "publish", "--ttl", "2h"], "201 Created", answer);
    assert!(request.starts_with("POST /api/v1/tokens HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with(r#"{"app":"live","stream":"*","action":"publish","ttl_s":7200}"#), "{request}");
    assert_eq!(text(&output.stdout), "a.b.c\n");
}

#[test]
fn a_token_for_the_chat_is_minted_by_nginx_without_a_secret() {
    let answer = r#"{"token":"a.b.c","expires_at":"2026-11-20T19:00:00Z"}"#;
    let line = ["token", "mint", "live", "show", "--action", "chat", "--name", " Ana ", "--moderator"];
    let (output, request) = run(&line, "201 Created", answer);
    let body = r#"{"app":"live","stream":"show","action":"chat","name":"Ana","moderator":true,"ttl_s":3600}"#;
    assert!(request.ends_with(body), "{request}");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("a.b.c\n", ""));
}

#[test]
fn a_token_without_an_action_needs_an_application_that_is_protected() {
    let answer =
        r#"{"applications":[{"name":"live","publish":"key","push":false,"play":"off","play_http":"off"}]}"#;
    let (output, request) = run(&["token", "mint", "live", "show"], "200 OK", answer);
    assert!(request.starts_with("GET /api/v1/applications HTTP/1.1\r\n"), "{request}");
    assert_eq!(output.status.code(), Some(2));
    let line = text(&output.stderr);
    assert!(line.contains("--action play, publish or chat"), "{line}");
}

#[test]
fn the_token_of_the_file_is_sent_and_never_shown() {
    let file = format!("{}/api-token-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&file, "  sesame\n").unwrap();
    let error = r#"{"error":{"code":"unauthorized","message":"wrong token"}}"#;
    let (output, request) = run(&["key", "list", "--api-token-file", &file], "401 Unauthorized", error);
    assert!(request.to_lowercase().contains("authorization: bearer sesame\r\n"), "{request}");
    let line = text(&output.stderr);
    assert!(line.starts_with("weir: wrong token") && line.contains("--api-token-file"), "{line}");
    assert!(!line.contains("sesame"), "{line}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn refusals_are_the_apis_own_words() {
    let error = r#"{"error":{"code":"conflict","message":"the key is in weir_key_file; take it out there"}}"#;
    let (output, _) = run(&["key", "revoke", "k0123456789abcdef"], "409 Conflict", error);
    assert_eq!(text(&output.stderr), "weir: the key is in weir_key_file; take it out there\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
}

#[test]
fn refusals_name_options_and_not_fields() {
    for (args, message, expected) in [
        (
            &["key", "add", "live", "show", "--expires", "1s"][..],
            r#"field \"expires_at\": expected a time in the future"#,
            "weir: --expires: expected a time in the future\n",
        ),
        (
            &["stream", "drop", "live", "show", "--ban", "1d"],
            r#"argument \"ban_s\": expected seconds from 0 to 86400"#,
            "weir: --ban: expected seconds from 0 to 86400\n",
        ),
    ] {
        let error = format!(r#"{{"error":{{"code":"bad_request","message":"{message}"}}}}"#);
        let (output, _) = run(args, "400 Bad Request", &error);
        assert_eq!(text(&output.stderr), expected);
    }
}

#[test]
fn what_is_not_the_api_is_named() {
    for (status, body) in
        [("404 Not Found", "<html>"), ("200 OK", "<html>"), ("301 Moved", ""), ("200 OK", "{}")]
    {
        let (output, _) = run(&["key", "list"], status, body);
        let line = text(&output.stderr);
        assert!(line.contains("/api answered") && line.contains("WEIR_API"), "{line}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn nobody_there_is_named_with_the_url() {
    // Port 1 is tcpmux, where nothing listens.
    let url = "http://127.0.0.1:1/api";
    let output = weir(url, &["stream", "list"]).output().unwrap();
    let line = text(&output.stderr);
    assert!(line.contains(url) && line.contains("--api or WEIR_API") && line.lines().count() == 1, "{line}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let (url, _request) = server("200 OK", r#"{"keys":[]}"#);
    let mut child =
        weir(&url, &["key", "list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn a_key_that_nobody_read_is_an_error_that_says_what_to_do() {
    let (url, _request) = server("201 Created", KEY);
    let mut child = weir(&url, &["key", "add", "live", "show"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("weir key rotate k0123456789abcdef") && !error.contains("wk_"), "{error}");
}
