//! The hazards that the product is there to mend, as they are without it. Should one vanish from nginx-rtmp, its test fails
//! and the counterpart in `module/hazards.rs` has lost its reason.

use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Publisher, files, until};

const HLS: &str = "hls on; hls_path @DIR@/hls; hls_fragment 1s;";

#[test]
fn names_reach_the_files_as_they_came() {
    let nginx = Config::stock().app("live", HLS).start();
    let _publisher = Publisher::to(nginx.rtmp(), "live/wk_secret").start().started();
    until("a playlist", 10.0, || nginx.path("hls/wk_secret.m3u8").exists());
    assert!(!files::that_mention(nginx.folder(), "wk_secret").is_empty());
}

#[test]
fn a_second_publisher_is_refused_but_not_sent_away() {
    let nginx = Config::stock().app("live", HLS).start();
    let _first = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let second = Publisher::to(nginx.rtmp(), "live/show").start();
    until("the refusal", 5.0, || second.statuses().iter().any(|s| s.code == "NetStream.Publish.BadName"));
    assert!(!second.is_closed());
}
