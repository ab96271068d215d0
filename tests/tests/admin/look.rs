//! Helpers for the pages of the dashboard: they log in, and open its views.

use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Sidecar, until};

use super::PASSWORD;

pub(super) use weir_tests::harness::look::{glance_at, keep, look_at};

#[track_caller]
pub(super) fn wait_for(browser: &Browser, what: &str, seconds: f64, script: &str) {
    until(what, seconds, || browser.run(&format!("return Boolean({script})")) == true);
}

#[track_caller]
pub(super) fn open(browser: &Browser, sidecar: &Sidecar) {
    browser.open(&format!("http://127.0.0.1:{}/admin/", sidecar.web()));
}

#[track_caller]
pub(super) fn log_in(browser: &Browser, sidecar: &Sidecar, name: &str) {
    // A logged-in user gets no login form.
    browser.forget();
    open(browser, sidecar);
    wait_for(browser, "the form", 10.0, "document.querySelector('input[type=password]')");
    browser.fill("input[name=name]", name);
    browser.fill("input[type=password]", PASSWORD);
    browser.click("form button");
    wait_for(browser, "the dashboard", 10.0, "document.querySelector('nav a')");
}

#[track_caller]
pub(super) fn go(browser: &Browser, view: &str) {
    browser.run(&format!("location.hash = '{view}'"));
    let is_there = format!(
        "document.querySelector('nav a[aria-current]')?.hash === '#{view}'
         && !document.querySelector('main').textContent.includes('Loading...')"
    );
    wait_for(browser, view, 10.0, &is_there);
}

/// Returns the lines of the console, except for expected refusals.
#[track_caller]
pub(super) fn complaints(browser: &Browser) -> Vec<String> {
    let mut lines = browser.console();
    lines.retain(|line| !["401", "400"].iter().any(|code| line.contains(&format!("status of {code}"))));
    lines
}
