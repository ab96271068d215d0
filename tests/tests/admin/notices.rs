//! The notices of the dashboard: it shows the two newest, and a button shows the earlier ones. When the list is short again, later notices
//! are again at most two.

use serde_json::{Value, json};
use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Sidecar, until};

use super::look::{complaints, log_in};
use super::{WEB, add, nginx};

/// Shows notices that stay. `window.gone` gets the functions that remove them.
#[track_caller]
fn say(browser: &Browser, texts: &[&str]) {
    browser.run(&format!(
        "return import(new URL('assets/ui.js', location.href)).then(({{ say }}) => {{
           window.gone = {}.map((text) => say(text, {{ ms: 3600000 }}));
         }})",
        json!(texts)
    ));
}

fn shown(browser: &Browser) -> Value {
    browser.run(
        "return [...document.querySelectorAll('.toasts .toast')].map((one) => one.querySelector('span').textContent)",
    )
}

#[test]
fn a_button_shows_the_earlier_notices() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    say(&browser, &["One", "Two", "Three", "Four"]);
    until("the newest are shown", 10.0, || shown(&browser) == json!(["2 earlier messages", "Three", "Four"]));
    assert_eq!(browser.run("return document.querySelector('.toasts button').textContent"), "Show");
    browser.click(".toasts button");
    until("all are shown", 10.0, || shown(&browser) == json!(["One", "Two", "Three", "Four"]));
    assert_eq!(browser.run("return document.querySelector('.toasts button')"), json!(null));
    browser.run("window.gone.slice(0, 2).forEach((gone) => gone())");
    until("two are left", 10.0, || shown(&browser) == json!(["Three", "Four"]));
    say(&browser, &["Five"]);
    until("the list is short again", 10.0, || {
        shown(&browser) == json!(["1 earlier message", "Four", "Five"])
    });
    assert_eq!(complaints(&browser), [""; 0]);
}
