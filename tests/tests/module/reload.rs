//! The zone survives a reload: publishers stay connected to the old workers, where the API lists and drops them and the guard still watches
//! them. Keys need no state file for this.

use weir_tests::harness::{Player, Publisher, until};

use super::{BAD_NAME, keyed, wait_gone, wait_live, worker_of};

#[test]
fn live_publishers_stay_listed_and_guarded() {
    let nginx = keyed().workers(2).start();
    let api = nginx.api();
    let key = api.create_key("live", "show");
    let path = format!("live/{}", key.key);
    let publisher = Publisher::to(nginx.rtmp(), &path).start().started();
    let before = wait_live(&api, "live", "show");
    nginx.reload();
    nginx.reload();
    let draining = until("the idle old workers end", 5.0, || {
        let draining = nginx.draining();
        (draining.len() == 1).then_some(draining)
    });
    assert_eq!(worker_of(&nginx, "show"), draining[0].0);
    let after = api.stream("live", "show").unwrap();
    assert_eq!((&after["session"], &after["since"]), (&before["session"], &before["since"]));
    let workers = api.get("/v1/health").expect(200)["workers"].as_array().unwrap().clone();
    assert!(
        workers.iter().any(|worker| worker["pid"] == draining[0].0 && worker["draining"] == true),
        "{workers:?}"
    );
    Publisher::to(nginx.rtmp(), &path).start().refused(BAD_NAME);
    publisher.send_more(300);
    assert!(!publisher.is_closed());
    publisher.close();
    wait_gone(&api, "live", "show");
    until("the old worker ends", 10.0, || nginx.draining().is_empty());
    Publisher::to(nginx.rtmp(), &path).start().started();
}

#[test]
fn revoking_reaches_the_old_worker() {
    let nginx = keyed().start();
    let api = nginx.api();
    let key = api.create_key("live", "show");
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started();
    nginx.reload();
    assert_eq!(api.delete(&format!("/v1/keys/{}", key.id)).expect(200)["dropped"], 1);
    publisher.wait_closed(1.5);
    wait_gone(&api, "live", "show");
    until("the old worker ends", 10.0, || nginx.draining().is_empty());
}

#[test]
fn taking_over_reaches_the_old_worker() {
    let nginx = keyed().app("take", "weir_publish key; weir_duplicate takeover;").start();
    let path = format!("take/{}", nginx.api().create_key("take", "show").key);
    let first = Publisher::to(nginx.rtmp(), &path).start().started();
    nginx.reload();
    let second = Publisher::to(nginx.rtmp(), &path).start().started();
    first.wait_closed(3.0);
    until("the old worker ends", 10.0, || nginx.draining().is_empty());
    assert!(!second.is_closed());
}

#[test]
fn a_drain_timeout_ends_an_old_worker_at_last() {
    let nginx = keyed().server("weir_drain_timeout 2s;").app("open", "weir_publish open;").start();
    let key = nginx.api().create_key("live", "show");
    let path = format!("live/{}", key.key);
    let publisher = Publisher::to(nginx.rtmp(), &path).start().started();
    let other = Publisher::to(nginx.rtmp(), "open/a").start().started();
    let player = Player::start(nginx.rtmp(), "open/a");
    player.wait_video(1);
    nginx.reload();
    // This is enough time for the publisher to continue, if anything still accepted its stream.
    publisher.send_more(20);
    assert!(!publisher.is_closed());
    publisher.wait_closed(5.0);
    other.wait_closed(1.0);
    player.wait_closed(1.0);
    until("the old worker ends", 5.0, || nginx.draining().is_empty());
    assert!(nginx.log_lines("session closed: weir_drain_timeout, app: \"live\"").len() == 1);
    Publisher::to(nginx.rtmp(), &path).start().started();
}

#[test]
fn idle_old_workers_end_at_once() {
    let nginx = keyed().workers(2).start();
    nginx.api().create_key("live", "show");
    for _ in 0..3 {
        nginx.reload();
        until("the old workers end", 5.0, || nginx.draining().is_empty());
    }
    let health = nginx.api().get("/v1/health").expect(200);
    assert_eq!(health["workers"].as_array().unwrap().len(), 2, "{health}");
    assert_eq!(nginx.api().get("/v1/keys").expect(200)["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn another_size_of_the_zone_is_refused() {
    let mut nginx = keyed().start();
    let key = nginx.api().create_key("live", "show").key;
    nginx.edit(|mut config| {
        config.main = "weir_zone 4m;\n".to_owned();
        config
    });
    let message = nginx.reload_rejected();
    assert!(message.contains("weir_zone") && message.contains("restart"), "{message}");
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started().close();
    nginx.edit(|mut config| {
        config.main = "weir_zone 2m;\n".to_owned();
        config
    });
    nginx.reload();
    wait_gone(&nginx.api(), "live", "show");
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
}

#[test]
fn a_policy_changes_with_the_reload() {
    let mut nginx = keyed().start();
    Publisher::to(nginx.rtmp(), "live/show").start().refused(BAD_NAME);
    nginx.edit(|mut config| {
        config.server = config.server.replace("weir_publish key", "weir_publish open");
        config
    });
    nginx.reload();
    Publisher::to(nginx.rtmp(), "live/show").start().started();
}

#[test]
fn a_worker_of_another_user_counts_as_alive() {
    let mut config = keyed();
    config.user = "nobody nogroup".to_owned();
    let mut nginx = config.start();
    let key = nginx.api().create_key("live", "show");
    let path = format!("live/{}", key.key);
    let publisher = Publisher::to(nginx.rtmp(), &path).start().started();
    nginx.edit(|mut config| {
        config.user = "www-data www-data".to_owned();
        config
    });
    nginx.reload();
    // The new worker may not signal the old one, so it checks once per second which workers have ended.
    publisher.send_more(2500);
    assert_eq!(worker_of(&nginx, "show"), nginx.draining()[0].0);
    Publisher::to(nginx.rtmp(), &path).start().refused(BAD_NAME);
    assert!(!publisher.is_closed());
}
