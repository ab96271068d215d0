//! `weir_duplicate takeover`: a new publisher with the same valid key replaces the old one, in any worker; no other publisher does.

use weir_tests::harness::{Player, Publisher, files, until};

use super::{BAD_NAME, DENIED, HLS, keyed, wait_gone, wait_live};

#[test]
fn the_same_key_takes_over_in_any_worker() {
    let nginx =
        keyed().workers(4).app("take", &format!("weir_publish key; weir_duplicate takeover; {HLS}")).start();
    let api = nginx.api();
    let key = api.create_key("take", "show");
    let path = format!("take/{}", key.key);
    let mut current = Publisher::to(nginx.rtmp(), &path).start().started();
    let mut session = wait_live(&api, "take", "show")["session"].clone();
    for _ in 0..8 {
        let next = Publisher::to(nginx.rtmp(), &path).start().started();
        current.wait_closed(3.0);
        let stream = until("the newcomer is listed", 5.0, || {
            api.stream("take", "show").filter(|stream| stream["session"] != session)
        });
        session = stream["session"].clone();
        assert_eq!(api.streams().len(), 1);
        current = next;
    }
    current.send_more(2500);
    assert!(!current.is_closed());
    let before = files::segments(&nginx.path("hls/show.m3u8"));
    assert!(!before.is_empty());
    current.close();
    wait_gone(&api, "take", "show");
}

#[test]
fn in_the_same_worker_too_and_players_see_the_newcomer() {
    let nginx = keyed().app("take", "weir_publish key; weir_duplicate takeover;").start();
    let path = format!("take/{}", nginx.api().create_key("take", "show").key);
    let first = Publisher::to(nginx.rtmp(), &path).start().started();
    first.send_more(300);
    let second = Publisher::to(nginx.rtmp(), &path).start().started();
    first.wait_closed(3.0);
    Player::start(nginx.rtmp(), "take/show").wait_video(5);
    assert!(!second.is_closed());
}

#[test]
fn nothing_else_takes_over() {
    let nginx = keyed()
        .app("take", "weir_publish key; weir_duplicate takeover;")
        .app("open", "weir_publish open; weir_duplicate takeover;")
        .start();
    let api = nginx.api();
    let (key, other) = (api.create_key("take", "show").key, api.create_key("take", "show").key);
    let elsewhere = api.create_key("live", "show").key;
    let first = Publisher::to(nginx.rtmp(), &format!("take/{key}")).start().started();
    Publisher::to(nginx.rtmp(), &format!("take/{other}")).start().refused(BAD_NAME);
    Publisher::to(nginx.rtmp(), "take/wk_wrong").start().refused(BAD_NAME);
    Publisher::to(nginx.rtmp(), &format!("take/{elsewhere}")).start().refused(DENIED);
    let open = Publisher::to(nginx.rtmp(), "open/show").start().started();
    Publisher::to(nginx.rtmp(), "open/show").start().refused(BAD_NAME);
    first.send_more(300);
    assert!(!first.is_closed() && !open.is_closed());
}

#[test]
fn a_publisher_that_cannot_go_is_not_waited_for_for_ever() {
    let nginx = keyed().workers(2).app("take", "weir_publish key; weir_duplicate takeover;").start();
    let path = format!("take/{}", nginx.api().create_key("take", "show").key);
    let [first, second] = nginx.workers()[..] else { panic!("two workers") };
    let live = nginx.on_worker(first, || Publisher::to(nginx.rtmp(), &path).start().started());
    // The first worker is stopped in the meantime: it does not close its publisher, and the new publisher is refused in the end.
    nginx.on_worker(second, || {
        assert_eq!(Publisher::to(nginx.rtmp(), &path).start().refused(BAD_NAME), "already publishing");
    });
    live.wait_closed(5.0);
}
