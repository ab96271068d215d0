//! `master_process off`: the same rules in a single process, over its reloads as well.

use nix::sys::signal::Signal;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Outcome, Publisher, until};

use super::{BAD_NAME, keyed, wait_gone};

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

#[test]
fn a_reload_in_place() {
    let nginx = single().start();
    let api = nginx.api();
    let path = format!("live/{}", api.create_key("live", "show").key);
    for round in 1..=3 {
        nginx.master().signal(Signal::SIGHUP);
        until("the configuration is read again", 10.0, || nginx.log_lines(": reconfiguring").len() == round);
        let publisher = until("a publisher is accepted", 10.0, || {
            let publisher = Publisher::to(nginx.rtmp(), &path).start();
            (publisher.outcome() == Outcome::Started).then_some(publisher)
        });
        Publisher::to(nginx.rtmp(), "live/wk_wrong").start().refused(BAD_NAME);
        publisher.close();
        wait_gone(&api, "live", "show");
    }
}
