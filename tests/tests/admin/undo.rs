//! *Stop* of the dashboard can be undone for ten seconds, in which the stream continues and the page counts down. It also works
//! immediately, by itself after the ten seconds, and when the page is closed or hidden or the user logs out before. If it fails, the page
//! says so, also before a logout. It never stops another publisher that has taken the name meanwhile.

use std::time::{Duration, Instant};

use serde_json::json;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Nginx, Publisher, Sidecar, until};

use super::look::{complaints, glance_at, go, log_in, wait_for};
use super::{WEB, add, nginx};

const STOP: &str = "[aria-label='Stop live/show']";
const LOG_OUT: &str = "main h1 + p button";

/// Returns a server with a daemon, a moderator `ana` and a stream key, and a browser.
fn stage() -> (Nginx, Sidecar, String, Browser) {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "moderator");
    let key = nginx.api().create_key("live", "show").key;
    (nginx, sidecar, key, Browser::start())
}

/// Opens the dialog of *Stop*, and clicks on its first, second or third answer.
#[track_caller]
fn stop(browser: &Browser, nth: usize) {
    wait_for(browser, "the card", 10.0, &format!("document.querySelector(\"{STOP}:not(:disabled)\")"));
    browser.click(STOP);
    wait_for(browser, "the dialog", 5.0, "document.querySelector('dialog[open]')");
    browser.click(&format!("dialog .danger:nth-of-type({})", nth + 1));
    wait_for(browser, "it is announced", 5.0, "document.querySelector('.toast .left')");
    assert_eq!(browser.run("return document.querySelector('dialog')"), json!(null));
}

fn is_live(nginx: &Nginx) -> bool {
    nginx.api().stream("live", "show").is_some()
}

#[test]
fn a_stop_can_be_undone_for_ten_seconds() {
    let (nginx, sidecar, key, browser) = stage();
    let publish = || Publisher::to(nginx.rtmp(), &format!("live/{key}")).start();
    let publisher = publish().started();
    log_in(&browser, &sidecar, "ana");

    // Undone: nothing happens, not even later.
    stop(&browser, 2);
    let begin = Instant::now();
    glance_at(&browser, "stop-undo");
    assert_eq!(browser.run(&format!("return document.querySelector(\"{STOP}\").disabled")), true);
    let left =
        || browser.run("return parseInt(document.querySelector('.toast .left')?.textContent)").as_u64();
    let first = left().unwrap();
    until("it counts down", 5.0, || left().is_some_and(|seconds| seconds < first));
    browser.click(".toast button");
    assert!(begin.elapsed() < Duration::from_secs(10), "the machine is too slow for this test");
    wait_for(&browser, "it is undone", 5.0, "!document.querySelector('.toast')");
    until("the ten seconds are over", 20.0, || {
        assert!(is_live(&nginx));
        begin.elapsed() > Duration::from_secs(12)
    });

    // Immediately, with a ban.
    stop(&browser, 2);
    browser.click(".toast button:nth-of-type(2)");
    publisher.wait_closed(5.0);
    wait_for(&browser, "it is said", 5.0, "document.querySelector('.toast.good')");
    publish().wait_closed(5.0);
    assert_eq!(complaints(&browser), [""; 0]);
}

#[test]
fn a_stop_happens_after_ten_seconds_and_when_the_page_is_closed() {
    let (nginx, sidecar, key, browser) = stage();
    let publish = || Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let mut publisher = publish();
    log_in(&browser, &sidecar, "ana");
    stop(&browser, 1);
    let begin = Instant::now();
    publisher.wait_closed(20.0);
    assert!(begin.elapsed() > Duration::from_secs(8), "{:?}", begin.elapsed());
    wait_for(&browser, "the card is gone", 5.0, "!document.querySelector('.card')");

    publisher = publish();
    stop(&browser, 1);
    let begin = Instant::now();
    browser.open("about:blank");
    publisher.wait_closed(8.0);
    assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
}

#[test]
fn a_stop_happens_when_the_user_logs_out_or_hides_the_page() {
    let (nginx, sidecar, key, browser) = stage();
    let publish = || Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let mut publisher = publish();
    log_in(&browser, &sidecar, "ana");
    stop(&browser, 1);
    let begin = Instant::now();
    go(&browser, "account");
    browser.click(LOG_OUT);
    publisher.wait_closed(8.0);
    assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
    wait_for(&browser, "the user is logged out", 10.0, "document.querySelector('input[name=name]')");
    until("the stream has ended", 5.0, || !is_live(&nginx));

    publisher = publish();
    log_in(&browser, &sidecar, "ana");
    stop(&browser, 1);
    let begin = Instant::now();
    browser.run("Object.defineProperty(document, 'hidden', { value: true })");
    browser.run("document.dispatchEvent(new Event('visibilitychange'))");
    publisher.wait_closed(8.0);
    assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
    wait_for(&browser, "it is said", 5.0, "document.querySelector('.toast.good')");
}

#[test]
fn a_stop_that_fails_is_said_before_the_logout() {
    let (nginx, sidecar, key, browser) = stage();
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    log_in(&browser, &sidecar, "ana");
    stop(&browser, 1);
    let begin = Instant::now();
    publisher.close();
    until("the stream has ended", 5.0, || !is_live(&nginx));
    go(&browser, "account");
    browser.click(LOG_OUT);
    wait_for(&browser, "the error", 5.0, "document.querySelector('.toast.bad')");
    assert!(begin.elapsed() < Duration::from_secs(9), "the machine is too slow for this test");
    let status = "return fetch('api/session').then((answer) => answer.status)";
    assert_eq!(browser.run(status), json!(200));
    browser.click(LOG_OUT);
    wait_for(&browser, "the user is logged out", 10.0, "document.querySelector('input[name=name]')");
}

#[test]
fn a_stop_does_not_hit_the_next_publisher() {
    let (nginx, sidecar, key, browser) = stage();
    let publish = || Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let publisher = publish();
    log_in(&browser, &sidecar, "ana");
    stop(&browser, 1);
    let begin = Instant::now();
    publisher.close();
    until("the first publish has ended", 5.0, || !is_live(&nginx));
    let next = publish();
    until("the next one is live", 5.0, || is_live(&nginx));
    assert!(begin.elapsed() < Duration::from_secs(9), "the machine is too slow for this test");
    let said = "document.querySelector('.toast.bad')?.textContent.includes('show has another publisher')";
    wait_for(&browser, "it is said", 20.0, said);
    assert!(begin.elapsed() > Duration::from_secs(8), "{:?}", begin.elapsed());
    next.send_more(2000);
    assert!(!next.is_closed() && is_live(&nginx));
    let can_stop = format!("document.querySelector(\"{STOP}:not(:disabled)\")");
    wait_for(&browser, "it can be stopped again", 5.0, &can_stop);
}
