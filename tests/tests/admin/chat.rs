//! The chat in the dashboard: messages appear immediately. A moderator deletes, times out and bans, by name and by the hash of an address,
//! and takes each of these back, and only this one. Slow mode works, and a viewer can only read. Messages are exported as comma-separated
//! values.

use serde_json::{Value, json};
use weir_tests::harness::browser::Browser;
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Sidecar, WebSocket, until};

use super::look::{complaints, go, log_in, look_at, wait_for};
use super::{Visitor, add, nginx};

const CONFIG: &str = "[web]\nadmins_file = \"@MEDIA@/state/admins\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
                      [chat]\nenabled = true\nwords = [\"darn\", \"=1+1\"]\n\
                      [[event]]\napp = \"live\"\nstream = \"show\"\ntitle = \"Show\"\nstart = \"2099-12-24T18:00:00Z\"\n";

/// A person in the chat, who connects from a given address.
struct Person(WebSocket);

impl Person {
    #[track_caller]
    fn join(sidecar: &Sidecar, address: &str, name: &str) -> Self {
        let header = format!("X-Forwarded-For: {address}");
        let mut socket = WebSocket::connect(sidecar.web(), "/v1/ws", &[&header]).unwrap();
        let join = json!({ "type": "join", "app": "live", "stream": "show", "name": name });
        socket.send(&join.to_string()).unwrap();
        Self(socket)
    }

    fn say(&mut self, text: &str) {
        self.0.send(&json!({ "type": "chat", "text": text }).to_string()).unwrap();
    }

    /// Reads until a message of this kind arrives.
    #[track_caller]
    fn hears(&mut self, kind: &str) -> Value {
        loop {
            match self.0.receive() {
                Some(Message::Text(text)) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    if value["type"] == kind {
                        return value;
                    }
                }
                other => panic!("no {kind}: {other:?}"),
            }
        }
    }
}

/// Returns a script that tells whether the dashboard shows a message with this text.
fn said(text: &str) -> String {
    format!(
        "[...document.querySelectorAll('.said .text')].some((one) => one.textContent === {})",
        json!(text)
    )
}

#[test]
fn moderators_keep_order() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, CONFIG);
    add(&sidecar, "mo", "moderator");
    add(&sidecar, "vi", "viewer");
    let [mo, vi] = ["mo", "vi"].map(|name| Visitor::logged_in(&sidecar, name));
    let mut ana = Person::join(&sidecar, "192.0.2.1", "Ana");
    let mut troll = Person::join(&sidecar, "192.0.2.2", "Troll");
    ana.hears("chat.welcome");
    troll.hears("chat.welcome");
    let browser = Browser::start();
    log_in(&browser, &sidecar, "mo");
    go(&browser, "chat");
    wait_for(&browser, "the room", 10.0, "document.querySelector('main table a')");
    let shown = browser.run("return document.querySelector('main').innerText").to_string();
    assert!(shown.contains("darn") && shown.contains("2 people"), "{shown}");
    browser.click("main table a");
    wait_for(&browser, "the messages", 10.0, "document.querySelector('.said')");
    ana.say("hello");
    troll.say("<img src=x onerror=window.broken=1>");
    wait_for(&browser, "what is said", 3.0, &said("hello"));
    wait_for(&browser, "all of it", 3.0, &said("<img src=x onerror=window.broken=1>"));

    // The moderator deletes a message, and restores it.
    let delete = "document.querySelector('[aria-label=\"Delete the message of Troll\"]')";
    browser.click("[aria-label='Delete the message of Troll']");
    let gone = ana.hears("chat.deleted")["id"].clone();
    wait_for(&browser, "it is gone", 5.0, &format!("!{delete}"));
    browser.click(".toast button");
    assert_eq!(ana.hears("chat.restored")["message"]["id"], gone);
    wait_for(&browser, "it is back", 5.0, delete);

    // The moderator times a person out.
    browser.click("[aria-label='Time out Troll']");
    wait_for(&browser, "the question", 5.0, "document.querySelector('dialog .primary')");
    browser.click("dialog .primary");
    ana.hears("chat.cleared");
    troll.say("let me");
    assert_eq!(troll.hears("error")["code"], "timed_out");
    wait_for(&browser, "who is timed out", 5.0, "document.querySelector('[data-barred=troll]')");
    look_at(&browser, "room");
    browser.click("[data-barred=troll] button");
    ana.hears("chat.forgiven");
    troll.say("thanks");
    wait_for(&browser, "they write again", 5.0, &said("thanks"));

    // A ban by address only: another name does not help, and other people stay.
    wait_for(
        &browser,
        "addresses are known",
        5.0,
        "[...document.querySelectorAll('.said .line')].length >= 2",
    );
    let address = until("the hash is known", 10.0, || {
        let room = mo.get("chat/room?app=live&stream=show").1;
        let all = room["messages"].as_array()?.clone();
        all.iter().find(|one| one["text"] == "thanks")?["address"].as_str().map(str::to_owned)
    });
    assert!(address.starts_with('@') && address.len() == 33, "{address}");
    let ban = json!({ "app": "live", "stream": "show", "order": "ban", "who": address });
    assert_eq!(vi.ask("POST", "chat", &ban).0, 403);
    assert_eq!(mo.ask("POST", "chat", &ban).0, 200);
    ana.hears("chat.deleted");
    drop(troll);
    let mut again = Person::join(&sidecar, "192.0.2.2", "Somebody");
    assert_eq!(again.hears("error")["code"], "banned");
    wait_for(
        &browser,
        "the ban is listed",
        5.0,
        &format!("document.querySelector('[data-barred=\"{address}\"]')"),
    );
    let unban = json!({ "app": "live", "stream": "show", "order": "unban", "who": address });
    assert_eq!(mo.ask("POST", "chat", &unban).0, 200);
    let mut again = Person::join(&sidecar, "192.0.2.2", "Somebody");
    again.hears("chat.welcome");

    // The moderator switches slow mode on.
    browser.run(
        "const select = document.querySelector('.bar select'); select.value = '30'; select.dispatchEvent(new Event('change', { bubbles: true }))",
    );
    assert_eq!(ana.hears("chat.slow")["seconds"], 30);
    ana.say("one");
    ana.say("two");
    assert_eq!(ana.hears("error")["code"], "slow_mode");
    let event = sidecar.told("admin.chat");
    assert_eq!([&event["who"], &event["app"], &event["name"]], ["mo", "live", "show"]);

    // A role that may only read has no buttons.
    let order = |wanted: Value| mo.ask("POST", "chat", &wanted).0;
    for (wanted, status) in [
        (json!({ "app": "live", "stream": "show", "order": "delete", "id": "m1" }), 404),
        (json!({ "app": "live", "stream": "show", "order": "ban" }), 400),
        (json!({ "app": "live", "stream": "show", "order": "ban", "who": "x".repeat(33) }), 400),
        (json!({ "app": "live", "stream": "show", "order": "ban", "id": "m1" }), 404),
        (json!({ "app": "live", "stream": "show", "order": "undo", "id": "u1" }), 404),
        (json!({ "app": "live", "stream": "show", "order": "undo" }), 400),
        (json!({ "app": "live", "stream": "show", "order": "slow", "seconds": 90_000 }), 400),
        (json!({ "app": "live", "stream": "../x", "order": "slow" }), 400),
    ] {
        assert_eq!(order(wanted.clone()), status, "{wanted}");
    }
    assert_eq!(complaints(&browser), [""; 0]);
    assert_eq!(browser.run("return window.broken ?? null"), Value::Null);
    log_in(&browser, &sidecar, "vi");
    browser.run("location.hash = '#chat/live/show'");
    wait_for(&browser, "the messages", 10.0, &said("hello"));
    assert_eq!(
        browser.run("return document.querySelectorAll('.said button, [data-barred] button').length"),
        0
    );

    // The export has the messages as a table.
    until("it is on the disk", 10.0, || {
        let (status, csv, errors) = sidecar.command(&["chat", "export", "--csv", "--stream", "show"]);
        assert_eq!(status, 0, "{errors}");
        csv.starts_with("at,app,stream,id,name,text,verified,moderator\r\n")
            && csv.contains(",Ana,hello,0,0\r\n")
    });
    let csv = vi.request("GET", "chat/messages?format=csv").send().unwrap().text().unwrap();
    assert!(csv.contains(",Ana,hello,0,0"), "{csv}");
    assert_eq!(Visitor::at(&sidecar).get("chat/messages").0, 401);
}

#[test]
fn undo_takes_back_one_action_and_leaves_earlier_ones() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, CONFIG);
    add(&sidecar, "mo", "moderator");
    let mo = Visitor::logged_in(&sidecar, "mo");
    let mut eve = Person::join(&sidecar, "192.0.2.3", "Eve");
    eve.hears("chat.welcome");
    eve.say("hello");
    eve.hears("chat");
    let barred = || {
        let room = mo.get("chat/room?app=live&stream=show").1;
        let names = |list: &str| {
            let all = room[list].as_array().unwrap().iter();
            all.map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        [names("bans"), names("timed_out")]
    };
    let ban = json!({ "app": "live", "stream": "show", "order": "ban", "who": "Eve" });
    assert_eq!(mo.ask("POST", "chat", &ban).0, 200);
    let browser = Browser::start();
    log_in(&browser, &sidecar, "mo");
    browser.run("location.hash = '#chat/live/show'");
    wait_for(&browser, "the people", 10.0, "document.querySelector('details.card summary')");
    browser.click("details.card summary");
    for action in ["Time out", "Ban"] {
        browser.click(&format!("[aria-label='{action} Eve']"));
        wait_for(&browser, "the question", 5.0, "document.querySelector('dialog .buttons')");
        browser.click("dialog .buttons button:last-child");
        wait_for(&browser, "the toast", 5.0, "document.querySelector('.toast button')");
        until("it is done", 5.0, || barred()[1].len() == usize::from(action == "Time out"));
        browser.click(".toast button");
        until("only it is undone", 5.0, || barred() == [vec!["eve".to_owned()], Vec::new()]);
        wait_for(&browser, "the toast is gone", 5.0, "!document.querySelector('.toast')");
    }
    drop(eve);
    let mut back = Person::join(&sidecar, "192.0.2.3", "Other");
    assert_eq!(back.hears("error")["code"], "banned");
    assert_eq!(complaints(&browser), [""; 0]);
}

/// A caller of `refresh` gets an answer that is newer than the call, also while another request runs.
#[test]
fn a_list_is_requested_after_the_call() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, CONFIG);
    add(&sidecar, "mo", "moderator");
    let browser = Browser::start();
    log_in(&browser, &sidecar, "mo");
    go(&browser, "chat");
    let script = "return import(new URL('assets/api.js', location.href)).then(async ({ refresh }) => {
        const [whole, held, done] = [window.fetch, [], []];
        window.fetch = (...all) => all[0] === 'api/chat' ? new Promise((go) => held.push(go)).then(() => whole(...all)) : whole(...all);
        const pause = () => new Promise((go) => setTimeout(go, 20));
        const calls = ['first', 'second', 'third'].map((name) => refresh('chat').then(() => done.push(name)));
        await pause();
        const seen = [[...done]];
        held.shift()();
        await calls[0];
        while (held.length === 0) await pause();
        seen.push([...done]);
        held.shift()();
        await Promise.all(calls);
        window.fetch = whole;
        return [...seen, done, held.length];
    })";
    assert_eq!(browser.run(script), json!([[], ["first"], ["first", "second", "third"], 0]));
}
