//! Weir's module in stock nginx: one binary, so that its tests run beside each other. Each file's header says what it proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod admission;
mod advice;
mod api;
mod churn;
mod commands;
mod control;
mod duplicates;
mod early;
mod events;
mod exec;
mod failed_reload;
mod files;
mod foreign;
mod gop_cache;
mod hazards;
mod logs;
mod long_lists;
mod many;
mod members;
mod merged;
mod misplaced_keys;
mod names;
mod one_publish;
mod overlap;
mod publish_keys;
mod pull;
mod push_to;
mod rejected_configs;
mod reload;
mod restore;
mod secrecy;
mod servers;
mod single_process;
mod slow_links;
mod state_disk;
mod state_file;
mod statistics;
mod takeover;
mod targets;
mod throttle;
mod tokens;
mod upgrade;
mod worker_death;
mod workers;
mod zone_full;

use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Nginx, until};

/// HLS that keeps every segment in the playlist.
const HLS: &str = "hls on; hls_path @DIR@/hls; hls_fragment 1s; hls_playlist_length 60s;";

/// Status code that a publisher with a wrong key or a bad name gets.
const BAD_NAME: &str = "NetStream.Publish.BadName";
/// Status code that a publisher gets when its key is known but may not be used here or now.
const DENIED: &str = "NetStream.Publish.Denied";

/// Returns a configuration with a zone, the API, and an application `live` that requires keys.
fn keyed() -> Config {
    Config::weir().with_api().app("live", "weir_publish key;")
}

/// Waits until the API no longer lists the stream.
#[track_caller]
fn wait_gone(api: &Api, app: &str, name: &str) {
    until("the stream is gone from the list", 5.0, || api.stream(app, name).is_none());
}

/// Waits until the API lists the stream.
#[track_caller]
fn wait_live(api: &Api, app: &str, name: &str) -> serde_json::Value {
    until("the stream is on the list", 5.0, || api.stream(app, name))
}

/// Returns the PID of the worker that has the stream's publisher.
#[track_caller]
fn worker_of(nginx: &Nginx, name: &str) -> i32 {
    wait_live(&nginx.api(), "live", name)["publisher"]["worker_pid"].as_i64().unwrap() as i32
}

/// Parses a time of an answer, which must be RFC 3339.
#[track_caller]
fn time(value: &serde_json::Value) -> weir_model::Timestamp {
    value.as_str().unwrap().parse().unwrap()
}
