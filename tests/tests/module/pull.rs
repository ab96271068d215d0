//! Streams that nginx-rtmp pulls itself need no key, but Weir claims and lists their names like any other.

use weir_tests::harness::{Nginx, Player, Publisher, until};

use super::{BAD_NAME, keyed, wait_gone, wait_live};

fn start() -> Nginx {
    keyed()
        .app("source", "")
        .app("pulled", "weir_publish key; pull rtmp://127.0.0.1:@RTMP@/source;")
        .app("open", "weir_publish open; pull rtmp://127.0.0.1:@RTMP@/source;")
        .start()
}

#[test]
fn a_pulled_stream_is_played_and_listed() {
    let nginx = start();
    let api = nginx.api();
    let _source = Publisher::to(nginx.rtmp(), "source/show").start().started();
    for app in ["pulled", "open"] {
        let player = Player::start(nginx.rtmp(), &format!("{app}/show"));
        player.wait_video(5);
        assert!(wait_live(&api, app, "show")["publisher"]["key_id"].is_null());
        Publisher::to(nginx.rtmp(), &format!("{app}/show")).start().refused(BAD_NAME);
        player.wait_video(5);
        drop(player);
        wait_gone(&api, app, "show");
    }
}

#[test]
fn a_pull_does_not_replace_a_publisher() {
    let nginx = start();
    let api = nginx.api();
    let _source = Publisher::to(nginx.rtmp(), "source/show").start().started();
    let key = api.create_key("pulled", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("pulled/{key}")).start().started();
    let session = wait_live(&api, "pulled", "show")["session"].clone();
    let player = Player::start(nginx.rtmp(), "pulled/show");
    player.wait_video(5);
    publisher.send_more(300);
    assert!(!publisher.is_closed());
    assert_eq!(api.stream("pulled", "show").unwrap()["session"], session);
}

#[test]
fn pushed_streams_bear_the_public_name() {
    let nginx = keyed()
        .app("pushing", "weir_publish key; push rtmp://127.0.0.1:@RTMP@/copy;")
        .app("copy", "weir_publish open;")
        .start();
    let api = nginx.api();
    let key = api.create_key("pushing", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("pushing/{key}?a=1")).start().started();
    wait_live(&api, "copy", "show");
    Player::start(nginx.rtmp(), "copy/show").wait_video(5);
    publisher.close();
    until("both are gone", 5.0, || api.streams().is_empty());
}
