//! The API drops publishers and players, whichever worker answers and whichever worker has them. A banned key opens nothing until its ban
//! ends.

use serde_json::{Value, json};
use weir_model::Timestamp;
use weir_tests::harness::{Api, Nginx, Player, Publisher, until};

use super::{BAD_NAME, DENIED, keyed, time, wait_gone, wait_live};

/// Returns the players of a stream.
#[track_caller]
fn players(api: &Api, app: &str, name: &str) -> Vec<Value> {
    api.get(&format!("/v1/streams/{app}/{name}/players")).expect(200)["players"].as_array().unwrap().clone()
}

#[track_caller]
fn wait_players(api: &Api, count: usize) -> Vec<Value> {
    until("all players are listed", 5.0, || {
        Some(players(api, "live", "show")).filter(|players| players.len() == count)
    })
}

/// Publishes with a new key, and returns the path that it publishes to.
#[track_caller]
fn publish(nginx: &Nginx) -> (String, Publisher) {
    let path = format!("live/{}", nginx.api().create_key("live", "show").key);
    let publisher = Publisher::to(nginx.rtmp(), &path).start().started();
    (path, publisher)
}

#[test]
fn a_publisher_is_dropped_by_whichever_worker() {
    let nginx = keyed().workers(4).start();
    let path = format!("live/{}", nginx.api().create_key("live", "show").key);
    let workers = nginx.workers();
    for (has, asked) in [(0, 1), (1, 0), (2, 3), (3, 3)] {
        let publisher =
            nginx.on_worker(workers[has], || Publisher::to(nginx.rtmp(), &path).start().started());
        assert_eq!(super::worker_of(&nginx, "show"), workers[has].0);
        let answer = nginx.on_worker(workers[asked], || nginx.api().delete("/v1/streams/live/show"));
        publisher.wait_closed(1.0);
        assert_eq!(answer.expect(200), json!({"dropped": 1, "banned_until": null}));
        wait_gone(&nginx.api(), "live", "show");
    }
    // Without a ban the publisher may return immediately.
    Publisher::to(nginx.rtmp(), &path).start().started();
}

#[test]
fn a_publisher_of_an_old_worker_is_dropped() {
    let nginx = keyed().workers(2).start();
    let (_, publisher) = publish(&nginx);
    nginx.reload();
    assert_eq!(nginx.api().delete("/v1/streams/live/show").expect(200)["dropped"], 1);
    publisher.wait_closed(1.0);
    until("the old worker ends", 10.0, || nginx.draining().is_empty());
}

#[test]
fn only_what_is_live_is_dropped() {
    let nginx = keyed().app("plain", "").start();
    let api = nginx.api();
    let (_, publisher) = publish(&nginx);
    let other = Publisher::to(nginx.rtmp(), "plain/show").start().started();
    wait_live(&api, "plain", "show");
    for path in ["live/shows", "live/sho", "lives/show", "live/show/x", "live"] {
        api.delete(&format!("/v1/streams/{path}")).error(404, "not_found");
    }
    let request = api.request("DELETE", "/v1/streams/live/show");
    api.send(request).error(415, "unsupported_media_type");
    publisher.send_more(300);
    assert!(!publisher.is_closed());
    assert_eq!(api.delete("/v1/streams/plain/show").expect(200)["dropped"], 1);
    other.wait_closed(1.0);
    assert!(!publisher.is_closed());
    publisher.close();
    wait_gone(&api, "live", "show");
    api.delete("/v1/streams/live/show").error(404, "not_found");
}

#[test]
fn a_banned_key_opens_nothing_until_it_is_over() {
    let nginx = keyed().workers(2).start();
    let api = nginx.api();
    let (path, publisher) = publish(&nginx);
    let answer = api.delete("/v1/streams/live/show?ban_s=2").expect(200);
    assert_eq!(answer["dropped"], 1);
    let until_then = time(&answer["banned_until"]);
    publisher.wait_closed(1.0);
    for _ in 0..3 {
        Publisher::to(nginx.rtmp(), &path).start().refused(DENIED);
    }
    assert!(!nginx.log_lines("publish refused: key banned").is_empty());
    // The ban applies to no other key.
    let other = api.create_key("live", "show").key;
    let same_stream = Publisher::to(nginx.rtmp(), &format!("live/{other}")).start().started();
    Publisher::to(nginx.rtmp(), &path).start().refused(DENIED);
    same_stream.close();
    wait_gone(&api, "live", "show");
    until("the ban is over", 5.0, || now() > until_then);
    Publisher::to(nginx.rtmp(), &path).start().started();
}

#[test]
fn a_ban_outlives_a_reload() {
    let nginx = keyed().workers(2).start();
    let (path, publisher) = publish(&nginx);
    nginx.api().delete("/v1/streams/live/show?ban_s=60").expect(200);
    publisher.wait_closed(1.0);
    nginx.reload();
    Publisher::to(nginx.rtmp(), &path).start().refused(DENIED);
    Publisher::to(nginx.rtmp(), "live/wk_wrong").start().refused(BAD_NAME);
}

#[test]
fn what_cannot_be_banned_goes_on() {
    let nginx = keyed().app("open", "weir_publish open;").app("plain", "").start();
    let api = nginx.api();
    let (_, keyed) = publish(&nginx);
    let open = Publisher::to(nginx.rtmp(), "open/show").start().started();
    let plain = Publisher::to(nginx.rtmp(), "plain/show").start().started();
    wait_live(&api, "plain", "show");
    for app in ["open", "plain"] {
        api.delete(&format!("/v1/streams/{app}/show?ban_s=60")).error(409, "conflict");
    }
    for bad in
        ["ban_s=x", "ban_s=-1", "ban_s=1.5", "ban_s=", "ban_s", "ban_s=86401", "ban_s=99999999999999999999"]
    {
        let message = api.delete(&format!("/v1/streams/live/show?{bad}")).error(400, "bad_request");
        assert!(message.contains("ban_s"), "{bad}: {message}");
    }
    api.delete("/v1/streams/live/show?ban=1").error(400, "bad_request");
    for publisher in [&keyed, &open, &plain] {
        publisher.send_more(300);
        assert!(!publisher.is_closed());
    }
    assert_eq!(api.delete("/v1/streams/open/show?ban_s=0").expect(200)["banned_until"], Value::Null);
    open.wait_closed(1.0);
}

#[test]
fn a_player_is_dropped_and_others_go_on() {
    let nginx = keyed().workers(2).start();
    let api = nginx.api();
    let workers = nginx.workers();
    let (_, publisher) = nginx.on_worker(workers[0], || publish(&nginx));
    let watch = |source| {
        let player = nginx.on_worker(workers[0], || {
            let player = Player::start_from(source, nginx.rtmp(), "live/show");
            player.wait_playing();
            player
        });
        player.wait_video(2);
        player
    };
    let (stays, goes) = (watch("127.0.0.5"), watch("127.0.0.6"));
    let listed = wait_players(&api, 2);
    let id = listed.iter().find(|player| player["addr"] == "127.0.0.6").unwrap()["id"].as_str().unwrap();
    let path = format!("/v1/streams/live/show/players/{id}");
    api.send(api.request("DELETE", &path)).error(415, "unsupported_media_type");
    for wrong in ["s0", "x", "s1", "", "s99999999999999999999"] {
        api.delete(&format!("/v1/streams/live/show/players/{wrong}")).error(404, "not_found");
    }
    api.delete(&format!("/v1/streams/live/other/players/{id}")).error(404, "not_found");
    assert!(!goes.seen().closed);
    let answer = nginx.on_worker(workers[1], || nginx.api().delete(&path));
    goes.wait_closed(1.0);
    assert_eq!(answer.expect(200), json!({"dropped": 1}));
    assert_eq!(wait_players(&api, 1)[0]["addr"], "127.0.0.5");
    api.delete(&path).error(404, "not_found");
    stays.wait_video(5);
    assert!(!publisher.is_closed());
    // The API of players does not accept the session of a publisher.
    let session = wait_live(&api, "live", "show")["session"].as_str().unwrap().to_owned();
    api.delete(&format!("/v1/streams/live/show/players/{session}")).error(404, "not_found");
    stays.wait_video(2);
    assert!(!publisher.is_closed());
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap())
}
