//! A ladder of files continues in the same playlists: with a discontinuity, and without an end.

use std::path::PathBuf;

use weir_tests::harness::{Sidecar, files, until};

use super::{is_red, keyed, publish, slate, wait_clip};

const LADDER: &str = "[ladder.l]\nrungs = [\"source\"]\n[[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\nfolder = \"@MEDIA@\"\n\
     segment = \"1s\"\nwindow = \"60s\"\n";

#[test]
fn a_ladder_goes_on_with_the_slate() {
    let nginx = keyed("").start();
    let mut sidecar = Sidecar::start(&nginx, &format!("{LADDER}{}", slate("60s")));
    let key = nginx.api().create_key("live", "show");
    let publisher = publish(&nginx, &key);
    sidecar.wait_ready("live/show");
    wait_clip(&nginx, "slate");
    let first = sidecar.wait_running("live/show/ladder", 10.0);
    publisher.kill();
    goes_on(&sidecar, 1, true);
    until("the first ffmpeg is gone", 10.0, || !first.is_alive());
    let slate = sidecar.wait_running("live/show/ladder", 10.0);
    let _publisher = publish(&nginx, &key);
    goes_on(&sidecar, 2, false);
    until("the slate's ffmpeg is gone", 10.0, || !slate.is_alive());
}

/// Waits for this number of discontinuities, and for a segment with or without the slate; the playlist never ends.
#[track_caller]
fn goes_on(sidecar: &Sidecar, discontinuities: usize, red: bool) {
    let folder = sidecar.file("show", "source");
    until("the ladder goes on", 20.0, || {
        let playlist = files::text(&folder.join("index.m3u8"));
        assert!(!playlist.contains("#EXT-X-ENDLIST"), "{playlist}");
        let found = playlist.matches("#EXT-X-DISCONTINUITY\n").count();
        found == discontinuities && last_is_red(&folder, &playlist) == Some(red)
    });
}

/// Returns whether the last segment, decoded with the last init segment, is red.
fn last_is_red(folder: &std::path::Path, playlist: &str) -> Option<bool> {
    let init = playlist.lines().rev().find_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\""))?;
    let segment = playlist.lines().rev().find(|line| line.ends_with(".m4s"))?;
    let read = |name: &str| std::fs::read(folder.join(name)).ok();
    let media = [read(init.split('"').next()?)?, read(segment)?].concat();
    let whole: PathBuf = folder.join("whole.mp4");
    std::fs::write(&whole, media).unwrap();
    is_red(&whole)
}
