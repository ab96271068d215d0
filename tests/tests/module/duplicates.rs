//! A live name belongs to its publisher. In every worker, another publisher of the name is refused before HLS or record see it, and the
//! first stream continues without a gap.

use std::path::Path;

use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Outcome, Publisher, ffmpeg, files, until};

use super::{BAD_NAME, HLS, keyed, wait_gone, wait_live, worker_of};

/// Asserts that the video of all listed segments continues without a gap, at 20 frames per second.
#[track_caller]
pub(crate) fn assert_unbroken(folder: &Path, name: &str) {
    let playlist = folder.join(format!("{name}.m3u8"));
    let segments = files::segments(&playlist);
    assert!(segments.len() >= 3, "{}", files::text(&playlist));
    // nginx-rtmp marks the start of a stream with one discontinuity.
    let breaks = files::text(&playlist).matches("EXT-X-DISCONTINUITY").count();
    assert!(breaks <= 1, "{}", files::text(&playlist));
    let times: Vec<f64> =
        segments.iter().flat_map(|(segment, _)| ffmpeg::video_times(&folder.join(segment))).collect();
    for pair in times.windows(2) {
        let step = pair[1] - pair[0];
        assert!((0.02..0.1).contains(&step), "a gap at {} s: {step} s", pair[0]);
    }
}

#[test]
fn duplicates_over_four_workers_do_not_break_the_first() {
    let app = format!("weir_publish key; {HLS} record all; record_path @DIR@/rec; record_unique on;");
    let nginx = Config::weir().with_api().workers(4).file("rec.keep", "").app("live", &app).start();
    std::fs::create_dir(nginx.path("rec")).unwrap();
    let api = nginx.api();
    let (key, other) = (api.create_key("live", "show").key, api.create_key("live", "show").key);
    let first = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let before = wait_live(&api, "live", "show");
    first.send_more(1000);
    for round in 0..16 {
        let key = if round % 2 == 0 { &key } else { &other };
        let reason = Publisher::to(nginx.rtmp(), &format!("live/{key}")).hasty().start().refused(BAD_NAME);
        assert!(reason.contains("already publishing"), "{reason}");
    }
    let workers: std::collections::HashSet<_> = nginx
        .log_lines("publish refused: already publishing")
        .iter()
        .map(|line| line.split(' ').nth(3).unwrap().to_owned())
        .collect();
    assert!(workers.len() > 1, "all duplicates came to one worker");
    first.send_more(2500);
    assert!(!first.is_closed());
    assert_eq!(api.stream("live", "show").unwrap()["session"], before["session"]);
    assert_unbroken(&nginx.path("hls"), "show");
    assert_eq!(files::below(&nginx.path("rec")).len(), 1);
}

#[test]
fn the_name_is_free_as_soon_as_its_publisher_is_gone() {
    let nginx = keyed().workers(4).app("open", "weir_publish open;").start();
    for _ in 0..8 {
        let publisher = Publisher::to(nginx.rtmp(), "open/show").start().started();
        Publisher::to(nginx.rtmp(), "open/show").start().refused(BAD_NAME);
        nginx.wait_log("publish refused: already publishing, app: \"open\", stream: \"show\"");
        publisher.kill();
        wait_gone(&nginx.api(), "open", "show");
    }
}

#[test]
fn applications_have_names_of_their_own() {
    let nginx = keyed().app("a", "weir_publish open;").app("b", "weir_publish open;").start();
    let _first = Publisher::to(nginx.rtmp(), "a/show").start().started();
    let _second = Publisher::to(nginx.rtmp(), "b/show").start().started();
    assert_eq!(nginx.api().streams().len(), 2);
}

#[test]
fn a_stalled_publisher_does_not_block_its_own_key() {
    let nginx = keyed().workers(2).start();
    let api = nginx.api();
    let (key, other) = (api.create_key("live", "show").key, api.create_key("live", "show").key);
    let first = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    first.send_more(300);
    first.stall();
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().refused(BAD_NAME);
    let second = until("the stalled publisher is replaced", 6.0, || {
        let again = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start();
        (again.outcome() == Outcome::Started).then_some(again)
    });
    first.wait_closed(3.0);
    second.send_more(300);
    assert!(!second.is_closed());
    second.stall();
    let silent_since = std::time::Instant::now();
    until("the second is stalled as well", 6.0, || silent_since.elapsed().as_millis() > 3500);
    Publisher::to(nginx.rtmp(), &format!("live/{other}")).start().refused(BAD_NAME);
    assert!(worker_of(&nginx, "show") > 0);
}

#[test]
fn many_at_once_and_one_wins() {
    let nginx = keyed().workers(4).app("open", "weir_publish open;").start();
    for round in 0..3 {
        let path = format!("open/show{round}");
        let publishers: Vec<_> = (0..8).map(|_| Publisher::to(nginx.rtmp(), &path).start()).collect();
        let outcomes: Vec<_> = publishers.iter().map(Publisher::outcome).collect();
        let started = outcomes.iter().filter(|outcome| **outcome == Outcome::Started).count();
        assert_eq!(started, 1, "{outcomes:?}");
    }
}
