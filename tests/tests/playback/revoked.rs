//! A revoked token opens nothing any more, in any worker, over RTMP and HTTP, after a reload and after a restart. Players and publishers
//! that use the token are disconnected.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};
use weir_model::Timestamp;
use weir_model::token::{Action, Claims};
use weir_tests::harness::{Nginx, Player, Publisher, products, until};

use super::{SECRET, claims, get, signed, start};

const FILE: &str = "/hls/show.m3u8";

fn served(workers: usize) -> Nginx {
    let config = weir_tests::harness::nginx::Config::weir()
        .main("weir_zone 2m state=@DIR@/state; weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .workers(workers)
        .app("live", "weir_publish key; weir_play token;")
        .http("root @DIR@/www; weir_play token app=live; location /api { weir_play off; weir_api; }");
    match workers {
        1 => start(config),
        _ => start(config.main("rtmp_auto_push on; rtmp_auto_push_reconnect 100ms;")),
    }
}

/// Returns a token of this application with this id and this time of minting.
fn named(jti: &str, sub: &str, act: Action, iat: Option<Timestamp>) -> String {
    let jti = Some(jti.parse().unwrap());
    signed(&Claims { jti, iat, act, sub: sub.parse().unwrap(), ..claims() })
}

fn status(nginx: &Nginx, token: &str) -> u16 {
    get(nginx, &format!("{FILE}?token={token}")).status
}

/// Sends so many requests that each worker has answered.
#[track_caller]
fn is_refused_everywhere(nginx: &Nginx, token: &str) {
    for _ in 0..12 {
        assert_eq!(status(nginx, token), 403);
    }
}

#[track_caller]
fn revoke(nginx: &Nginx, body: &Value) -> Value {
    nginx.api().post("/v1/tokens/revoke", body).expect(200)
}

fn listed(nginx: &Nginx) -> Vec<Value> {
    nginx.api().get("/v1/tokens/revocations").expect(200)["revocations"].as_array().unwrap().clone()
}

fn weir(nginx: &Nginx, arguments: &[&str]) -> Output {
    Command::new(products::weir())
        .args(arguments)
        .args(["--api", &nginx.url("/api")])
        .env_remove("WEIR_API")
        .output()
        .unwrap()
}

#[test]
fn one_token_is_revoked_by_its_id_over_reload_and_restart() {
    let mut nginx = served(2);
    let (bad, good) =
        (named("leaked", "live/show", Action::Play, None), named("fine", "live/show", Action::Play, None));
    assert_eq!((status(&nginx, &bad), status(&nginx, &good)), (200, 200));
    let answer = revoke(&nginx, &json!({"jti": "leaked"}));
    assert_eq!(answer["jti"], "leaked");
    is_refused_everywhere(&nginx, &bad);
    nginx.wait_log("play refused: token revoked, app: \"live\", stream: \"show\"");
    // The revocation is in the file before the API answers.
    assert!(fs::read_to_string(nginx.path("state")).unwrap().contains("\"leaked\""));
    let before = listed(&nginx);
    nginx.reload();
    is_refused_everywhere(&nginx, &bad);
    nginx.restart(|_| {});
    is_refused_everywhere(&nginx, &bad);
    assert_eq!(status(&nginx, &good), 200);
    assert_eq!((listed(&nginx), before.len()), (before, 1));
}

#[test]
fn all_tokens_of_a_stream_are_revoked_and_newer_ones_are_not() {
    let nginx = served(2);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Timestamp::default().plus_seconds(now.as_secs());
    let hour_ago = Timestamp::from_millis(now.as_millis() - 3_600_000);
    let old = [
        named("a", "live/show", Action::Play, None),
        named("b", "live/show", Action::Play, Some(hour_ago)),
        named("c", "live/*", Action::Play, Some(now)),
    ];
    let other = signed(&Claims { sub: "live/other".parse().unwrap(), ..claims() });
    revoke(&nginx, &json!({"app": "live", "stream": "show"}));
    old.iter().for_each(|token| is_refused_everywhere(&nginx, token));
    assert_eq!(get(&nginx, &format!("/hls/other.m3u8?token={other}")).status, 200);
    assert_eq!(get(&nginx, &format!("/hls/other.m3u8?token={}", old[2])).status, 200);
    // A token that is minted in the same second as the revocation is a new token.
    let body = json!({"app": "live", "stream": "show", "action": "play", "ttl_s": 60});
    let minted = nginx.api().post("/v1/tokens", &body).expect(201);
    assert_eq!(status(&nginx, minted["token"].as_str().unwrap()), 200);
    revoke(&nginx, &json!({"jti": minted["jti"], "expires_at": minted["expires_at"]}));
    is_refused_everywhere(&nginx, minted["token"].as_str().unwrap());
    revoke(&nginx, &json!({"app": "live", "stream": "*"}));
    assert_eq!(get(&nginx, &format!("/hls/other.m3u8?token={other}")).status, 403);
}

#[test]
fn who_uses_a_revoked_token_is_disconnected_within_a_second() {
    let nginx = served(2);
    let publish = named("camera", "live/show", Action::Publish, None);
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/show?token={publish}")).start().started();
    let (leaked, fine) =
        (named("leaked", "live/show", Action::Play, None), named("fine", "live/*", Action::Play, None));
    let play = |token: &str| Player::start(nginx.rtmp(), &format!("live/show?token={token}"));
    // These are enough players for each worker to have some.
    let dropped: Vec<_> = (0..6).map(|_| play(&leaked)).collect();
    let kept: Vec<_> = (0..2).map(|_| play(&fine)).collect();
    dropped.iter().chain(&kept).for_each(|player| player.wait_video(3));
    revoke(&nginx, &json!({"jti": "leaked"}));
    dropped.iter().for_each(|player| player.wait_closed(1.0));
    nginx.wait_log("player disconnected: its token was revoked, app: \"live\"");
    let player = play(&leaked);
    player.wait_closed(5.0);
    assert_eq!(player.seen().statuses.last().unwrap().description, "token revoked");
    assert!(!publisher.is_closed());
    for player in &kept {
        let seen = player.seen().video;
        player.wait_video(seen + 5);
    }
    revoke(&nginx, &json!({"app": "live", "stream": "show"}));
    publisher.wait_closed(1.0);
    nginx.wait_log("publisher disconnected: its token was revoked, app: \"live\"");
    Publisher::to(nginx.rtmp(), &format!("live/show?token={publish}"))
        .start()
        .refused("NetStream.Publish.Denied");
}

#[test]
fn a_revocation_holds_although_the_file_cannot_be_written() {
    let nginx = served(1);
    let bad = named("leaked", "live/show", Action::Play, None);
    fs::create_dir(nginx.path("state.tmp")).unwrap();
    let message =
        nginx.api().post("/v1/tokens/revoke", &json!({"jti": "leaked"})).error(503, "not_persisted");
    assert!(message.starts_with("the tokens are revoked until nginx restarts, but "), "{message}");
    assert_eq!(status(&nginx, &bad), 403);
    // The revocation is written as soon as the file can be written again.
    fs::remove_dir(nginx.path("state.tmp")).unwrap();
    until("the revocation is in the file", 10.0, || {
        fs::read_to_string(nginx.path("state")).is_ok_and(|state| state.contains("\"leaked\""))
    });
    // A backup of the file does not undo a revocation.
    let backup = fs::read_to_string(nginx.path("state")).unwrap();
    revoke(&nginx, &json!({"jti": "second"}));
    fs::write(nginx.path("backup"), backup).unwrap();
    fs::rename(nginx.path("backup"), nginx.path("state")).unwrap();
    nginx.wait_log("the state file was replaced");
    assert_eq!(status(&nginx, &named("second", "live/show", Action::Play, None)), 403);
    until("the file has it again", 10.0, || {
        fs::read_to_string(nginx.path("state")).unwrap().contains("\"second\"")
    });
}

#[test]
fn the_command_line_revokes_and_lists() {
    let nginx = served(1);
    nginx.api().create_key("live", "show");
    let out = weir(&nginx, &["token", "revoke", "--jti", "leaked", "--expires", "2h"]);
    assert!(out.status.success(), "{out:?}");
    assert!(String::from_utf8_lossy(&out.stdout).starts_with("Revoked the token leaked; "), "{out:?}");
    let out = weir(&nginx, &["token", "revoke", "live", "show"]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(said.starts_with("Revoked each token for live/show that was minted by 20"), "{out:?}");
    assert!(out.stderr.is_empty(), "{out:?}");
    let out = weir(&nginx, &["token", "revoke", "livve", "*"]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("no application \"livve\""), "{out:?}");
    let table = String::from_utf8(weir(&nginx, &["token", "revoked"]).stdout).unwrap();
    for row in ["jti leaked", "live/show until then", "livve/* until then"] {
        assert!(table.contains(row), "{table}");
    }
    let json: Value = serde_json::from_slice(&weir(&nginx, &["token", "revoked", "--json"]).stdout).unwrap();
    assert_eq!(json["revocations"].as_array().unwrap().len(), 3);
    for wrong in [
        &["token", "revoke"][..],
        &["token", "revoke", "live"],
        &["token", "revoke", "live", "x", "--jti", "a"],
    ] {
        assert_eq!(weir(&nginx, wrong).status.code(), Some(2), "{wrong:?}");
    }
}
