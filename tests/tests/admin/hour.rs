//! A dashboard that stays open costs little: with 50 streams, it adds less than 1 % of a core to the daemon, and the page's memory stays
//! flat.
//!
//! The test takes half an hour. `WEIR_DASHBOARD_MINUTES` sets another time, at least 15 minutes.

use std::time::{Duration, Instant};

use weir_tests::harness::browser::Browser;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Crowd, Sidecar, until};

use super::look::{complaints, go, log_in};
use super::{WEB, add};

const STREAMS: usize = 50;
/// Time without a dashboard, for comparison.
const ALONE: Duration = Duration::from_secs(180);
/// Time after which the page has all that it keeps: the bitrates of ten minutes.
const FULL: Duration = Duration::from_secs(11 * 60);
const SAMPLE: Duration = Duration::from_secs(60);
/// Most of a core that an open dashboard adds to the daemon.
const MOST: f64 = 0.01;
/// Samples of which the least is what the page keeps.
const WINDOW: usize = 4;
/// Most that the page's memory may differ from its memory at [`FULL`].
const FLAT: f64 = 1.1;

/// Returns the time to measure.
fn length() -> Duration {
    let minutes = std::env::var("WEIR_DASHBOARD_MINUTES").map_or(30, |text| text.parse().unwrap());
    assert!(minutes >= 15, "WEIR_DASHBOARD_MINUTES={minutes}: must be at least 15");
    Duration::from_secs(minutes * 60)
}

/// Waits for a time to pass: nothing else happens in this test.
fn pass(time: Duration) {
    let end = Instant::now() + time;
    until("the time passes", time.as_secs_f64() + 10.0, || Instant::now() >= end);
}

/// Returns the part of a core that a process has used since a time.
fn share(process: Process, (begin, before): (Instant, Duration)) -> f64 {
    (process.time_of_group() - before).as_secs_f64() / begin.elapsed().as_secs_f64()
}

#[test]
#[ignore = "half an hour: make test-long"]
fn an_open_dashboard_costs_little() {
    let length = length();
    let nginx = Config::weir().with_api().app("live", "weir_publish open;").start();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let crowd = Crowd::start(nginx.rtmp(), (0..STREAMS).map(|n| format!("live/show{n}"))).started();
    let process = sidecar.process();
    let start = || (Instant::now(), process.time_of_group());
    let begin = start();
    pass(ALONE);
    let alone = share(process, begin);
    println!("without a dashboard: {:.2} % of a core", alone * 100.0);

    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    go(&browser, "air");
    let more = "[...document.querySelectorAll('main button')].find(({ textContent }) => textContent.startsWith('Show '))";
    until("all cards are there", 20.0, || {
        browser.run(&format!("{more}?.click()"));
        browser.run("return document.querySelectorAll('.card').length") == STREAMS
    });
    // A graph is drawn when it is first seen.
    until("the graphs are there", 60.0, || {
        browser.run("document.querySelector('.chart:not(:has(canvas))')?.scrollIntoView()");
        browser.run("return document.querySelectorAll('.chart canvas').length") == STREAMS
    });
    let (begin, mut heaps, mut open) = (start(), Vec::new(), 0.0);
    while begin.0.elapsed() < length {
        pass(SAMPLE);
        let (heap, nodes) = browser.memory();
        let at = begin.0.elapsed();
        heaps.push((at, heap, nodes));
        open = share(process, begin);
        let (minutes, percent, heap) = (at.as_secs() / 60, open * 100.0, heap / 1e6);
        println!("after {minutes} minutes: {percent:.2} % of a core, {heap:.2} MB, {nodes} nodes");
    }
    assert!(open - alone < MOST, "{open} of a core, and {alone} without the dashboard");
    let full: Vec<_> = heaps.iter().filter(|(at, ..)| *at >= FULL).collect();
    // Between the collection of garbage and the measurement, an answer of the daemon may arrive. What the page keeps is in every sample.
    let kept = |of: fn(&(Duration, f64, f64)) -> f64| -> Vec<f64> {
        full.chunks(WINDOW).map(|some| some.iter().copied().map(of).fold(f64::INFINITY, f64::min)).collect()
    };
    for kept in [kept(|(_, heap, _)| *heap), kept(|(.., nodes)| *nodes)] {
        assert!(kept.iter().all(|now| now / kept[0] < FLAT), "{kept:?} of {full:?}");
    }
    assert_eq!(crowd.broken(), 0);
    assert_eq!(complaints(&browser), [""; 0]);
}
