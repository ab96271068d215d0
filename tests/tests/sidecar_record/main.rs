//! Recordings, stills and uploads of `weir serve`, beside stock nginx with Weir's module, with real ffmpeg and a real S3 server. Each
//! file's header says what the file proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod enhanced;
mod files;
mod odd;
mod space;
mod stills;
mod uploads;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Nginx, Publisher, products, until};

/// Returns an nginx where anybody may publish to `live`.
fn open() -> Config {
    Config::weir().with_api().app("live", "weir_publish open;")
}

/// Publishes the test stream of the harness (160x90, a keyframe per half second) under this name.
#[track_caller]
fn publish(nginx: &Nginx, name: &str) -> Publisher {
    Publisher::to(nginx.rtmp(), &format!("live/{name}")).start().started()
}

/// Returns all files with this extension below a folder, in the order of their names.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|known| known == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns the entries of a folder's recordings, oldest first.
fn entries(folder: &Path) -> Vec<Value> {
    let entries = files(&folder.join(".recordings"), "json").into_iter();
    entries.filter_map(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok()).collect()
}

/// Waits until a folder has `count` finished recordings.
#[track_caller]
fn wait_ended(folder: &Path, count: usize) {
    until("recordings have ended", 20.0, || {
        entries(folder).iter().filter(|entry| !entry["ended"].is_null()).count() >= count
    });
}

/// Returns ffmpeg's complaints when it decodes a whole file.
fn complaints(file: &Path) -> String {
    let output = Command::new(products::ffmpeg("ffmpeg"))
        .args(["-nostdin", "-v", "error", "-xerror", "-i"])
        .arg(file)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { errors } else { format!("{errors}: {}", output.status) }
}
