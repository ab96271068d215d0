//! nginx's error log contains no token, whatever goes wrong with a request.

use weir_tests::harness::until;

use super::{access_log, ask, config, get, start, token};

#[test]
fn no_token_stands_in_the_error_log() {
    let nobody = weir_tests::harness::ports::Port::reserve();
    let mut nginx =
        start(config().web("limit_req_zone $binary_remote_addr zone=slow:1m rate=1r/m;").http(&format!(
            "access_log @DIR@/access.log;
         location /hls/ {{ root @DIR@/www; weir_play token app=live; }}
         location /proxy/ {{ proxy_pass http://127.0.0.1:{}; weir_play token app=live; }}
         location /slow/ {{ alias @DIR@/www/hls/; limit_req zone=slow; weir_play token app=live; }}
         location /deny/ {{ deny all; weir_play token app=live; }}",
            nobody.number()
        )));
    nginx.allow("Connection refused");
    let (show, other) = (token("show"), token("other"));
    for (path, status) in [
        ("/hls/show-18.ts", 404),
        ("/proxy/show.m3u8", 502),
        ("/slow/show.m3u8", 200),
        ("/slow/show.m3u8", 503),
        ("/deny/show.m3u8", 403),
    ] {
        let referrer = format!("Referer: http://live.example.org/?token={show}");
        assert_eq!(
            ask(&nginx, "GET", &format!("{path}?token={show}&x=1"), &[&referrer]).status,
            status,
            "{path}"
        );
    }
    assert_eq!(get(&nginx, &format!("/hls/show.m3u8?token={other}")).status, 403);
    // This holds for every spelling of a token.
    for path in [
        format!("/other.png?z=A{show}"),
        format!("/other.png?tok%65n={show}"),
        format!("/other.png?a=1;token={show}"),
        format!("/other.png?a=1&amp;token={show}"),
    ] {
        get(&nginx, &path);
    }
    for referrer in [
        format!("Referer: http://live.example.org/?src=https%3A%2F%2Flive.example.org%2Fx%3Ftoken%3D{show}"),
        format!("Referer: http://live.example.org/#token={show}"),
    ] {
        ask(&nginx, "GET", "/other.png", &[&referrer]);
    }
    // The page that sends the request may have the token in its own URL.
    let referrer = format!("Referer: http://live.example.org/?stream=show&token={show}");
    assert_eq!(ask(&nginx, "GET", "/missing.png", &[&referrer]).status, 404);
    assert_eq!(get(&nginx, &format!("/hls/index.html?token={show}")).status, 403);
    let log = nginx.log();
    for line in [
        "show-18.ts\" failed (2: No such file or directory)",
        "connect() failed (111: Connection refused)",
        "limiting requests",
        "missing.png\" failed (2: No such file or directory)",
        "access forbidden by rule",
        "play refused: token of another stream, app: \"live\", stream: \"show\"",
        "play refused: the path is not that of a stream: \"stream=\" names it",
    ] {
        let found = log.lines().find(|found| found.contains(line)).unwrap_or_else(|| panic!("{line}\n{log}"));
        assert!(found.contains("token=***"), "{found}");
    }
    assert!(!log.contains(&show) && !log.contains(&other), "{log}");
    // `log_format` decides about the content of the access log.
    assert!(access_log(&nginx).contains(&show));
}

#[test]
fn log_formats_have_variables_without_secrets() {
    let nginx = start(
        config()
            .web("log_format masked '$status [$weir_masked_request] [$weir_masked_uri]';")
            .http("access_log @DIR@/access.log masked; location / { root @DIR@/www; }"),
    );
    let (show, key) = (token("show"), format!("wk_{}", "a2".repeat(16)));
    get(&nginx, &format!("/hls/show.m3u8?x=1&token={show}"));
    get(&nginx, &format!("/hls/show.m3u8?x={show}&key=abc"));
    get(&nginx, &format!("/hls/{key}.m3u8"));
    get(&nginx, &format!("/hls/show.m3u8?x=A{show}"));
    get(&nginx, "/hls/show.m3u8?x=1");
    let lines = [
        "200 [GET /hls/show.m3u8?x=1&token=*** HTTP/1.1] [/hls/show.m3u8?x=1&token=***]",
        "200 [GET /hls/show.m3u8?x=***&key=*** HTTP/1.1] [/hls/show.m3u8?x=***&key=***]",
        "404 [GET /hls/***.m3u8 HTTP/1.1] [/hls/***.m3u8]",
        "200 [GET /hls/show.m3u8?x=A*** HTTP/1.1] [/hls/show.m3u8?x=A***]",
        "200 [GET /hls/show.m3u8?x=1 HTTP/1.1] [/hls/show.m3u8?x=1]",
    ];
    until("five lines in the access log", 5.0, || access_log(&nginx).lines().count() == 5);
    assert_eq!(access_log(&nginx).lines().collect::<Vec<_>>(), lines);
}

#[test]
fn a_guesser_does_not_fill_the_log() {
    let nginx = start(config().http("location /hls/ { root @DIR@/www; weir_play token app=live; }"));
    for _ in 0..50 {
        assert_eq!(get(&nginx, "/hls/show.m3u8?token=x").status, 403);
    }
    assert_eq!(nginx.log_lines("play refused: invalid token").len(), 10);
}
