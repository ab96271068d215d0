//! The dashboard in Chromium: log in, create a key, publish with it, and see the card within a second in every open dashboard; revoke the
//! key, and the card disappears. Two keys of a stream differ on the page. The page of a used setup link says so, and leads to the login.
//! Text of other people is only text. Nothing violates the policy or the rules of axe-core, at 360, 768 and 1280 pixels, light and dark.
//! Another site can change nothing, and the first load is small.

use std::time::Instant;

use serde_json::json;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Publisher, Sidecar, took};

use super::hostile::HOSTILE;
use super::look::{complaints, go, log_in, look_at, wait_for};
use super::{PASSWORD, Visitor, WEB, add, admin, nginx, text};

const VIEWS: [&str; 13] = [
    "air",
    "chat",
    "keys",
    "targets",
    "recordings",
    "history",
    "inputs",
    "jobs",
    "edges",
    "node",
    "events",
    "settings",
    "account",
];
/// Most bytes of the first load, with headers.
const MOST_BYTES: u64 = 150_000;

const CARD: &str = "document.querySelector('[data-stream=\"live/show\"]')";

#[test]
fn the_page_of_a_used_link_says_so_and_leads_to_the_login() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    let link = text(&admin(&sidecar, &["setup-link"], "").stdout).trim().to_owned();
    let token = link.split_once("#setup=").unwrap().1;
    let account = json!({ "token": token, "name": "ana", "password": PASSWORD });
    assert_eq!(Visitor::at(&sidecar).ask("POST", "setup", &account).0, 200);
    let browser = Browser::start();
    browser.open(&link);
    wait_for(&browser, "the sentence", 10.0, "document.querySelector('main.door [role=alert]')?.textContent");
    let said = browser.run("return document.querySelector('main.door [role=alert]').textContent");
    assert!(said.as_str().unwrap().starts_with("This link was used before, or has expired"), "{said}");
    assert_eq!(browser.run("return document.querySelector('form')"), json!(null));
    assert_eq!(browser.run("return document.querySelector('main.door a').textContent"), "Log in");
    browser.click("main.door a");
    wait_for(&browser, "the login", 10.0, "document.querySelector('input[type=password]')");
    browser.fill("input[name=name]", "ana");
    browser.fill("input[type=password]", PASSWORD);
    browser.click("form button");
    wait_for(&browser, "the dashboard", 10.0, "document.querySelector('nav a')");
}

#[test]
fn a_key_is_made_used_and_revoked_in_two_dashboards() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    let link = String::from_utf8(admin(&sidecar, &["setup-link"], "").stdout).unwrap();
    let (first, second) = (Browser::start(), Browser::start());
    // The link creates the administrator, and is removed from the address.
    first.open(link.trim());
    wait_for(&first, "the form", 10.0, "document.querySelector('input[name=again]')");
    assert_eq!(first.run("return location.hash"), "");
    first.fill("input[name=name]", "ana");
    first.fill("input[name=password]", PASSWORD);
    first.fill("input[name=again]", PASSWORD);
    first.click("form button");
    wait_for(&first, "the dashboard", 10.0, "document.querySelector('nav a')");
    log_in(&second, &sidecar, "ana");
    assert_eq!(second.run("return document.cookie"), "");

    go(&first, "keys");
    first.click("main .primary");
    wait_for(
        &first,
        "the application is suggested",
        5.0,
        "document.querySelector('dialog input[name=app]')?.value === 'live'",
    );
    first.fill("dialog input[name=app]", "livve");
    first.fill("dialog input[name=stream]", "show");
    first.click("dialog .primary");
    wait_for(
        &first,
        "the application is refused",
        5.0,
        "document.querySelector('dialog [role=alert]').textContent.includes('nginx has \"live\"')",
    );
    first.fill("dialog input[name=app]", "live");
    first.click("dialog .primary");
    wait_for(&first, "the key is shown", 5.0, "document.querySelector('#copy-StreamKey')");
    let shown = first.run("return document.querySelector('#copy-StreamKey').textContent");
    let server = first.run("return document.querySelector('#copy-Server').textContent");
    assert_eq!(server, format!("rtmp://127.0.0.1:{}/live", nginx.rtmp()));
    let key = shown.as_str().unwrap().to_owned();
    first.click("dialog .primary");
    go(&first, "air");

    let mut publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let begin = Instant::now();
    for browser in [&first, &second] {
        wait_for(browser, "the card", 5.0, CARD);
    }
    took("the cards come", begin, 1.5);
    wait_for(&first, "a graph", 10.0, "document.querySelector('.chart canvas')");

    go(&second, "keys");
    wait_for(&second, "the key is listed", 5.0, "document.querySelector('tr[data-key] .danger')");
    second.click("tr[data-key] .danger");
    // The first revocation is taken back, the second one is not.
    wait_for(&second, "it can be taken back", 5.0, "document.querySelector('.toast button')");
    second.click(".toast button");
    wait_for(
        &second,
        "it is taken back",
        5.0,
        "!document.querySelector('.toast') && !document.querySelector('tr.going')",
    );
    second.click("tr[data-key] .danger");
    wait_for(&second, "it is announced", 5.0, "document.querySelectorAll('.toast button').length === 2");
    second.click(".toast button:nth-of-type(2)");
    publisher.wait_closed(5.0);
    for browser in [&first, &second] {
        go(browser, "air");
        wait_for(browser, "the card is gone", 5.0, &format!("!{CARD}"));
        assert_eq!(complaints(browser), [""; 0]);
    }
    publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start();
    publisher.wait_closed(5.0);
}

#[test]
fn keys_of_one_stream_are_told_apart_and_a_network_without_its_length_is_noticed() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let ids: Vec<String> = (0..2).map(|_| nginx.api().create_key("live", "show").id).collect();
    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    go(&browser, "keys");
    for id in &ids {
        let row = format!("document.querySelector('tr[data-key={id}]')");
        wait_for(&browser, "the row names its key", 5.0, &format!("{row}.textContent.includes('{id}')"));
        let button = format!("{row}.querySelector('[aria-label=\"Rotate the key {id} of live/show\"]')");
        wait_for(&browser, "so does its button", 5.0, &button);
    }
    let said = |words: &str| {
        let words = json!(words);
        let is_said = format!(
            "[...document.querySelectorAll('.toast span')].some((one) => one.textContent === {words})"
        );
        wait_for(&browser, "it is said", 5.0, &is_said);
    };
    browser.click(&format!("[aria-label='Revoke the key {} of live/show']", ids[1]));
    said(&format!("The key {} of live/show will be revoked in 10 seconds.", ids[1]));
    browser.click(".toast button:nth-of-type(2)");
    said(&format!("Revoked the key {} of live/show.", ids[1]));
    wait_for(&browser, "it is gone", 5.0, "document.querySelectorAll('tr[data-key]').length === 1");

    browser.click("main .primary");
    let is_suggested = "document.querySelector('dialog input[name=app]')?.value === 'live'";
    wait_for(&browser, "the application is suggested", 5.0, is_suggested);
    for (typed, hint) in [
        ("192.168.1.0/24, 2001:db8::/32", ""),
        ("10.1.2.3, 192.168.1.0", "192.168.1.0 is one address. For the network, write 192.168.1.0/24."),
        ("192.168.1.10", ""),
    ] {
        browser.fill("dialog input[name=publish_from]", typed);
        let is_hinted = format!("document.querySelector('dialog p.notice').textContent.trim() === '{hint}'");
        wait_for(&browser, typed, 5.0, &is_hinted);
    }
    browser.fill("dialog input[name=stream]", "other");
    browser.click("dialog .buttons .primary");
    wait_for(&browser, "the key", 5.0, "document.querySelector('#copy-StreamKey')");
    let of_other = "[...document.querySelectorAll('tr[data-key]')].find((row) => row.textContent.includes('live/other'))";
    wait_for(
        &browser,
        "it has the network",
        5.0,
        &format!("{of_other}?.textContent.includes('192.168.1.10')"),
    );
    let id = browser.run(&format!("return {of_other}.dataset.key"));
    let told = browser.run("return document.querySelector('dialog').textContent");
    assert!(told.as_str().unwrap().contains(id.as_str().unwrap()), "{told}");
    assert_eq!(complaints(&browser), [""; 0]);
}

#[test]
fn texts_are_texts_everybody_can_use_it_and_it_is_small() {
    let nginx = nginx();
    let config = "[[record]]\napp = \"live\"\nstream = \"*\"\nfolder = \"@MEDIA@/recordings\"\n";
    let sidecar = Sidecar::start(&nginx, &format!("{WEB}{config}"));
    add(&sidecar, "ana", "admin");
    let ana = Visitor::logged_in(&sidecar, "ana");
    let mut secret = String::new();
    for (nth, text) in HOSTILE.into_iter().enumerate() {
        let (status, key) =
            ana.ask("POST", "keys", &json!({ "app": "live", "stream": "show", "note": text }));
        assert_eq!(status, 201, "{key}");
        secret = key["key"].as_str().unwrap().to_owned();
        let url = format!("rtmp://127.0.0.1:1/app/k{nth}");
        let target = json!({ "app": "live", "stream": "*", "url": url, "note": text });
        assert_eq!(ana.ask("POST", "targets", &target).0, 201);
    }
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{secret}")).start().started();
    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    wait_for(&browser, "the card with its graph", 10.0, "document.querySelector('.card .chart canvas')");
    let bytes = browser.run(
        "return [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]
             .reduce((sum, entry) => sum + entry.transferSize, 0)",
    );
    let bytes = bytes.as_f64().unwrap() as u64;
    println!("first load of the dashboard: {bytes} bytes");
    assert!(bytes > 20_000 && bytes <= MOST_BYTES, "{bytes}");
    for view in VIEWS {
        go(&browser, view);
        if view == "events" {
            // Each key and each target has events, and targets that nobody answers have more of them: more than a page.
            wait_for(
                &browser,
                "the buttons to earlier events",
                60.0,
                "document.querySelector('main .buttons')",
            );
        }
        look_at(&browser, view);
    }
    go(&browser, "keys");
    let notes = browser.run("return [...document.querySelectorAll('tr[data-key] td:nth-of-type(1)')].map((cell) => cell.textContent)");
    let notes = notes.as_array().unwrap();
    assert!(HOSTILE.iter().all(|text| notes.contains(&json!(text))), "{notes:?}");
    assert_eq!(browser.run("return window.broken ?? null"), json!(null));
    assert_eq!(complaints(&browser), [""; 0]);
}

#[test]
fn another_site_changes_nothing() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let page = "<!doctype html><title>elsewhere</title>";
    let other = Config::weir()
        .http(&format!("location / {{ default_type text/html; return 200 \"{page}\"; }}"))
        .start();
    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    // Another host name makes it another site.
    browser.open(&other.url("/").replace("127.0.0.1", "localhost"));
    let url = format!("http://127.0.0.1:{}/admin/api/keys", sidecar.web());
    browser.run(&format!(
        "window.done = 0;
         const body = JSON.stringify({{ app: 'live', stream: 'evil' }});
         for (const type of ['text/plain', 'application/json']) {{
             fetch('{url}', {{ method: 'POST', credentials: 'include', mode: type === 'text/plain' ? 'no-cors' : 'cors', headers: {{ 'Content-Type': type }}, body }})
                 .catch(() => {{}}).finally(() => (window.done += 1));
         }}"
    ));
    wait_for(&browser, "the requests", 10.0, "window.done === 2");
    assert_eq!(Visitor::logged_in(&sidecar, "ana").get("keys").1, json!({ "keys": [] }));
}
