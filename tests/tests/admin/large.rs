//! The dashboard of a large site stays fluent: 500 streams, 2,000 targets, 10,000 keys, and each step takes less than 100 ms.

use serde_json::json;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Crowd, Sidecar, until};

use super::look::{complaints, go, log_in, wait_for};
use super::{WEB, add};

const STREAMS: usize = 500;
const TARGETS: usize = 2_000;
const KEYS: usize = 10_000;
/// Delay below which a person notices nothing, in milliseconds.
const MOST: f64 = 100.0;

/// Returns the milliseconds from an action to the frame that shows its result: the median of five.
fn step(browser: &Browser, what: &str, act: &str, back: &str) -> f64 {
    let mut all: Vec<f64> = (0..5)
        .map(|_| {
            let script = format!(
                "const frames = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
                 return frames().then(() => {{ const begin = performance.now(); {act}; return frames().then(() => performance.now() - begin); }})"
            );
            let took = browser.run(&script).as_f64().unwrap();
            browser.run(&format!(
                "{back}; return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))"
            ));
            took
        })
        .collect();
    all.sort_by(f64::total_cmp);
    println!("{what}: {all:.0?} ms");
    all[2]
}

#[test]
#[ignore = "a minute on a machine without other work: make test-long"]
fn a_large_site_is_fluent() {
    let nginx = Config::weir()
        .connections(2048)
        .main("weir_secret @DIR@/secret;")
        .file("secret", "0123456789abcdef0123456789abcdef")
        .main("weir_zone 32m;")
        .http("location /api { weir_api; }")
        .app("live", "weir_publish open; weir_push on; weir_push_allow all;")
        .app("later", "weir_publish key; weir_push off;")
        .start();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let api = nginx.api();
    for n in 0..KEYS {
        api.create_key("later", &format!("k{n}"));
    }
    for n in 0..TARGETS {
        let target = json!({ "app": "later", "stream": format!("k{n}"), "url": format!("rtmp://127.0.0.1/app/secret{n}") });
        api.post("/v1/targets", &target).expect(201);
    }
    let _crowd = Crowd::start(nginx.rtmp(), (0..STREAMS).map(|n| format!("live/show{n}"))).started();
    let browser = Browser::start();
    browser.resize(1280, 800);
    log_in(&browser, &sidecar, "ana");
    go(&browser, "air");
    wait_for(&browser, "the cards", 20.0, "document.querySelectorAll('.card').length >= 20");
    until("all streams are known", 20.0, || {
        browser.run("return document.querySelector('main').textContent").to_string().contains("of 500")
    });
    let filter = "const input = document.querySelector('input[type=search]');
        const set = (text) => { input.value = text; input.dispatchEvent(new Event('input', { bubbles: true })); };";
    let steps = [
        step(&browser, "filter", &format!("{filter} set('show4')"), &format!("{filter} set('')")),
        step(&browser, "filter to one", &format!("{filter} set('show499')"), &format!("{filter} set('')")),
        step(&browser, "keys", "location.hash = 'keys'", "location.hash = 'air'"),
        step(&browser, "targets", "location.hash = 'targets'", "location.hash = 'air'"),
        step(&browser, "on air", "location.hash = 'air'", "location.hash = 'keys'"),
    ];
    go(&browser, "keys");
    wait_for(&browser, "the keys", 20.0, "document.querySelectorAll('tr[data-key]').length === 100");
    let of = |what: &str| format!("document.querySelector('.pages button:{what}-of-type')");
    let (previous, next) = (of("first"), of("last"));
    // However far somebody goes, the document has the rows of one page.
    for page in 2..=20 {
        browser.run(&format!("{next}.click()"));
        let shown = format!(
            "document.querySelector('.pages').textContent.includes('{}01 to {page}00 of 10000')",
            page - 1
        );
        wait_for(&browser, "the next page", 5.0, &shown);
        assert_eq!(browser.run("return document.querySelectorAll('tr[data-key]').length"), 100);
    }
    let press = [
        step(&browser, "next page", &format!("{next}.click()"), &format!("{previous}.click()")),
        step(&browser, "previous page", &format!("{previous}.click()"), &format!("{next}.click()")),
    ];
    browser.run(&format!("{filter} set('later/k77 ')"));
    wait_for(&browser, "one key", 5.0, "document.querySelectorAll('tr[data-key]').length === 1");
    assert!(steps.iter().chain(&press).all(|took| *took < MOST), "{steps:?} {press:?}");
    assert_eq!(complaints(&browser), Vec::<String>::new());
}
