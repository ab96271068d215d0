//! The connection of a publisher breaks: within two seconds, the slate is shown to a player that stays connected, in nginx-rtmp's HLS and
//! at a push target. The publisher returns, and its video is shown again. No secret is visible.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;
use weir_tests::harness::peer::Call;
use weir_tests::harness::{Nginx, Peer, Player, Sidecar, files, until};

use super::{SECRET, is_red, keyed, publish, session, slate, wait_clip};

const HLS: &str = "hls on; hls_path @DIR@/hls; hls_fragment 1s; hls_playlist_length 60s; hls_cleanup off; \
     hls_fragment_naming system;";
const MOST: Duration = Duration::from_secs(2);

#[test]
fn viewers_see_the_slate_until_the_publisher_is_back() {
    let nginx = keyed(&format!("weir_push on; {HLS}")).start();
    let sidecar = Sidecar::start(&nginx, &slate("60s"));
    let (key, target) = (nginx.api().create_key("live", "show"), Peer::takes());
    let to = json!({ "app": "live", "stream": "show", "url": target.url("app/out") });
    nginx.api().post("/v1/targets", &to).expect(201);
    let publisher = publish(&nginx, &key);
    let player = Player::start(nginx.rtmp(), "live/show");
    player.wait_video(20);
    wait_clip(&nginx, "slate");
    let first = session(&nginx, "show").unwrap();
    let before = hashes(&target.wait_frames("out", 200));
    until("HLS is there", 15.0, || newest(&nginx).filter(|(_, red)| !red));

    let last = player.seen().last_video;
    publisher.kill();
    sidecar.wait_log("publisher lost: showing the slate");
    player.wait_video(40);
    assert!(player.seen().last_video > last, "the player's time goes back to {:?}", player.seen().last_video);
    until("the slate is in HLS", 10.0, || newest(&nginx).is_some_and(|(_, red)| red));
    let call = target.wait_frames("out", 40);
    assert!(hashes(&call).is_disjoint(&before), "the target has other frames than the slate's");
    let second = session(&nginx, "show").unwrap();
    assert_ne!(first, second);
    is_secret(&nginx, &sidecar);

    let publisher = publish(&nginx, &key);
    sidecar.wait_log("the slate ended: a publisher is back");
    let sent = publisher.sent_ms();
    until("the pictures are back in HLS", 10.0, || newest(&nginx).is_some_and(|(_, red)| !red));
    until("the frames are back at the target", 10.0, || {
        target.open("out").last().is_some_and(|call| !hashes(call).is_disjoint(&before))
    });
    player.wait_video(40);
    assert!(publisher.sent_ms() > sent && !publisher.is_closed());
    assert!(!player.seen().closed);
    assert!(player.seen().gap() < MOST, "a player waited {:?}", player.seen().gap());
    let playlist = files::text(&nginx.path("hls/show.m3u8"));
    // nginx-rtmp marks the first segment, too.
    assert_eq!(playlist.matches("#EXT-X-DISCONTINUITY\n").count(), 3, "{playlist}");
    assert!(!playlist.contains("#EXT-X-ENDLIST"), "{playlist}");
    assert!(longest_pause(&nginx) < MOST, "HLS stood still for {:?}", longest_pause(&nginx));
    assert_eq!(sidecar.log().matches("showing the slate").count(), 1, "{}", sidecar.log());
}

/// Asserts that the token, with which anybody could publish, appears in no list of processes and in no log.
#[track_caller]
fn is_secret(nginx: &Nginx, sidecar: &Sidecar) {
    for process in sidecar.process().descendants() {
        assert!(!process.title().contains("eyJ"), "{}", process.title());
    }
    for log in [nginx.log(), sidecar.log()] {
        assert!(!log.contains("eyJ") && !log.contains(SECRET));
    }
}

fn hashes(call: &Call) -> BTreeSet<u64> {
    call.frames.iter().map(|frame| frame.hash).collect()
}

fn segments(nginx: &Nginx) -> Vec<PathBuf> {
    let listed = files::segments(&nginx.path("hls/show.m3u8"));
    listed.into_iter().map(|(name, _)| nginx.path("hls").join(name)).collect()
}

/// Returns the last segment of the playlist, and whether it shows the slate.
fn newest(nginx: &Nginx) -> Option<(PathBuf, bool)> {
    let last = segments(nginx).pop()?;
    let red = is_red(&last)?;
    Some((last, red))
}

/// Returns the longest time between the ends of two successive segments.
fn longest_pause(nginx: &Nginx) -> Duration {
    let written = |path: &Path| std::fs::metadata(path).and_then(|about| about.modified());
    let ends: Vec<SystemTime> = segments(nginx).iter().map(|path| written(path).unwrap()).collect();
    let pauses = ends.windows(2).map(|pair| pair[1].duration_since(pair[0]).unwrap_or_default());
    pauses.max().unwrap_or_default()
}
