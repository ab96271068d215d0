//! `master_process off`: the same rules hold in a single process, also after a reload.

use std::time::Duration;

use nix::sys::signal::Signal;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Player, Publisher, until};

use super::{BAD_NAME, keyed, wait_live};

fn single() -> Config {
    Config { master: false, ..keyed() }
}

#[test]
fn keys_open_and_are_revoked() {
    let nginx = single().start();
    let api = nginx.api();
    let key = api.create_key("live", "show");
    let path = format!("live/{}", key.key);
    Publisher::to(nginx.rtmp(), "live/wk_wrong").start().refused(BAD_NAME);
    let publisher = Publisher::to(nginx.rtmp(), &path).start().started();
    assert_eq!(api.stream("live", "show").unwrap()["publisher"]["worker_pid"], nginx.master().0);
    Publisher::to(nginx.rtmp(), &path).start().refused(BAD_NAME);
    api.delete(&format!("/v1/keys/{}", key.id)).expect(200);
    publisher.wait_closed(2.0);
    Publisher::to(nginx.rtmp(), &path).start().refused(BAD_NAME);
    assert_eq!(api.get("/v1/health").expect(200)["workers"].as_array().unwrap().len(), 1);
}

/// nginx-rtmp itself accepts no publisher after such a reload (see `stock/relied_upon.rs`), but live publishers continue.
#[test]
fn a_reload_in_place_crashes_nothing() {
    let mut nginx = single().start();
    // The message is nginx's own: after such a reload it miscounts its connections.
    nginx.allow("worker_connections are not enough");
    let key = nginx.api().create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    for round in 1..=2 {
        nginx.master().signal(Signal::SIGHUP);
        until("the configuration is read again", 10.0, || nginx.log_lines(": reconfiguring").len() == round);
        let _ = Api::try_send(nginx.api().request("GET", "/v1/keys").timeout(Duration::from_millis(500)));
    }
    publisher.send_more(300);
    assert!(!publisher.is_closed());
    // With any thread pool, nginx crashes when such a process is told to quit (ngx_thread_pool_exit_process).
    nginx.master().signal(Signal::SIGKILL);
}

/// nginx unmaps a zone that the new configuration does not name (ngx_init_cycle) while publisher and player continue.
#[test]
fn a_reload_without_the_zone_crashes_nothing() {
    let mut nginx = single().start();
    nginx.allow("worker_connections are not enough");
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let player = Player::start(nginx.rtmp(), "live/show");
    player.wait_playing();
    wait_live(&api, "live", "show");
    nginx.edit(|config| {
        Config { main: String::new(), server: String::new(), http: String::new(), ..config }.app("live", "")
    });
    nginx.master().signal(Signal::SIGHUP);
    until("the configuration is read again", 10.0, || nginx.log_lines(": reconfiguring").len() == 1);
    let before = player.seen().video;
    publisher.send_more(1000);
    until("the player sees it", 10.0, || player.seen().video > before);
    assert!(!publisher.is_closed());
    nginx.master().signal(Signal::SIGKILL);
}
