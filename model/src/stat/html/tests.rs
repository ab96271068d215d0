use proptest::prelude::*;

use super::super::{fixture, well_formed};
use super::*;
use crate::time::Timestamp;

const ROW: &str = concat!(
    "<tr><th scope=\"row\"><bdi>live</bdi>/<bdi>show</bdi></th><td data-label=\"Up\">59m 00s</td>",
    "<td data-label=\"Video\">1280x720 29.97 fps H264 High 4.1</td>",
    "<td data-label=\"Audio\">AAC LC 48 kHz 2 ch</td>",
    "<td data-label=\"In\">2.5 Mbit/s<svg viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
    "<rect class=\"all\" width=\"100\" height=\"4\"/><rect height=\"4\" width=\"100\"/></svg>",
    "<small>1.1 GB</small></td>",
    "<td data-label=\"Out\">5 Mbit/s<svg viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
    "<rect class=\"all\" width=\"100\" height=\"4\"/><rect height=\"4\" width=\"100\"/></svg>",
    "<small>2.2 GB</small></td>",
    "<td data-label=\"Viewers\"><span title=\"rtmp 2, hls 40, dash 1, llhls 5, ws 6, webrtc 7, peak 70, total 900\">",
    "61</span></td><td data-label=\"Players\">2</td><td data-label=\"Dropped\">3</td>",
);

#[test]
fn has_a_row_a_stream() {
    let page = render(&fixture::snapshot(), false);
    assert_eq!(well_formed::check(&page), Ok(()));
    assert!(page.contains(&format!("{ROW}</tr>\n")), "{page}");
    assert!(page.contains("<bdi>radio</bdi>/<bdi>jazz &amp; &lt;blues&gt;</bdi>"), "{page}");
    assert_eq!(page.matches("<tr><th scope=\"row\">").count(), 4);
    assert!(page.contains("<title>2 streams - Weir</title>"), "{page}");
}

#[test]
fn names_people_only_when_full() {
    let page = render(&fixture::snapshot(), true);
    assert_eq!(well_formed::check(&page), Ok(()));
    let publisher = concat!(
        "<td data-label=\"Publisher\">192.0.2.1</td><td data-label=\"Key\">k0123456789abcdef</td>",
        "<td data-label=\"Worker\">101</td>"
    );
    assert!(page.contains(&format!("{ROW}{publisher}</tr>\n")), "{page}");
    assert_eq!(page.matches("<tr><th scope=\"row\">").count(), 6);
    assert!(page.contains("<td data-label=\"Address\">192.0.2.3</td>"), "{page}");
    // Not even from what was not redacted.
    let page = render(&fixture::snapshot(), false);
    assert!(!page.contains("192.0.2.") && !page.contains("k0123456789abcdef"), "{page}");
}

#[test]
fn marks_workers() {
    let mut snapshot = fixture::snapshot();
    let mut worker = snapshot.workers[1].clone();
    worker.heartbeat_ms = 100;
    snapshot.workers.push(worker);
    let page = render(&snapshot, false);
    assert!(
        page.contains(concat!(
            "<dt>Workers</dt><dd><span class=\"ok\">101</span> <span class=\"stuck\">99 stuck</span> ",
            "<span class=\"draining\">99 draining</span></dd>"
        )),
        "{page}"
    );
}

#[test]
fn has_a_row_a_target() {
    const ROW: &str = concat!(
        "<tr><th scope=\"row\"><bdi>live</bdi>/<bdi>show</bdi></th>",
        "<td data-label=\"Target\">t0000000000000002</td><td data-label=\"State\">",
        "<span class=\"stuck\">waiting</span><small>again in 1s</small></td>",
        "<td data-label=\"Up\">58m 30s</td><td data-label=\"Out\">0 bit/s",
    );
    const REST: &str = concat!(
        "<td data-label=\"Reconnects\">4</td><td data-label=\"URL\">rtmp://198.51.100.2/app/***</td>",
        "<td data-label=\"Last error\">rejected: no 198.51.100.9</td>",
        "<td data-label=\"Note\">to &lt;198.51.100.0&gt;</td></tr>\n",
    );
    let page = render(&fixture::snapshot(), true);
    assert!(page.contains(ROW) && page.contains(REST), "{page}");
    let page = render(&fixture::snapshot(), false);
    assert!(page.contains(ROW) && !page.contains("198.51.100."), "{page}");
    let mut snapshot = fixture::snapshot();
    snapshot.streams[0].targets.clear();
    assert!(!render(&snapshot, true).contains("Targets"));
}

#[test]
fn says_when_nothing_is_live() {
    let page = render(&Snapshot::default(), true);
    assert_eq!(well_formed::check(&page), Ok(()));
    assert!(page.contains("Nothing is live.") && !page.contains("<table>"), "{page}");
}

#[test]
fn needs_nothing_from_elsewhere_and_runs_nothing() {
    let page = render(&fixture::snapshot(), true);
    for part in ["<script", "src=", "href=", "url(", "@import", " style=", " on", "http:", "https:"] {
        let found = page.match_indices(part).filter(|(at, _)| part != " on" || page[*at..].contains("=\"on"));
        assert_eq!(found.count(), 0, "{part}");
    }
    assert!(page.contains("<meta http-equiv=\"refresh\" content=\"3\" />"));
}

#[test]
fn grows_once_at_most() {
    let mut snapshot = fixture::snapshot();
    snapshot.streams = vec![snapshot.streams[0].clone(); 500];
    let room = PAGE_LEN + 500 * STREAM_LEN + 1000 * TARGET_LEN;
    assert!(render(&snapshot, false).len() <= room);
    assert!(render(&snapshot, true).len() <= room + 1000 * PLAYER_LEN);
}

proptest! {
    #[test]
    fn is_well_formed_whatever_is_in_it(
        texts in prop::collection::vec(any::<String>(), 8), numbers in prop::collection::vec(any::<u64>(), 8)
    ) {
        let mut snapshot = fixture::snapshot();
        snapshot.nginx_version.clone_from(&texts[0]);
        snapshot.rtmp_version.clone_from(&texts[1]);
        (snapshot.bitrate_in, snapshot.zone.used) = (numbers[0], numbers[1]);
        let stream = &mut snapshot.streams[0];
        stream.app.clone_from(&texts[2]);
        stream.name.clone_from(&texts[3]);
        stream.since = Timestamp::from_millis(numbers[2]);
        stream.viewers.hls = numbers[3];
        (stream.bitrate_out, stream.bytes_in) = (numbers[4], numbers[5]);
        stream.publisher.as_mut().unwrap().addr.clone_from(&texts[4]);
        stream.players[0].addr.clone_from(&texts[5]);
        stream.players[0].id.clone_from(&texts[6]);
        stream.targets[0].sessions[0].last_error = Some(texts[7].clone());
        (stream.players[0].bitrate_out, stream.players[0].dropped) = (numbers[6], numbers[7]);
        prop_assert_eq!(well_formed::check(&render(&snapshot, true)), Ok(()));
    }
}
