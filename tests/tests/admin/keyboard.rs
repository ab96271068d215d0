//! The dashboard with the keyboard only: log in, skip the navigation, open a view, create a key in a dialog, find the focus in its old
//! place again, revoke the key and take that back.

use serde_json::json;
use weir_tests::harness::Sidecar;
use weir_tests::harness::browser::Browser;

use super::look::{complaints, open, wait_for};
use super::{PASSWORD, Visitor, WEB, add, nginx};

// Key codes of WebDriver (section 17.4.2).
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// Presses Tab until an element that matches a selector has the focus.
#[track_caller]
fn tab_to(browser: &Browser, selector: &str) {
    for _ in 0..80 {
        if browser.run(&format!("return document.activeElement.matches({})", json!(selector))) == true {
            let shown = browser.run("return getComputedStyle(document.activeElement).outlineStyle");
            assert_ne!(shown, "none", "nobody sees where the focus is: {selector}");
            return;
        }
        browser.press(TAB);
    }
    panic!("Tab does not lead to {selector}");
}

fn write(browser: &Browser, text: &str) {
    for character in text.chars() {
        browser.press(&character.to_string());
    }
}

#[test]
fn everything_works_without_a_mouse() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let browser = Browser::start();
    open(&browser, &sidecar);
    wait_for(&browser, "the form", 10.0, "document.querySelector('input[type=password]')");
    tab_to(&browser, "input[name=name]");
    write(&browser, "ana");
    tab_to(&browser, "input[type=password]");
    write(&browser, PASSWORD);
    browser.press(ENTER);
    wait_for(&browser, "the dashboard", 10.0, "document.querySelector('nav a')");
    // The first stop is a link that skips the navigation.
    open(&browser, &sidecar);
    wait_for(&browser, "the dashboard", 10.0, "document.querySelector('nav a')");
    browser.press(TAB);
    assert_eq!(browser.run("return document.activeElement.className"), "skip");
    browser.press(ENTER);
    assert_eq!(browser.run("return document.activeElement.id"), "main");
    browser.run("document.querySelector('.skip').focus()");
    tab_to(&browser, "nav a[href='#keys']");
    browser.press(ENTER);
    wait_for(&browser, "the keys", 10.0, "document.querySelector('main .primary')");
    assert_eq!(browser.run("return document.activeElement.id"), "main");
    tab_to(&browser, "main .primary");
    browser.press(ENTER);
    wait_for(&browser, "the dialog", 5.0, "document.querySelector('dialog[open]')");
    wait_for(
        &browser,
        "the application",
        5.0,
        "document.querySelector('dialog input[name=app]').value === 'live'",
    );
    // Escape closes the dialog, and the focus returns to its old place.
    browser.press(ESCAPE);
    wait_for(&browser, "the dialog is gone", 5.0, "!document.querySelector('dialog')");
    wait_for(&browser, "the focus is back", 5.0, "document.activeElement.matches('main .primary')");
    browser.press(ENTER);
    wait_for(&browser, "the dialog again", 5.0, "document.querySelector('dialog[open]')");
    tab_to(&browser, "dialog input[name=stream]");
    write(&browser, "desk");
    browser.press(ENTER);
    wait_for(&browser, "the key", 10.0, "document.querySelector('#copy-StreamKey')");
    assert_eq!(browser.run("return document.querySelector('dialog').contains(document.activeElement)"), true);
    tab_to(&browser, "dialog .primary");
    browser.press(ENTER);
    wait_for(
        &browser,
        "the list",
        5.0,
        "!document.querySelector('dialog') && document.querySelector('tr[data-key]')",
    );
    tab_to(&browser, "tr[data-key] .danger");
    browser.press(ENTER);
    wait_for(&browser, "it can be taken back", 5.0, "document.querySelector('.toast button')");
    tab_to(&browser, ".toast button");
    browser.press(ENTER);
    wait_for(&browser, "it is taken back", 5.0, "!document.querySelector('.toast')");
    let keys = Visitor::logged_in(&sidecar, "ana").get("keys").1;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(complaints(&browser), [""; 0]);
}
