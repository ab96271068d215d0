//! Only its key opens a stream: as the name, as `?key=`, with an expiry, limited to networks, rotated, revoked, or from a file.

use std::time::Instant;

use serde_json::json;
use weir_model::Secret;
use weir_tests::harness::api::Key;
use weir_tests::harness::{Ffmpeg, Outcome, Player, Publisher, took, until};

use super::{BAD_NAME, DENIED, keyed, time, wait_gone, wait_live, worker_of};

#[test]
fn the_key_is_the_name_or_an_argument() {
    let nginx = keyed().start();
    let api = nginx.api();
    let Key { id, key } = api.create_key("live", "show");
    for path in [format!("live/{key}"), format!("live/show?key={key}"), format!("live/x?a=1&key={key}&b=2")] {
        let publisher = Publisher::to(nginx.rtmp(), &path).start().started();
        let stream = wait_live(&api, "live", "show");
        assert_eq!(stream["publisher"]["key_id"], id.as_str());
        Player::start(nginx.rtmp(), "live/show").wait_video(3);
        publisher.close();
        wait_gone(&api, "live", "show");
    }
    let published = nginx.log_lines("publish: name='");
    assert_eq!(published.len(), 3, "{published:?}");
    assert!(published.iter().all(|line| line.contains("publish: name='show'")), "{published:?}");
    assert!(published[2].contains("args='a=1&b=2'"), "{published:?}");
}

#[test]
fn a_wrong_key_is_refused_with_one_line_and_the_connection_closed() {
    let nginx = keyed().start();
    nginx.api().create_key("live", "show");
    let reason = Publisher::to(nginx.rtmp(), "live/wk_wrong").start().refused(BAD_NAME);
    assert!(reason.contains("unknown key"), "{reason}");
    let reason = Publisher::to(nginx.rtmp(), "live/show").start().refused(BAD_NAME);
    assert_eq!(reason, "unknown key: no key was sent");
    Publisher::to(nginx.rtmp(), "live/show?key=wk_wrong").start().refused(BAD_NAME);
    Publisher::to(nginx.rtmp(), "live/show?key=").start().refused(BAD_NAME);
    let lines = nginx.log_lines("publish refused: unknown key, app: \"live\"");
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("client: 127.0.0.1")), "{lines:?}");
    let told = lines.iter().filter(|line| line.contains(", key: none was sent")).count();
    assert_eq!(told, 2, "{lines:?}");
    assert!(nginx.log_lines("publish: name=").is_empty());
    assert!(nginx.api().streams().is_empty());
}

#[test]
fn ffmpeg_needs_the_key_too() {
    let nginx = keyed().start();
    let key = nginx.api().create_key("live", "show").key;
    let mut wrong = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    assert!(!wrong.wait(20.0).success());
    let right = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/{key}", nginx.rtmp()));
    until("ffmpeg publishes", 15.0, || nginx.api().stream("live", "show"));
    Player::start(nginx.rtmp(), "live/show").wait_video(5);
    drop(right);
}

#[test]
fn a_key_opens_its_own_application_only() {
    let nginx = keyed().app("other", "weir_publish key;").start();
    let key = nginx.api().create_key("live", "show").key;
    let reason = Publisher::to(nginx.rtmp(), &format!("other/{key}")).start().refused(DENIED);
    assert!(reason.contains("key of another application"), "{reason}");
}

#[test]
fn an_expired_key_is_refused() {
    let nginx = keyed().start();
    let key_until = |end: u64| {
        let end = weir_model::Timestamp::from_millis(end).to_string();
        nginx.api().create_key_with(&json!({"app": "live", "stream": "show", "expires_at": end})).key
    };
    let later = key_until(now_ms() + 3_600_000);
    Publisher::to(nginx.rtmp(), &format!("live/{later}")).start().started().close();
    let end = now_ms() + 3_000;
    let soon = key_until(end);
    until("the key expires", 5.0, || now_ms() > end);
    let reason = Publisher::to(nginx.rtmp(), &format!("live/{soon}")).start().refused(DENIED);
    assert!(reason.contains("key expired"), "{reason}");
}

#[test]
fn a_key_may_be_limited_to_networks() {
    let nginx = keyed().start();
    let body = json!({"app": "live", "stream": "show", "publish_from": ["127.0.0.2", "2001:db8::/32"]});
    let path = format!("live/{}", nginx.api().create_key_with(&body).key);
    let reason = Publisher::to(nginx.rtmp(), &path).start().refused(DENIED);
    assert!(reason.contains("key not valid from this network"), "{reason}");
    Publisher::to(nginx.rtmp(), &path).from("127.0.0.2").start().started();
}

#[test]
fn revoking_a_key_drops_its_publisher_in_whichever_worker() {
    let nginx = keyed().workers(3).start();
    let api = nginx.api();
    let keys: Vec<_> = (0..6).map(|n| api.create_key("live", &format!("show{n}"))).collect();
    let publishers: Vec<_> = keys
        .iter()
        .map(|key| Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started())
        .collect();
    for (n, (key, publisher)) in keys.iter().zip(&publishers).enumerate() {
        let worker = worker_of(&nginx, &format!("show{n}"));
        let begin = Instant::now();
        let answer = api.delete(&format!("/v1/keys/{}", key.id)).expect(200);
        assert_eq!(answer, json!({"id": key.id, "dropped": 1}));
        publisher.wait_closed(3.0);
        took(&format!("worker {worker}: the publisher is dropped"), begin, 1.5);
        wait_gone(&api, "live", &format!("show{n}"));
        assert!(publishers[n + 1..].iter().all(|other| !other.is_closed()));
    }
    for key in &keys {
        Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().refused(BAD_NAME);
    }
    api.delete(&format!("/v1/keys/{}", keys[0].id)).error(404, "not_found");
}

#[test]
fn a_rotated_key_is_the_new_one() {
    let nginx = keyed().start();
    let api = nginx.api();
    let old = api.create_key("live", "show");
    let answer = api.post(&format!("/v1/keys/{}/rotate", old.id), &json!({})).expect(200);
    assert!(answer["previous_valid_until"].is_null(), "{answer}");
    let new = Key::of(&answer);
    assert_eq!(new.id, old.id);
    assert_ne!(new.key, old.key);
    Publisher::to(nginx.rtmp(), &format!("live/{}", old.key)).start().refused_somehow();
    Publisher::to(nginx.rtmp(), &format!("live/{}", new.key)).start().started();
}

#[test]
fn a_rotated_key_may_overlap_with_the_old_one() {
    let nginx = keyed().start();
    let api = nginx.api();
    let old = api.create_key("live", "show");
    let answer = api.post(&format!("/v1/keys/{}/rotate", old.id), &json!({"overlap_s": 2})).expect(200);
    let end = time(&answer["previous_valid_until"]);
    let new = Key::of(&answer);
    for key in [&old, &new] {
        Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started().close();
        wait_gone(&api, "live", "show");
    }
    until("the overlap ends", 5.0, || now_ms() > end.as_millis());
    Publisher::to(nginx.rtmp(), &format!("live/{}", old.key)).start().refused_somehow();
    Publisher::to(nginx.rtmp(), &format!("live/{}", new.key)).start().started();
}

#[test]
fn keys_may_stand_in_a_file() {
    let line = format!("show {} studio 1\n", Secret::new("wk_static").digest().to_hex());
    let nginx = keyed()
        .file("keys", format!("# static keys\n\n{line}"))
        .app("fixed", "weir_publish key; weir_key_file @DIR@/keys;")
        .start();
    let api = nginx.api();
    Publisher::to(nginx.rtmp(), "fixed/wk_static").start().started().close();
    Publisher::to(nginx.rtmp(), "live/wk_static").start().refused(DENIED);
    let keys = api.get("/v1/keys").expect(200);
    let key = &keys["keys"][0];
    assert_eq!(
        (&key["app"], &key["stream"], &key["source"]),
        (&json!("fixed"), &json!("show"), &json!("file"))
    );
    let id = key["id"].as_str().unwrap();
    api.delete(&format!("/v1/keys/{id}")).error(409, "conflict");
    api.post(&format!("/v1/keys/{id}/rotate"), &json!({})).error(409, "conflict");
}

#[test]
fn a_key_file_is_read_anew_at_a_reload() {
    let line = |key: &str| format!("show {}\n", Secret::new(key).digest().to_hex());
    let mut nginx = keyed()
        .file("keys", line("wk_one"))
        .app("fixed", "weir_publish key; weir_key_file @DIR@/keys;")
        .start();
    Publisher::to(nginx.rtmp(), "fixed/wk_one").start().started().close();
    nginx.edit(|config| config.file("keys", line("wk_two")));
    nginx.reload();
    Publisher::to(nginx.rtmp(), "fixed/wk_one").start().refused(BAD_NAME);
    Publisher::to(nginx.rtmp(), "fixed/wk_two").start().started();
}

#[test]
fn open_needs_no_key_and_off_leaves_everything_to_the_server() {
    let nginx = keyed().app("open", "weir_publish open;").app("off", "").start();
    Publisher::to(nginx.rtmp(), "open/show").start().started();
    wait_gone(&nginx.api(), "open", "show");
    Publisher::to(nginx.rtmp(), "off/x").name(b"what ever").start().started();
}

#[test]
fn the_policy_is_inherited() {
    let nginx =
        keyed().rtmp("weir_publish key;").app("inherits", "").app("own", "weir_publish open;").start();
    Publisher::to(nginx.rtmp(), "inherits/show").start().refused(BAD_NAME);
    assert_eq!(Publisher::to(nginx.rtmp(), "own/show").start().outcome(), Outcome::Started);
}

fn now_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
}
