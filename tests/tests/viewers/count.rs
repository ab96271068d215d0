//! Distinct viewers by address and program or by token, for each stream and protocol. Only answers to GET that have media count. The count
//! is correct over several workers, a reload and a killed worker, until the window ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use weir_model::token::{Action, Claims, Signer};
use weir_tests::harness::{Player, until};

use super::{Client, audience, config, counted, counting, get, publish, start};

#[test]
fn each_address_and_program_counts_once() {
    let nginx = start(config().app("live", ""));
    let (api, mut client) = (nginx.api(), Client::new(nginx.http()));
    let _publisher = publish(&nginx, "live/show");
    for round in 0..3 {
        for n in 0..20 {
            let addr = format!("192.0.2.{}", n / 2);
            for path in ["/hls/show.m3u8", "/hls/show-1.ts"] {
                assert_eq!(client.watch(path, &addr, &format!("agent-{}", n % 2)), 200, "{round}");
            }
        }
    }
    client.watch("/dash/show.mpd", "192.0.2.1", "agent-0");
    client.watch("/dash/show-1.m4v", "192.0.2.1", "agent-0");
    client.watch("/hls/other.m3u8", "2001:db8::1", "agent-0");
    let stream = api.stream("live", "show").unwrap();
    let viewers = json!({ "rtmp": 0, "hls": 20, "dash": 1, "llhls": 0, "ws": 0, "webrtc": 0 });
    assert_eq!(stream["viewers"], viewers);
    assert_eq!((&stream["viewers_peak"], &stream["viewers_total"]), (&json!(21), &json!(21)));
    // A stream that is not live here is counted too, as on an edge.
    assert_eq!((audience(&api, "show")["viewers"].clone(), counted(&api, "other", "hls")), (viewers, 1));
    assert_eq!(api.get("/v1/viewers").expect(200)["table"]["used"], 22);
    // A player over RTMP is one more viewer.
    let player = Player::start(nginx.rtmp(), "live/show");
    player.wait_video(1);
    until("the player counts", 5.0, || counted(&api, "show", "rtmp") == 1);
    assert_eq!(api.stream("live", "show").unwrap()["viewers_peak"], 22);
    drop(player);
    until("the player counts no more", 5.0, || counted(&api, "show", "rtmp") == 0);
}

#[test]
fn only_what_is_watched_counts() {
    let nginx = start(config().http("location /hls/closed/ { weir_viewers app=live; deny all; }"));
    let (api, mut client) = (nginx.api(), Client::new(nginx.http()));
    for (method, path, status) in [
        ("HEAD", "/hls/show.m3u8", 200),
        ("POST", "/hls/show.m3u8", 405),
        ("GET", "/hls/show-9.ts", 404),
        ("GET", "/hls/show.jpg", 200),
        ("GET", "/hls/index.html", 200),
        ("GET", "/hls/closed/show.m3u8", 403),
        // A segment whose client has requested no playlist does not show its protocol.
        ("GET", "/ladder/live/show/480p/1.m4s", 200),
    ] {
        assert_eq!(client.ask(method, path, &["User-Agent: a"]).status, status, "{path}");
        client = Client::new(nginx.http());
    }
    // A check of Weir itself has the ticket of this nginx.
    let ticket = api.get("/v1/ticket").expect(200)["ticket"].as_str().unwrap().to_owned();
    let cookie = format!("Cookie: a=b; weir_ticket={ticket}");
    assert_eq!(client.ask("GET", "/hls/show.m3u8", &["User-Agent: a", &cookie]).status, 200);
    assert_eq!(api.get("/v1/viewers").expect(200)["streams"], json!([]));
    assert_eq!(client.ask("GET", "/hls/show-1.ts", &["User-Agent: a", "Range: bytes=0-3"]).status, 206);
    assert_eq!(counted(&api, "show", "hls"), 1);
    let head = client.ask("GET", "/hls/show.m3u8", &["User-Agent: b"]).head;
    let etag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap().trim();
    let again = client.ask("GET", "/hls/show.m3u8", &["User-Agent: c", &format!("If-None-Match: {etag}")]);
    assert_eq!((again.status, counted(&api, "show", "hls")), (304, 3));
    client.ask("GET", "/ladder/live/show/master.m3u8", &["User-Agent: d"]);
    client.ask("GET", "/ladder/live/show/480p/1.m4s", &["User-Agent: d"]);
    assert_eq!(counted(&api, "show", "hls"), 4);
}

#[test]
fn a_variant_counts_for_its_stream() {
    let nginx = start(counting("app=live variant=_low"));
    get(&nginx, "/hls/show_low.m3u8", "a");
    get(&nginx, "/hls/show.m3u8", "a");
    assert_eq!((counted(&nginx.api(), "show", "hls"), counted(&nginx.api(), "show_low", "hls")), (1, 0));
}

#[test]
fn a_value_names_the_stream_and_the_answer_the_kind() {
    let nginx = start(config().http(
        "location /watch { weir_viewers app=live stream=$arg_s; default_type application/vnd.apple.mpegurl; return 200 x; }
         location /page { weir_viewers app=live stream=$arg_s; default_type text/html; return 200 x; }",
    ));
    for path in ["/watch?s=show", "/watch?s=show", "/page?s=show", "/watch?s=a/b", "/watch"] {
        assert_eq!(get(&nginx, path, "a").status, 200);
    }
    let all = nginx.api().get("/v1/viewers").expect(200);
    assert_eq!((all["streams"].as_array().unwrap().len(), counted(&nginx.api(), "show", "hls")), (1, 1));
}

#[test]
fn a_token_is_a_viewer_and_its_id_is_before_the_token() {
    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    let nginx = start(config().main("weir_secret @DIR@/secret;").file("secret", SECRET).http(
        "location /hls/members/ { alias @DIR@/www/hls/; weir_play token app=live; weir_viewers app=live; }",
    ));
    let token = |jti: Option<&str>, exp: u64| {
        let claims = Claims {
            sub: "live/show".parse().unwrap(),
            act: Action::Play,
            exp: weir_model::Timestamp::from_millis(4_000_000_000_000 + exp * 1000),
            nbf: None,
            iat: None,
            jti: jti.map(|jti| jti.parse().unwrap()),
            ip: None,
            yields: false,
        };
        Signer::new(SECRET).unwrap().mint(&claims).expose().to_owned()
    };
    // Two tokens are of one viewer, three are of other viewers; each comes from two addresses.
    let tokens =
        [token(Some("a"), 1), token(Some("a"), 2), token(Some("b"), 1), token(None, 1), token(None, 2)];
    let client = || Client::new(nginx.http());
    for token in &tokens {
        for addr in ["192.0.2.1", "192.0.2.2"] {
            assert_eq!(client().watch(&format!("/hls/members/show.m3u8?token={token}"), addr, "x"), 200);
        }
    }
    assert_eq!(client().watch("/hls/members/show.m3u8?token=x.y.z", "192.0.2.9", "x"), 403);
    // Where no token is checked, a token has no effect on the count.
    let mut client = Client::new(nginx.http());
    for token in &tokens {
        assert_eq!(client.watch(&format!("/hls/other.m3u8?token={token}"), "192.0.2.1", "x"), 200);
    }
    assert_eq!((counted(&nginx.api(), "show", "hls"), counted(&nginx.api(), "other", "hls")), (4, 1));
}

#[test]
fn who_asks_no_more_is_gone_after_the_window() {
    let nginx = start(counting("app=live window=2s").app("live", ""));
    let api = nginx.api();
    let _publisher = publish(&nginx, "live/show");
    get(&nginx, "/hls/show.m3u8", "gone");
    let began = Instant::now();
    until("the one who is silent is gone", 10.0, || {
        get(&nginx, "/hls/show.m3u8", "stays");
        counted(&api, "show", "hls") == 1
    });
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    until("both are gone", 10.0, || counted(&api, "show", "hls") == 0);
    let stream = api.stream("live", "show").unwrap();
    assert_eq!((&stream["viewers_peak"], &stream["viewers_total"]), (&json!(2), &json!(2)));
    // A new session of the stream starts a new count.
    drop(_publisher);
    until("the stream ended", 5.0, || api.stream("live", "show").is_none());
    let _publisher = publish(&nginx, "live/show");
    let stream = api.stream("live", "show").unwrap();
    assert_eq!((&stream["viewers_peak"], &stream["viewers_total"]), (&json!(0), &json!(0)));
}

#[test]
fn a_reload_and_a_killed_worker_take_nobody_away() {
    let mut nginx = start(config().workers(3));
    for n in 0..50 {
        get(&nginx, "/hls/show.m3u8", &format!("agent-{n}"));
    }
    let api = nginx.api();
    assert_eq!(counted(&api, "show", "hls"), 50);
    nginx.reload();
    for n in 0..60 {
        get(&nginx, "/hls/show.m3u8", &format!("agent-{n}"));
    }
    assert_eq!(counted(&api, "show", "hls"), 60);
    let worker = nginx.workers()[0];
    nginx.kill_worker(worker);
    for n in 0..70 {
        until("a worker answers", 5.0, || get(&nginx, "/hls/show.m3u8", &format!("agent-{n}")).status == 200);
    }
    let one = audience(&api, "show");
    assert_eq!((&one["viewers"]["hls"], &one["viewers_total"]), (&json!(70), &json!(70)));
}

/// A location that starts to count with a reload finds its table.
#[test]
fn counting_begins_with_a_reload() {
    let mut nginx = start(weir_tests::harness::nginx::Config::weir().with_api().http("root @DIR@/www;"));
    get(&nginx, "/hls/show.m3u8", "a");
    assert_eq!(counted(&nginx.api(), "show", "hls"), 0);
    nginx.edit(|config| config.http("location /hls/ { weir_viewers app=live; }"));
    nginx.reload();
    get(&nginx, "/hls/show.m3u8", "a");
    assert_eq!(counted(&nginx.api(), "show", "hls"), 1);
}

#[test]
fn twenty_thousand_viewers_are_counted_exactly() {
    const VIEWERS: u64 = 20_000;
    let config = counting("app=live window=10m").workers(2).connections(1024);
    let nginx = start(weir_tests::harness::nginx::Config { main: config.main.replace("2m", "4m"), ..config });
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::new(nginx.http());
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= VIEWERS + VIEWERS / 4 {
                        break;
                    }
                    // A quarter of the viewers sends two requests.
                    let n = n % VIEWERS;
                    let addr = format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255);
                    assert_eq!(client.watch("/hls/show.m3u8", &addr, "agent"), 200);
                }
            });
        }
    });
    let all = nginx.api().get("/v1/viewers").expect(200);
    assert_eq!(
        (&all["streams"][0]["viewers"]["hls"], &all["table"]["saturated"]),
        (&json!(VIEWERS), &json!(false))
    );
}
