//! The dashboard with the keyboard only: log in, skip the navigation, open a view, create a key in a dialog, find the focus in its old
//! place again, revoke the key and take that back. A key that is shown only once stays until the user closes it with its button.

use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Publisher, Sidecar};

use super::look::{complaints, log_in, open, wait_for};
use super::{PASSWORD, Visitor, WEB, add, nginx};

// Key codes of WebDriver (section 17.4.2).
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

fn write(browser: &Browser, text: &str) {
    for character in text.chars() {
        browser.press(&character.to_string());
    }
}

/// The dialog of a target, a chat, and a stop that is taken back.
#[test]
fn a_stream_stops_and_a_target_starts_without_a_mouse() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, &format!("{WEB}[chat]\nenabled = true\n"));
    add(&sidecar, "ana", "admin");
    let key = nginx.api().create_key("live", "show").key;
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    let visit = |view: &str| {
        browser.run("document.querySelector('.skip').focus()");
        browser.tab_to(&format!("nav a[href='#{view}']"));
        browser.press(ENTER);
        wait_for(
            &browser,
            view,
            10.0,
            &format!("location.hash === '#{view}' && document.activeElement.id === 'main'"),
        );
    };
    visit("targets");
    browser.tab_to("main .primary");
    browser.press(ENTER);
    wait_for(&browser, "the dialog", 5.0, "document.querySelector('dialog[open]')");
    browser.press(ESCAPE);
    wait_for(&browser, "the focus is back", 5.0, "document.activeElement.matches('main .primary')");
    // The browser's Back closes a dialog with its view.
    browser.press(ENTER);
    wait_for(&browser, "the dialog", 5.0, "document.querySelector('dialog[open]')");
    browser.run("history.back()");
    let is_before = "!document.querySelector('dialog') && location.hash !== '#targets' && document.activeElement.id === 'main'";
    wait_for(&browser, "the view before", 5.0, is_before);
    visit("chat");
    wait_for(&browser, "the room", 10.0, "document.querySelector('main td .pill')");
    browser.tab_to("main tbody a");
    browser.press(ENTER);
    wait_for(&browser, "the chat of the room", 10.0, "document.querySelector('#said')");
    visit("air");
    let stop = "[aria-label='Stop live/show']";
    wait_for(&browser, "the card", 20.0, &format!("document.querySelector(\"{stop}\")"));
    browser.tab_to(stop);
    browser.press(ENTER);
    wait_for(&browser, "the dialog", 5.0, "document.querySelector('dialog[open]')");
    browser.tab_to("dialog .danger");
    browser.press(ENTER);
    wait_for(&browser, "it can be taken back", 5.0, "document.querySelector('.toast .left')");
    browser.tab_to(".toast button");
    browser.press(ENTER);
    wait_for(&browser, "it is taken back", 5.0, "!document.querySelector('.toast')");
    assert_eq!(Visitor::logged_in(&sidecar, "ana").get("streams").1["streams"].as_array().unwrap().len(), 1);
    assert_eq!(complaints(&browser), [""; 0]);
}

#[test]
fn everything_works_without_a_mouse() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let browser = Browser::start();
    open(&browser, &sidecar);
    wait_for(&browser, "the form", 10.0, "document.querySelector('input[type=password]')");
    browser.tab_to("input[name=name]");
    write(&browser, "ana");
    browser.tab_to("input[type=password]");
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
    browser.tab_to("nav a[href='#keys']");
    browser.press(ENTER);
    wait_for(&browser, "the keys", 10.0, "document.querySelector('main .primary')");
    assert_eq!(browser.run("return document.activeElement.id"), "main");
    browser.tab_to("main .primary");
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
    browser.tab_to("dialog input[name=stream]");
    write(&browser, "desk");
    browser.press(ENTER);
    wait_for(&browser, "the key", 10.0, "document.querySelector('#copy-StreamKey')");
    assert_eq!(browser.run("return document.querySelector('dialog').contains(document.activeElement)"), true);
    // The key is shown only once: it stays until the user has confirmed that. A browser closes a dialog at the second Escape.
    let stays = "document.querySelector('dialog[open] #copy-StreamKey')";
    browser.run(
        "window.escapes = 0; addEventListener('keyup', (event) => window.escapes += event.key === 'Escape')",
    );
    for nth in 1..=3 {
        browser.press(ESCAPE);
        wait_for(&browser, "the key stays", 5.0, &format!("window.escapes === {nth} && {stays}"));
    }
    browser.run("window.steps = 0; addEventListener('hashchange', () => window.steps += 1); history.back()");
    let is_here = format!("window.steps === 1 && location.hash === '#keys' && {stays}");
    wait_for(&browser, "the key stays in its view", 5.0, &is_here);
    browser.tab_to("dialog .primary");
    browser.press(ENTER);
    wait_for(
        &browser,
        "the list",
        5.0,
        "!document.querySelector('dialog') && document.querySelector('tr[data-key]')",
    );
    browser.tab_to("tr[data-key] .danger");
    browser.press(ENTER);
    wait_for(&browser, "it can be taken back", 5.0, "document.querySelector('.toast button')");
    browser.tab_to(".toast button");
    browser.press(ENTER);
    wait_for(&browser, "it is taken back", 5.0, "!document.querySelector('.toast')");
    let keys = Visitor::logged_in(&sidecar, "ana").get("keys").1;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    // A rotation without an overlap needs the name, because nobody can bring the old secret back.
    browser.tab_to("tr[data-key] button:not(.danger)");
    browser.press(ENTER);
    wait_for(&browser, "the dialog", 5.0, "document.querySelector('dialog[open]')");
    assert_eq!(browser.run("return document.querySelector('dialog .primary').disabled"), true);
    browser.tab_to("dialog input");
    write(&browser, "live/desk");
    wait_for(&browser, "it is confirmed", 5.0, "!document.querySelector('dialog .primary').disabled");
    browser.press(ENTER);
    wait_for(&browser, "the new key", 10.0, "document.querySelector('#copy-StreamKey')");
    assert_eq!(complaints(&browser), [""; 0]);
}
