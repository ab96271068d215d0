//! Helpers for the look of pages: with a login, at three widths, light and dark, and with axe-core.
//!
//! With `WEIR_SCREENSHOTS=FOLDER`, the tests save a screenshot of each page.

use std::path::Path;

use serde_json::json;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Sidecar, products, until};

use super::PASSWORD;

/// Widths and heights in pixels, and the colour scheme of the system.
const SIZES: [(u32, u32, &str); 4] =
    [(360, 740, "dark"), (768, 1024, "light"), (1280, 800, "light"), (1280, 800, "dark")];

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

/// Asserts that nothing is too wide, and that axe-core finds no fault.
#[track_caller]
pub(super) fn look_at(browser: &Browser, name: &str) {
    let axe = products::workspace().join("build/npm/node_modules/axe-core/axe.min.js");
    browser.run(&std::fs::read_to_string(products::tool(&axe.to_string_lossy())).unwrap());
    for (width, height, scheme) in SIZES {
        browser.resize(width, height);
        browser.prefer(scheme);
        let wide = browser.run("return document.documentElement.scrollWidth - innerWidth");
        keep(browser, &format!("{name}-{width}-{scheme}"));
        assert!(wide.as_i64().unwrap() <= 0, "{name} at {width} is {wide} pixels too wide");
        browser.run(
            "window.found = null; axe.run({ resultTypes: ['violations'] }).then((all) => {
               window.found = all.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3)}`) })",
        );
        wait_for(browser, "axe-core", 60.0, "window.found");
        assert_eq!(browser.run("return window.found"), json!([]), "{name} at {width}, {scheme}");
    }
    browser.resize(1280, 900);
}

/// Saves a screenshot, if the developer asks for it.
pub(super) fn keep(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("WEIR_SCREENSHOTS") {
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), browser.screenshot()).unwrap();
    }
}
