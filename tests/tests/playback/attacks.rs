//! Only a valid token for the stream itself opens a playlist, a segment, an init segment, a manifest or a still. No spelling of a path gets
//! around the check.

use weir_model::Timestamp;
use weir_model::token::{Action, Claims, Signer};

use super::{ask, claims, config, get, signed, start, token};

const FILES: [&str; 8] = [
    "/hls/show.m3u8",
    "/hls/show-17.ts",
    "/hls/show.jpg",
    "/hls/show/index.m3u8",
    "/dash/show.mpd",
    "/dash/show-init.m4v",
    "/ladder/live/show/master.m3u8",
    "/ladder/live/show/480p/17.m4s",
];

#[test]
fn each_wrong_token_is_refused_for_each_kind_of_file() {
    let nginx = start(config().http(
        "root @DIR@/www; weir_play token app=live; location /hls/ { } location /dash/ { } location /ladder/ { }",
    ));
    let (header, body) =
        ("eyJhbGciOiJub25lIn0", "eyJzdWIiOiJsaXZlL3Nob3ciLCJhY3QiOiJwbGF5IiwiZXhwIjo0MDAwMDAwMDAwfQ");
    let good = token("show");
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    let wrong = [
        String::new(),
        "token=".to_owned(),
        "token=x.y.z".to_owned(),
        format!("token={header}.{body}."),
        format!("token={unsigned}."),
        format!("token={unsigned}"),
        format!("token={header}.{}.{signature}", unsigned.split_once('.').unwrap().1),
        format!("token={}", "a".repeat(5000)),
        format!("tokens={good}"),
        format!("token={}", Signer::new(&[9; 32]).unwrap().mint(&claims()).expose()),
        format!("token={}", signed(&Claims { exp: Timestamp::from_millis(1_700_000_000_000), ..claims() })),
        format!(
            "token={}",
            signed(&Claims { nbf: Some(Timestamp::from_millis(3_900_000_000_000)), ..claims() })
        ),
        format!("token={}", signed(&Claims { act: Action::Publish, ..claims() })),
        format!("token={}", signed(&Claims { ip: Some("192.0.2.0/24".parse().unwrap()), ..claims() })),
        format!("token={}", signed(&Claims { sub: "live2/*".parse().unwrap(), ..claims() })),
        format!("token={}", token("show-2")),
        format!("token={}", token("other")),
        format!("token={}", token("hls")),
        format!("token={}", token("17")),
    ];
    for file in FILES {
        for query in &wrong {
            assert_eq!(get(&nginx, &format!("{file}?{query}")).status, 403, "{file}?{query}");
        }
        assert_eq!(get(&nginx, &format!("{file}?token={good}")).status, 200, "{file}");
        assert_eq!(get(&nginx, &format!("{file}?x=1&token={}", token("*"))).status, 200, "{file}");
        assert_eq!(
            ask(&nginx, "GET", file, &[&format!("Authorization: Bearer {good}")]).status,
            200,
            "{file}"
        );
        assert_eq!(
            ask(&nginx, "GET", file, &[&format!("Cookie: a=b; weir_token={good}")]).status,
            200,
            "{file}"
        );
        assert_eq!(ask(&nginx, "POST", file, &[]).status, 403, "{file}");
    }
}

#[test]
fn no_way_to_write_a_path_leads_around() {
    let nginx = start(config().http("location /hls/ { root @DIR@/www; weir_play token app=live; }"));
    let show = token("show");
    for path in [
        "/hls/other.m3u8",
        "/hls/show-2.m3u8",
        "/hls/show-2-17.ts",
        "/hls/show_low.m3u8",
        "/hls/show.m3u8/../other.m3u8",
        "/hls/show/../other.m3u8",
        "/hls/./other.m3u8",
        "/hls//other.m3u8",
        "//hls/other.m3u8",
        "/hls/%6fther.m3u8",
        "/hls/show.m3u8%2f..%2fother.m3u8",
        "/hls/show.m3u8/%2e%2e/other.m3u8",
        "/hls/show/%2e%2e/other.m3u8",
        "/x/../hls/other.m3u8",
        "/hls/index.html",
        "/hls/",
        "/hls/show.m3u8;x",
        "/hls/SHOW.m3u8",
        "/hls/show.M3U8",
        "/hls/show.m3u8%20",
        "/hls/show.m3u8%0a",
        "/hls/sh%c3%b6w.m3u8",
        "/hls/show.m3u8/",
        "/hls/show/",
    ] {
        let answer = get(&nginx, &format!("{path}?token={show}"));
        assert!(matches!(answer.status, 403), "{path}: {}", answer.head);
    }
    // nginx itself rejects a NUL.
    assert_eq!(get(&nginx, &format!("/hls/other.m3u8%00show.m3u8?token={show}")).status, 400);
    for path in [
        "/hls/%73how.m3u8",
        "/hls//show.m3u8",
        "/hls/./show.m3u8",
        "/hls/x/../show.m3u8",
        "/hls/show/index.m3u8",
    ] {
        assert_eq!(get(&nginx, &format!("{path}?token={show}")).status, 200, "{path}");
    }
}

#[test]
fn the_folder_of_a_rendition_is_no_stream() {
    let nginx = start(config().http(
        "location /ladder/ { root @DIR@/www; weir_play token app=live; }
         location /ladder/live/ { root @DIR@/www; weir_play token app=live; }
         location /tv/ { alias @DIR@/www/ladder/live/; weir_play token app=live; }",
    ));
    let (show, rung) = (token("show"), token("480p"));
    for path in
        ["show/480p/index.m3u8", "show/480p/17.m4s", "show/./480p//index.m3u8", "x/../show/480p/index.m3u8"]
    {
        assert_eq!(get(&nginx, &format!("/ladder/live/{path}?token={rung}")).status, 403, "{path}");
        assert_eq!(get(&nginx, &format!("/ladder/live/{path}?token={show}")).status, 200, "{path}");
        // Below a location with another name, the path does not show the stream.
        assert_eq!(get(&nginx, &format!("/tv/{path}?token={rung}")).status, 403, "{path}");
        assert_eq!(get(&nginx, &format!("/tv/{path}?token={show}")).status, 403, "{path}");
    }
}

#[test]
fn the_first_secret_signs_and_the_second_is_accepted() {
    let nginx = start(
        config()
            .main("weir_secret @DIR@/old;")
            .file("old", [7; 32])
            .http("location /hls/ { root @DIR@/www; weir_play token app=live; }"),
    );
    let old = Signer::new(&[7; 32]).unwrap().mint(&claims());
    let body = serde_json::json!({"app": "live", "stream": "show", "action": "play", "ttl_s": 60});
    let minted = nginx.api().post("/v1/tokens", &body).expect(201)["token"].as_str().unwrap().to_owned();
    assert!(Signer::new(super::SECRET).unwrap().verify(&minted).is_ok());
    for token in [old.expose(), &minted, &token("show")] {
        assert_eq!(get(&nginx, &format!("/hls/show.m3u8?token={token}")).status, 200);
    }
    let third = Signer::new(&[8; 32]).unwrap().mint(&claims());
    assert_eq!(get(&nginx, &format!("/hls/show.m3u8?token={}", third.expose())).status, 403);
}
