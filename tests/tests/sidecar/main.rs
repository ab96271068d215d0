//! `weir serve` beside stock nginx with Weir's module, with real ffmpeg: one binary, so that its tests run beside each other.
//! Each file's header says what it proves.
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

/// An nginx where anybody may publish to `live`.
fn open() -> Config {
    Config::weir().with_api().app("live", "weir_publish open;")
}

/// The test stream of the harness (160x90, a key frame each half second) under this name.
#[track_caller]
fn publish(nginx: &Nginx, name: &str) -> Publisher {
    Publisher::to(nginx.rtmp(), &format!("live/{name}")).start().started()
}

/// A rule for all streams of `live`: these rungs, as files, in segments of a second.
fn rule(rungs: &str) -> String {
    format!(
        "[rung.low]\nheight = 44\nbitrate = \"60k\"\n[ladder.l]\nrungs = {rungs}\npreset = \"ultrafast\"\n\
         [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\nfolder = \"@MEDIA@\"\nsegment = \"1s\"\nwindow = \"20s\"\n\
         linger = \"0s\"\nkeep = \"10m\"\n"
    )
}
