//! A viewer watches in Chromium while the token of the link is revoked: the page stops, says why in the viewer's language, and offers ways
//! out. If the stream key of the publisher is revoked, the page says that the stream has ended.

use std::time::Instant;

use serde_json::json;
use weir_model::token::Claims;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::look::look_at;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Ffmpeg, Nginx, Sidecar, took, until};

use super::attacks::{claims, protected, signed};

/// Longest time from a revocation to a page that has stopped, in seconds (docs/operations.md).
const SOON: f64 = 5.0;

fn is(browser: &Browser, script: &str) -> bool {
    browser.run(&format!("return Boolean({script})")) == true
}

fn text(browser: &Browser, id: &str) -> String {
    browser.run(&format!("return document.getElementById('{id}').innerText")).as_str().unwrap().to_owned()
}

fn frames(browser: &Browser) -> u64 {
    let script = "return document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames";
    browser.run(script).as_u64().unwrap()
}

fn link(jti: &str) -> String {
    signed(&Claims { jti: Some(jti.parse().unwrap()), ..claims() })
}

#[track_caller]
fn start() -> (Nginx, Sidecar, Ffmpeg) {
    let nginx = protected().start();
    let port = Port::reserve();
    let sidecar =
        Sidecar::start(&nginx, &format!("[web]\n[webrtc]\nlisten = \"127.0.0.1:{}\"\n", port.number()));
    let publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    (nginx, sidecar, publisher)
}

/// Watches with a link of this name, and revokes it.
#[track_caller]
fn watch_and_revoke(nginx: &Nginx, sidecar: &Sidecar, browser: &Browser, page: &str, tech: &str, jti: &str) {
    let token = link(jti);
    browser.open(&format!("http://127.0.0.1:{}{page}?tech={tech}&token={token}&lang=de", sidecar.web()));
    until(&format!("it plays by {tech}"), 40.0, || {
        is(
            browser,
            &format!("document.body.dataset.state === 'PLAYING' && document.body.dataset.tech === '{tech}'"),
        ) && frames(browser) > 20
    });
    let begin = Instant::now();
    nginx.api().post("/v1/tokens/revoke", &json!({ "jti": jti })).expect(200);
    until("it stops", 30.0, || is(browser, "document.body.dataset.state === 'FAILED'"));
    took(&format!("{page} by {tech} stops"), begin, SOON);
    // What has already arrived may still be shown.
    let mut last = (frames(browser), Instant::now());
    until("nothing new is shown", 5.0, || {
        let now = frames(browser);
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed().as_secs_f64() > 1.0
    });
}

#[test]
fn the_watch_page_stops_and_says_why() {
    let (nginx, sidecar, _publisher) = start();
    let browser = Browser::start();
    for tech in ["ws", "llhls", "hls", "whep"] {
        watch_and_revoke(&nginx, &sidecar, &browser, "/watch/live/show", tech, tech);
        let words = text(&browser, "offline-text");
        assert!(words.contains("widerrufen") && words.contains("neuen Link"), "{words}");
        assert!(is(&browser, "!offline.hidden && offline.querySelector('a').checkVisibility()"));
    }
    look_at(&browser, "revoked");
    // The link stays refused; a cookie with a valid token opens the stream again.
    browser.click("#again");
    until("it is still refused", 20.0, || is(&browser, "document.body.dataset.state === 'FAILED'"));
    let valid = link("other");
    browser.run(&format!("document.cookie = 'weir_token={valid}; path=/'"));
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show?tech=ws", sidecar.web()));
    until("it plays", 30.0, || is(&browser, "document.body.dataset.state === 'PLAYING'"));
    nginx.api().post("/v1/tokens/revoke", &json!({ "jti": "other" })).expect(200);
    until("it stops", 30.0, || is(&browser, "document.body.dataset.state === 'FAILED'"));
    browser.run(&format!("document.cookie = 'weir_token={}; path=/'", link("third")));
    browser.click("#again");
    until("it plays again", 30.0, || is(&browser, "document.body.dataset.state === 'PLAYING'"));
    assert!(is(&browser, "offline.hidden && document.getElementById('status').hidden"));
}

#[test]
fn the_embedded_player_stops_and_says_why() {
    let (nginx, sidecar, _publisher) = start();
    let browser = Browser::start();
    watch_and_revoke(&nginx, &sidecar, &browser, "/embed/live/show", "ws", "one");
    let words = text(&browser, "status");
    assert!(words.contains("widerrufen"), "{words}");
    look_at(&browser, "revoked-embed");
    assert!(is(&browser, "document.getElementById('again').checkVisibility()"));
}

#[test]
fn a_revoked_stream_key_ends_the_stream_for_its_viewers() {
    let nginx = Config::weir().with_api().app("live", "weir_publish key;").start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let key = nginx.api().create_key("live", "show");
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/{}", nginx.rtmp(), key.key));
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show", sidecar.web()));
    until("it plays", 40.0, || {
        is(&browser, "document.body.dataset.state === 'PLAYING'") && frames(&browser) > 20
    });
    let begin = Instant::now();
    nginx.api().delete(&format!("/v1/keys/{}", key.id)).expect(200);
    until("the page says it", 30.0, || text(&browser, "offline-text") == "The stream has ended.");
    took("the page stops", begin, SOON);
    assert!(is(&browser, "offline.querySelector('a').checkVisibility()"));
}
