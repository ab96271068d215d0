//! The controls of the watch page in Chromium, with the keyboard only and with the mouse: quality, picture-in-picture, share, and the facts
//! for experts.

use serde_json::{Value, json};
use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Ffmpeg, Sidecar, until};

use super::open;

// Key codes of WebDriver (section 17.4.2).
const ENTER: &str = "\u{e007}";
const DOWN: &str = "\u{e015}";

/// Notes what the page copies and shares. The browser of a desktop has no `navigator.share`; with `#share` in the address, it has one.
const NOTE: &str = "
    window.copied = [];
    window.shared = [];
    const write = navigator.clipboard?.writeText.bind(navigator.clipboard);
    if (write) navigator.clipboard.writeText = (text) => write(text).then(() => void window.copied.push(text));
    if (location.hash === '#share') navigator.share = async (data) => void window.shared.push(data);";

fn wait_for(browser: &Browser, what: &str, script: &str) {
    until(what, 20.0, || browser.run(&format!("return Boolean({script})")) == true);
}

/// The page has asked for media of this stream since the last call.
fn wait_media(browser: &Browser, name: &str) {
    let asked = format!(
        "performance.getEntriesByType('resource').some((one) => one.name.includes('/stream/live/{name}/llhls/'))"
    );
    wait_for(browser, &format!("media of {name}"), &asked);
    wait_for(browser, &format!("{name} plays"), "document.body.dataset.state === 'PLAYING'");
    let at = browser.run("return document.getElementById('video').currentTime").as_f64().unwrap();
    wait_for(
        browser,
        "the video moves",
        &format!("Math.abs(document.getElementById('video').currentTime - {at}) > 0.5"),
    );
    browser.run("performance.clearResourceTimings()");
}

#[test]
fn every_control_works_without_a_mouse() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let publish = |name: &str| Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/{name}", nginx.rtmp()));
    // A name such as NAME_480p tells a rendition, also where no ladder is configured.
    let _publishers = ["show", "show_480p"].map(publish);
    let page = format!("http://127.0.0.1:{}/watch/live/show?tech=llhls", sidecar.web());
    let browser = Browser::start();
    browser.begin_with(NOTE);
    browser.open(&page);
    wait_media(&browser, "show");

    wait_for(
        &browser,
        "both renditions are offered",
        "document.getElementById('quality').options.length === 3",
    );
    let offered =
        browser.run("return [...document.getElementById('quality').options].map(({ value }) => value)");
    assert_eq!(offered, json!(["", "source", "live/show_480p"]));
    browser.tab_to("#quality");
    for wanted in ["source", "live/show_480p"] {
        browser.press(DOWN);
        wait_for(&browser, wanted, &format!("document.getElementById('quality').value === '{wanted}'"));
    }
    wait_media(&browser, "show_480p");
    browser.press("\u{e013}");
    wait_media(&browser, "show");

    browser.tab_to("#share");
    browser.press(ENTER);
    wait_for(&browser, "the page says so", "document.getElementById('share').textContent === 'Link copied'");
    let address = format!("http://127.0.0.1:{}/watch/live/show", sidecar.web());
    assert_eq!(browser.run("return window.copied"), json!([address]));

    let is_beside = "document.pictureInPictureElement === document.getElementById('video')";
    browser.tab_to("#pip");
    browser.press(ENTER);
    wait_for(&browser, "the video is beside the page", is_beside);
    browser.press(" ");
    wait_for(&browser, "the video is back", "document.pictureInPictureElement === null");
    browser.click("#pip");
    wait_for(&browser, "the mouse does the same", is_beside);
    browser.click("#pip");
    wait_for(&browser, "and back", "document.pictureInPictureElement === null");

    let opened = "document.getElementById('facts').open";
    browser.tab_to("#facts summary");
    browser.press(ENTER);
    wait_for(&browser, "the facts are open", opened);
    let fact = |id: &str| browser.run(&format!("return document.getElementById('{id}').textContent"));
    let is_known = |id: &str| fact(id).as_str().is_some_and(|text| !text.is_empty() && text != "no value");
    for id in ["fact-tech", "fact-latency", "fact-dropped", "fact-node", "fact-load", "clock"] {
        until(id, 15.0, || is_known(id));
    }
    assert_eq!(fact("fact-tech"), "LL-HLS");
    let clock = fact("clock");
    until("the clock goes", 5.0, || fact("clock") != clock);
    browser.press(" ");
    wait_for(&browser, "the facts are closed", &format!("!{opened}"));
    assert_eq!(browser.run("return document.activeElement.matches('#facts summary')"), true);

    // A browser that can share shows its own dialog.
    browser.open("about:blank");
    browser.open(&format!("{page}#share"));
    wait_for(&browser, "it plays", "document.body.dataset.state === 'PLAYING'");
    browser.tab_to("#share");
    browser.press(" ");
    wait_for(&browser, "it is shared", "window.shared.length === 1");
    let shared = browser
        .run("return [window.shared[0].url, window.copied, document.getElementById('share').textContent]");
    assert_eq!(shared, json!([address, [], "Share"]));
    let mut lines = browser.console();
    lines.retain(|line| line.contains("Content Security Policy") || line.contains("Uncaught"));
    assert_eq!(lines, [""; 0]);
    assert_eq!(browser.run("return window.broken ?? null"), Value::Null);
}
