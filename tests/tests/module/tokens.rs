//! A token that allows publishing opens the stream that it names, like a key would, if everything else about it is valid.

use serde_json::json;
use weir_model::Timestamp;
use weir_model::token::{Action, Claims, Signer};
use weir_tests::harness::api::Answer;
use weir_tests::harness::{Api, Nginx, Publisher};

use super::{BAD_NAME, DENIED, keyed, wait_gone, wait_live};

fn start() -> Nginx {
    keyed().main("weir_secret @DIR@/secret;").file("secret", b"0123456789abcdef0123456789abcdef").start()
}

fn mint(api: &Api, stream: &str, action: &str, ttl_s: u64) -> Answer {
    api.post("/v1/tokens", &json!({"app": "live", "stream": stream, "action": action, "ttl_s": ttl_s}))
}

fn token(api: &Api, stream: &str, action: &str, ttl_s: u64) -> String {
    mint(api, stream, action, ttl_s).expect(201)["token"].as_str().unwrap().to_owned()
}

fn publish_of_show() -> Claims {
    Claims {
        sub: "live/show".parse().unwrap(),
        act: Action::Publish,
        exp: Timestamp::from_millis(4_000_000_000_000),
        nbf: None,
        iat: None,
        jti: None,
        ip: None,
        yields: false,
    }
}

#[test]
fn a_token_to_publish_opens_its_stream() {
    let nginx = start();
    let api = nginx.api();
    for subject in ["show", "*"] {
        let token = token(&api, subject, "publish", 60);
        let publisher = Publisher::to(nginx.rtmp(), &format!("live/show?token={token}")).start().started();
        assert!(wait_live(&api, "live", "show")["publisher"]["key_id"].is_null());
        publisher.close();
        wait_gone(&api, "live", "show");
        assert!(!nginx.log().contains(&token));
    }
}

#[test]
fn a_token_for_the_chat_is_minted_with_a_name_or_without_and_opens_no_stream() {
    let nginx = start();
    let api = nginx.api();
    let signer = Signer::new(b"0123456789abcdef0123456789abcdef").unwrap();
    let request = |more: serde_json::Value| {
        let mut body = json!({"app": "live", "stream": "show", "action": "chat", "ttl_s": 60});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let minted = api.post("/v1/tokens", &body).expect(201);
        let token = minted["token"].as_str().unwrap().to_owned();
        let claims = signer.verify_chat(&token).unwrap().unwrap();
        assert_eq!(json!([claims.exp, claims.jti]), json!([minted["expires_at"], minted["jti"]]));
        (token, claims)
    };
    let (_, claims) = request(json!({"name": "Ana", "moderator": true}));
    assert_eq!(
        (claims.sub.to_string().as_str(), claims.name.as_deref(), claims.moderator),
        ("live/show", Some("Ana"), true)
    );
    let (token, claims) = request(json!({}));
    assert_eq!((claims.name, claims.moderator), (None, false));
    Publisher::to(nginx.rtmp(), &format!("live/show?token={token}")).start().refused(DENIED);
    let body = json!({"app": "live", "stream": "show", "action": "play", "ttl_s": 60, "name": "Ana"});
    let said = api.post("/v1/tokens", &body).error(400, "bad_request");
    assert!(said.contains("field \"name\""), "{said}");
}

#[test]
fn who_fills_in_gives_way_to_any_other_publisher() {
    let nginx = start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let signer = Signer::new(b"0123456789abcdef0123456789abcdef").unwrap();
    let stopgap = signer.mint(&Claims { yields: true, ..publish_of_show() });
    let path = format!("live/show?token={}", stopgap.expose());
    let first = Publisher::to(nginx.rtmp(), &path).start().started();
    Publisher::to(nginx.rtmp(), &path).start().refused(BAD_NAME);
    let real = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    first.wait_closed(5.0);
    assert!(wait_live(&api, "live", "show")["publisher"]["key_id"].is_string());
    Publisher::to(nginx.rtmp(), &path).start().refused(BAD_NAME);
    assert!(!real.is_closed());
}

#[test]
fn any_other_token_is_refused() {
    let nginx = start();
    let api = nginx.api();
    let good = token(&api, "show", "publish", 60);
    let mut forged = good.clone();
    forged.replace_range(good.len() - 2.., if good.ends_with("AA") { "BA" } else { "AA" });
    let signer = Signer::new(b"0123456789abcdef0123456789abcdef").unwrap();
    let expired =
        signer.mint(&Claims { exp: Timestamp::from_millis(1_700_000_000_000), ..publish_of_show() });
    for (name, token, code, reason) in [
        ("show", forged.as_str(), DENIED, "invalid token"),
        ("show", "x.y.z", DENIED, "invalid token"),
        ("other", &good, DENIED, "token of another stream"),
        ("show", &self::token(&api, "show", "play", 60), DENIED, "token for another action"),
        ("show", expired.expose(), DENIED, "token expired"),
    ] {
        let said = Publisher::to(nginx.rtmp(), &format!("live/{name}?token={token}")).start().refused(code);
        assert_eq!(said, reason);
    }
    // A token does not make an invalid name valid.
    let all = token(&api, "*", "publish", 60);
    Publisher::to(nginx.rtmp(), "live/x")
        .name(format!("-x?token={all}").as_bytes())
        .start()
        .refused(BAD_NAME);
}

#[test]
fn without_a_secret_there_are_no_tokens() {
    let nginx = keyed().start();
    mint(&nginx.api(), "show", "publish", 60).error(409, "conflict");
    let said = Publisher::to(nginx.rtmp(), "live/show?token=x.y.z").start().refused(DENIED);
    assert_eq!(said, "no weir_secret to check the token with");
}
