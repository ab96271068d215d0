//! Faults of nginx-rtmp that the product mends, shown without the product. If one disappears from nginx-rtmp, its test fails, and the
//! counterpart in `module/hazards.rs` is no longer needed.

use weir_tests::harness::hook::Answer;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Hook, Publisher, files, until};

const HLS: &str = "hls on; hls_path @DIR@/hls; hls_fragment 1s;";

#[test]
fn names_reach_the_files_as_they_came() {
    let nginx = Config::stock().app("live", HLS).start();
    let _publisher = Publisher::to(nginx.rtmp(), "live/wk_secret").start().started();
    until("a playlist", 10.0, || nginx.path("hls/wk_secret.m3u8").exists());
    assert!(!files::that_mention(nginx.folder(), "wk_secret").is_empty());
}

#[test]
fn segments_are_written_before_on_publish_has_answered() {
    let hook = Hook::start(Answer::Never);
    let nginx = Config::stock().app("live", &format!("{HLS} on_publish {};", hook.url())).start();
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").hasty().start();
    until("a segment", 10.0, || {
        files::below(&nginx.path("hls")).iter().any(|p| p.extension().is_some_and(|e| e == "ts"))
    });
}

#[test]
fn a_second_publisher_is_refused_but_not_sent_away_and_ends_the_first_for_the_hooks() {
    let hook = Hook::start(Answer::Yes);
    let app = format!("{HLS} on_publish_done {};", hook.url());
    let nginx = Config::stock().app("live", &app).start();
    let first = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let second = Publisher::to(nginx.rtmp(), "live/show").start();
    until("the refusal", 5.0, || second.statuses().iter().any(|s| s.code == "NetStream.Publish.BadName"));
    assert!(!second.is_closed());
    second.kill();
    until("on_publish_done", 5.0, || hook.count("call=publish_done") == 1);
    assert!(!first.is_closed());
}

#[test]
fn arguments_reach_the_hooks_unescaped() {
    let hook = Hook::start(Answer::Yes);
    let nginx = Config::stock().app("live", &format!("on_publish {};", hook.url())).start();
    let _publisher = Publisher::to(nginx.rtmp(), "live/show?name=other").start().started();
    assert!(hook.bodies()[0].contains("&name=other"), "{:?}", hook.bodies());
}

#[test]
fn on_publish_is_asked_before_deny_is_looked_at() {
    let hook = Hook::start(Answer::Yes);
    let app = format!("deny publish all; on_publish {};", hook.url());
    let nginx = Config::stock().app("live", &app).start();
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start();
    until("on_publish is asked", 5.0, || hook.count("call=publish") == 1);
}
