//! `weir serve` beside stock nginx with Weir's module, with real ffmpeg. All tests are in one binary so that they run in parallel. Each
//! file's header says what the file proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod browser;
mod daemon;
mod doctor;
mod files;
mod history;
mod rtmp;
mod samples;
mod supervision;
mod workers;

use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Nginx, Publisher};

/// Returns an nginx where anybody may publish to `live`.
fn open() -> Config {
    Config::weir().with_api().app("live", "weir_publish open;")
}

/// Publishes the test stream of the harness (160x90, a keyframe per half second) under this name.
#[track_caller]
fn publish(nginx: &Nginx, name: &str) -> Publisher {
    Publisher::to(nginx.rtmp(), &format!("live/{name}")).start().started()
}

/// Returns a rule for all streams of `live`: these rungs, as files, in segments of one second.
fn rule(rungs: &str) -> String {
    format!(
        "[rung.low]\nheight = 44\nbitrate = \"60k\"\n[ladder.l]\nrungs = {rungs}\npreset = \"ultrafast\"\n\
         [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\nfolder = \"@MEDIA@\"\nsegment = \"1s\"\nwindow = \"20s\"\n\
         linger = \"0s\"\nkeep = \"10m\"\n"
    )
}
