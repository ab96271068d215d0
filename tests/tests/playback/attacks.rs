//! Only a valid token for the stream itself opens a playlist, a segment, an init segment, a manifest or a still. No spelling of a path gets
//! around the check.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use weir_model::Timestamp;
use weir_model::token::{Action, Claims, Signer};

use super::{SECRET, ask, claims, config, get, signed, start, token};

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

/// Returns tokens with which nobody may play `live/show`, with the reason that a player over RTMP gets.
pub(super) fn wrong_tokens() -> Vec<(String, &'static str)> {
    let good = token("show");
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    let (_, body) = unsigned.split_once('.').unwrap();
    let (none, hs512) = ("eyJhbGciOiJub25lIn0", r#"{"alg":"HS512","typ":"JWT"}"#);
    let hs256 = r#"{"alg":"HS256"}"#;
    let base = r#""sub":"live/show","act":"play""#;
    let at = |millis| Timestamp::from_millis(millis);
    let invalid = [
        "x.y.z".to_owned(),
        format!("{none}.{body}."),
        format!("{none}.{body}.{signature}"),
        format!("{unsigned}."),
        unsigned.to_owned(),
        format!("{good}A"),
        format!("{good}.{signature}"),
        "a".repeat(5000),
        Signer::new(&[9; 32]).unwrap().mint(&claims()).expose().to_owned(),
        forged(hs512, &format!("{{{base},\"exp\":4000000000}}")),
        forged(r#"{"typ":"JWT"}"#, &format!("{{{base},\"exp\":4000000000}}")),
        forged(hs256, &format!("{{{base}}}")),
        forged(hs256, &format!("{{{base},\"exp\":\"4000000000\"}}")),
        forged(hs256, &format!("{{{base},\"exp\":4000000000,\"exp\":4000000001}}")),
        forged(hs256, r#"{"sub":"live/other","sub":"live/show","act":"play","exp":4000000000}"#),
        forged(hs256, r#"{"sub":"live/show","act":"publish","act":"play","exp":4000000000}"#),
        forged(hs256, &format!("{{{base},\"exp\":4000000000,\"x\":\"{}\"}}", "x".repeat(4000))),
    ];
    let refused = [
        (Claims { exp: at(1_700_000_000_000), ..claims() }, "token expired"),
        (Claims { nbf: Some(at(3_900_000_000_000)), ..claims() }, "token not valid yet"),
        (Claims { act: Action::Publish, ..claims() }, "token for another action"),
        (
            Claims { ip: Some("192.0.2.0/24".parse().unwrap()), ..claims() },
            "token not valid from this network",
        ),
        (Claims { sub: "live/other".parse().unwrap(), ..claims() }, "token of another stream"),
        (Claims { sub: "live2/*".parse().unwrap(), ..claims() }, "token of another stream"),
    ];
    let invalid = invalid.into_iter().map(|token| (token, "invalid token"));
    invalid.chain(refused.iter().map(|(claims, reason)| (signed(claims), *reason))).collect()
}

/// Returns a token of any header and claims, with a valid signature.
fn forged(header: &str, claims: &str) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[test]
fn each_wrong_token_is_refused_for_each_kind_of_file() {
    let nginx = start(config().http(
        "root @DIR@/www; weir_play token app=live; location /hls/ { } location /dash/ { } location /ladder/ { }",
    ));
    let good = token("show");
    let mut wrong = vec![
        String::new(),
        "token=".to_owned(),
        format!("tokens={good}"),
        format!("token={}", token("show-2")),
        format!("token={}", token("hls")),
        format!("token={}", token("17")),
    ];
    wrong.extend(wrong_tokens().into_iter().map(|(token, _)| format!("token={token}")));
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
