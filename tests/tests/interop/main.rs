//! Real encoders, with keys and with the guard on: none of them may notice Weir.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod captures;
mod early;
mod encoders;
mod obs;
mod reloads;

use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Nginx, metrics, until};

/// Returns a configuration with keys, HLS with every segment in the playlist, and metrics.
fn keyed() -> Config {
    let hls = "hls on; hls_path @DIR@/hls; hls_fragment 1s; hls_playlist_length 60s;";
    Config::weir()
        .with_api()
        .http("location /metrics { weir_stat prometheus; }")
        .app("live", &format!("weir_publish key; {hls}"))
}

/// Returns the stream's entry, once its video and audio codecs are known.
#[track_caller]
fn wait_on_air(nginx: &Nginx, name: &str) -> serde_json::Value {
    until("the stream is live with video and audio", 20.0, || {
        let stream = nginx.api().stream("live", name)?;
        (stream["video"]["codec"] == "H264" && stream["audio"]["codec"] == "AAC").then_some(stream)
    })
}

#[track_caller]
fn wait_gone(nginx: &Nginx, name: &str) {
    until("the stream is gone from the list", 5.0, || nginx.api().stream("live", name).is_none());
}

/// Returns the URL to publish `name`, with a new key.
fn url(nginx: &Nginx, name: &str) -> String {
    format!("rtmp://127.0.0.1:{}/live/{}", nginx.rtmp(), nginx.api().create_key("live", name).key)
}

/// Asserts that the guard has refused nothing, and that no publish was refused.
#[track_caller]
fn assert_nothing_refused(nginx: &Nginx) {
    let samples = metrics::read(&Api::new(&nginx.url("")).get("/metrics").text);
    let counted = samples.iter().filter(|((name, _), _)| name == "weir_guard_refused_total");
    let counted: Vec<_> = counted.collect();
    assert!(!counted.is_empty() && counted.iter().all(|(_, count)| **count == 0.0), "{counted:?}");
    let log = nginx.log();
    let logged = log.lines().filter(|line| line.contains("refused:") || line.contains("by the guard"));
    assert_eq!(logged.collect::<Vec<_>>(), Vec::<&str>::new());
}
