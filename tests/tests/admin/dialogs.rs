//! Each dialog of the dashboard fits a phone and a desktop, light and dark, and axe-core finds no fault; the same holds for the pages before
//! the login. A moderator revokes a link in the dialog that shows it. A target that fails says why and counts down to its next try; it
//! recovers without a reload of the page. A target whose application does not push says what nginx.conf lacks.

use std::io::copy;
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::json;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Publisher, Sidecar, until};

use super::look::{complaints, go, log_in, look_at, open, wait_for};
use super::{PASSWORD, Visitor, WEB, add, admin, nginx, text};

/// Clicks an element that opens a dialog, and looks at the dialog.
#[track_caller]
fn look_at_dialog(browser: &Browser, name: &str, opener: &str) {
    browser.click(opener);
    wait_for(browser, name, 5.0, "document.querySelector('dialog[open]')");
    look_at(browser, name);
}

#[track_caller]
fn close(browser: &Browser) {
    browser.run("document.querySelector('dialog').close()");
    wait_for(browser, "the dialog is gone", 5.0, "!document.querySelector('dialog')");
}

#[test]
fn each_dialog_is_for_everybody() {
    let nginx = nginx();
    let record = "[[record]]\napp = \"live\"\nstream = \"*\"\nfolder = \"@MEDIA@/recordings\"\n";
    let sidecar = Sidecar::start(&nginx, &format!("{WEB}{record}"));
    let browser = Browser::start();
    open(&browser, &sidecar);
    wait_for(&browser, "there is nobody", 10.0, "document.querySelector('pre')");
    look_at(&browser, "nobody");
    browser.open(text(&admin(&sidecar, &["setup-link"], "").stdout).trim());
    wait_for(&browser, "the form", 10.0, "document.querySelector('input[name=again]')");
    look_at(&browser, "setup");
    add(&sidecar, "ana", "admin");
    browser.forget();
    open(&browser, &sidecar);
    wait_for(&browser, "the form", 10.0, "document.querySelector('input[type=password]')");
    browser.fill("input[name=name]", "ana");
    browser.fill("input[type=password]", "wrong password");
    browser.click("form button");
    wait_for(&browser, "the refusal", 10.0, "document.querySelector('[role=alert]').textContent");
    look_at(&browser, "login");
    browser.fill("input[type=password]", PASSWORD);
    browser.click("form button");
    wait_for(&browser, "the dashboard", 10.0, "document.querySelector('nav a')");

    go(&browser, "keys");
    look_at_dialog(&browser, "new-key", "main .primary");
    browser.fill("dialog input[name=stream]", "show");
    browser.click("dialog .primary");
    wait_for(&browser, "the key", 5.0, "document.querySelector('#copy-StreamKey')");
    look_at(&browser, "key");
    let key = browser.run("return document.querySelector('#copy-StreamKey').textContent");
    browser.click("dialog .primary");
    wait_for(&browser, "the dialog is gone", 5.0, "!document.querySelector('dialog')");
    look_at_dialog(&browser, "rotate", "tr[data-key] button");
    close(&browser);
    go(&browser, "targets");
    look_at_dialog(&browser, "new-target", "main .primary");
    close(&browser);

    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", key.as_str().unwrap())).start().started();
    go(&browser, "air");
    wait_for(&browser, "the card", 10.0, "document.querySelector('.card .danger')");
    wait_for(&browser, "the link", 20.0, "document.querySelector('[aria-label=\"Jobs of live/show\"]')");
    browser.run("window.open = () => ({ location: { replace: (to) => (window.went = to) }, close() {} })");
    browser.click("[aria-label='Open live/show']");
    wait_for(&browser, "the watch page", 10.0, "window.went?.endsWith('/watch/live/show')");
    look_at_dialog(&browser, "share", "[aria-label='Share live/show']");
    browser.click("dialog .primary");
    wait_for(&browser, "the QR code", 5.0, "document.querySelector('dialog svg.qr')");
    let is_free =
        browser.run("return document.querySelector('dialog').textContent.includes('Everybody can watch')");
    assert_eq!(is_free, true);
    look_at(&browser, "link");
    close(&browser);
    browser.click("[aria-label='Jobs of live/show']");
    wait_for(&browser, "the job", 20.0, "document.querySelector('[aria-label=\"Log of live/show/record\"]')");
    assert_eq!(browser.run("return document.querySelector('h1').textContent"), "Jobs of live/show");
    assert_eq!(browser.run("return Boolean(document.querySelector('[aria-label^=\"Restart \"]'))"), true);
    look_at_dialog(&browser, "log", "[aria-label='Log of live/show/record']");
    assert!(browser.run("return document.querySelector('dialog .log').textContent").as_str().is_some());
    close(&browser);
    go(&browser, "air");
    wait_for(&browser, "the card", 10.0, "document.querySelector('.card .danger')");
    look_at_dialog(&browser, "stop", "[aria-label='Stop live/show']");
    let recorded = || Visitor::logged_in(&sidecar, "ana").get("recordings").1["recordings"][0].clone();
    until("it is recorded", 20.0, || recorded()["file"].is_string());
    // Without a ban, an encoder may come back; this one does not.
    browser.click("dialog .danger");
    wait_for(&browser, "it is announced", 5.0, "document.querySelector('.toast .left')");
    browser.click(".toast button:nth-of-type(2)");
    publisher.wait_closed(5.0);
    until("the recording is complete", 20.0, || recorded()["ended"].is_string());
    go(&browser, "recordings");
    wait_for(&browser, "the recording", 10.0, "document.querySelector('td .danger:not(:disabled)')");
    look_at_dialog(&browser, "delete", "td .danger");
    // The dialog asks for the name before a removal that nobody can undo.
    assert_eq!(browser.run("return document.querySelector('dialog .danger').disabled"), true);
    browser.fill("dialog input", "show");
    browser.click("dialog .danger");
    wait_for(
        &browser,
        "it is gone",
        10.0,
        "!document.querySelector('dialog') && !document.querySelector('td .danger')",
    );
    assert_eq!(complaints(&browser), [""; 0]);
}

#[test]
fn a_moderator_revokes_a_link_where_it_was_made() {
    let config = Config::weir().main("weir_secret @DIR@/secret;").with_api();
    let config = config.file("secret", "0123456789abcdef0123456789abcdef");
    let nginx = config.app("live", "weir_publish open; weir_play token;").start();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "mo", "moderator");
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let browser = Browser::start();
    log_in(&browser, &sidecar, "mo");
    wait_for(&browser, "the card", 10.0, "document.querySelector('[aria-label=\"Share live/show\"]')");
    browser.click("[aria-label='Share live/show']");
    wait_for(&browser, "the dialog", 5.0, "document.querySelector('dialog .primary')");
    browser.click("dialog .primary");
    wait_for(&browser, "the command", 5.0, "document.querySelector('#copy-Revokeontheserver')");
    let command = browser.run("return document.querySelector('#copy-Revokeontheserver').textContent");
    assert!(command.as_str().unwrap().ends_with(&format!(" --api {}", nginx.url("/api"))), "{command}");
    browser.click("dialog .danger");
    wait_for(&browser, "it can be taken back", 5.0, "document.querySelector('.toast .left')");
    browser.click(".toast button:nth-of-type(2)");
    let revoked = || nginx.api().get("/v1/tokens/revocations").expect(200)["revocations"][0]["jti"].clone();
    let jti = until("it is revoked", 10.0, || revoked().as_str().map(str::to_owned));
    assert!(command.as_str().unwrap().contains(&format!(" --jti {jti} ")), "{command} {jti}");
    assert_eq!(complaints(&browser), [""; 0]);
}

/// Forwards connections to a port, one thread each.
fn forward(listener: TcpListener, port: u16) {
    for near in listener.incoming() {
        let (Ok(near), Ok(far)) = (near, TcpStream::connect(("127.0.0.1", port))) else { continue };
        let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        thread::spawn(move || copy(&mut from, &mut to));
        let (mut from, mut to) = (far, near);
        thread::spawn(move || copy(&mut from, &mut to));
    }
}

#[test]
fn a_target_fails_counts_down_and_recovers_in_sight() {
    let nginx = nginx();
    let other = Config::weir().with_api().app("in", "weir_publish open;").start();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let ana = Visitor::logged_in(&sidecar, "ana");
    // Nothing listens at this port until the test forwards it.
    let reserved = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let target =
        json!({ "app": "live", "stream": "show", "url": format!("rtmp://{address}/in/far"), "note": "Club" });
    assert_eq!(ana.ask("POST", "targets", &target).0, 201);
    let (_, key) = ana.ask("POST", "keys", &json!({ "app": "live", "stream": "show" }));
    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    go(&browser, "targets");
    wait_for(&browser, "it waits for a stream", 10.0, "document.querySelector('.states .off')");
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", key["key"].as_str().unwrap()));
    let _publisher = publisher.start().started();
    let state = "document.querySelector('.states li')";
    let left = || {
        let text = browser.run(&format!("return {state}.className + ': ' + {state}.textContent"));
        let text = text.as_str().unwrap().to_owned();
        let seconds = text.split("next try in ").nth(1)?.strip_suffix(" s")?.parse::<u32>().ok()?;
        text.starts_with("bad: show: ").then_some(seconds)
    };
    // The pauses grow, so at some time there are enough seconds to see them go down one by one.
    until("it says when it tries again", 40.0, || left().filter(|seconds| *seconds >= 5));
    let mut seen = Vec::new();
    until("it counts down", 10.0, || {
        if let Some(seconds) = left().filter(|seconds| seen.last() != Some(seconds)) {
            seen.push(seconds);
        }
        seen.windows(3).any(|three| three[0] == three[1] + 1 && three[1] == three[2] + 1)
    });
    look_at(&browser, "waiting-target");
    let listener = TcpListener::bind(address).unwrap();
    let port = other.rtmp();
    thread::spawn(move || forward(listener, port));
    wait_for(
        &browser,
        "a button tries now",
        10.0,
        "document.querySelector('[aria-label=\"Retry now Club\"]')",
    );
    browser.click("[aria-label='Retry now Club']");
    wait_for(
        &browser,
        "it is live",
        20.0,
        &format!("{state}.className === 'good' && {state}.textContent.includes('live for')"),
    );
    assert_eq!(complaints(&browser), [""; 0]);
}

#[test]
fn a_target_whose_application_does_not_push_says_so_until_it_does() {
    let config = Config::weir().with_api().app("live", "weir_publish key;").app("other", "");
    let mut nginx = config.app("gone", "weir_push on;").start();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let target = |app: &str, note: &str| {
        let target = json!({ "app": app, "stream": "*", "url": format!("rtmp://127.0.0.1:9/in/{note}"), "note": note });
        nginx.api().post("/v1/targets", &target).expect(201);
    };
    target("live", "Club");
    target("other", "Hall");
    target("gone", "Attic");
    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    go(&browser, "targets");
    let states = |note: &str| {
        format!(
            "[...document.querySelectorAll('.card')].find((card) => card.querySelector('h2').textContent === '{note}')
             ?.querySelector('.states').innerText"
        )
    };
    let without = |note: &str, app: &str| {
        let said = format!(
            "The application \"{app}\" has no \"weir_push on;\" in nginx.conf, so Weir pushes nothing to this target. \
             Add this line to the application, then reload nginx."
        );
        wait_for(&browser, note, 10.0, &format!("{} === {}", states(note), json!(said)));
    };
    let waits = |note: &str| {
        let waits = format!("{} === 'waits for a stream'", states(note));
        wait_for(&browser, "the target waits for a stream", 20.0, &waits);
    };
    without("Club", "live");
    without("Hall", "other");
    waits("Attic");

    // The open page notices the reload.
    nginx.edit(|mut config| {
        let server = config.server.replace("weir_publish key;", "weir_publish key; weir_push on;");
        config.server = server.replace("application gone", "application new");
        config
    });
    nginx.reload();
    waits("Club");
    without("Hall", "other");
    let unknown = format!("{}?.startsWith('nginx.conf has no application \"gone\"')", states("Attic"));
    wait_for(&browser, "the application is missing", 20.0, &unknown);
    assert_eq!(complaints(&browser), [""; 0]);
}

#[test]
fn what_is_typed_for_a_target_stays_with_another_service() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    go(&browser, "targets");
    browser.click("main .primary");
    wait_for(&browser, "the form", 5.0, "document.querySelector('dialog select[name=preset]')");
    let choose = |service: &str, is_shown: bool| {
        browser.run(&format!(
            "const all = document.querySelector('dialog select'); all.value = '{service}';
             all.dispatchEvent(new Event('change', {{ bubbles: true }}))"
        ));
        let base = "document.querySelector('dialog input[name=base]')";
        wait_for(&browser, service, 5.0, &format!("Boolean({base}) === {is_shown}"));
    };
    choose("Own server", true);
    let typed = [("key", "abcd"), ("app", "live"), ("stream", "sunday"), ("note", "ours")];
    for (name, text) in typed {
        browser.fill(&format!("dialog input[name={name}]"), text);
    }
    choose("Twitch", false);
    choose("Own server", true);
    for (streams, has_field) in [("all", false), ("one", true)] {
        browser.run(&format!(
            "const one = document.querySelector('dialog select[name=streams]'); one.value = '{streams}';
             one.dispatchEvent(new Event('change', {{ bubbles: true }}))"
        ));
        let field = "document.querySelector('dialog input[name=stream]')";
        wait_for(&browser, streams, 5.0, &format!("Boolean({field}) === {has_field}"));
    }
    for (name, text) in typed {
        let value = format!("return document.querySelector('dialog input[name={name}]').value");
        assert_eq!(browser.run(&value), text, "{name}");
    }
}
