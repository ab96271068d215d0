//! The chat on `/v1/ws`: messages reach everybody in the room and people who join later, also after a `kill -9`; floods and long texts are
//! refused; moderators delete, time out and ban, by name, address and message; tokens give names. The chat opens its file when it can. In
//! Chromium, no text becomes markup, nobody looks like a moderator, and the page tells a banned person or network so.

use serde_json::{Value, json};
use weir_tests::harness::browser::Browser;
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Sidecar, WebSocket, until};

use super::{SECRET, open, publish};

const CONFIG: &str = "[web]\ntrusted_proxies = [\"127.0.0.1\"]\n[chat]\nenabled = true\nwords = [\"darn\"]\n";

/// Returns the next JSON message of the server that belongs to the chat, or an error.
#[track_caller]
fn next(socket: &mut WebSocket) -> Value {
    loop {
        match socket.receive() {
            Some(Message::Text(text)) => {
                let value: Value = serde_json::from_str(&text).unwrap();
                let kind = value["type"].as_str().unwrap();
                if kind == "error" || (kind.starts_with("chat") && kind != "chat.people") {
                    return value;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[track_caller]
pub(super) fn send(socket: &mut WebSocket, message: &Value) {
    socket.send(&message.to_string()).unwrap();
}

/// Joins from an address; returns the socket and the first message.
#[track_caller]
pub(super) fn join(sidecar: &Sidecar, address: &str, who: &Value) -> (WebSocket, Value) {
    let header = format!("X-Forwarded-For: {address}");
    let mut socket = WebSocket::connect(sidecar.web(), "/v1/ws", &[&header]).unwrap();
    let mut message = json!({ "type": "join", "app": "live", "stream": "show" });
    message.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
    send(&mut socket, &message);
    let first = next(&mut socket);
    (socket, first)
}

fn token(claims: &Value) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use hmac::{Hmac, KeyInit, Mac};
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(claims.to_string().as_bytes()));
    let mac =
        Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(&signed).finalize();
    format!("{signed}.{}", encode(&mac.into_bytes()))
}

pub(super) fn moderator() -> Value {
    let claims =
        json!({ "sub": "live/*", "act": "chat", "exp": 4_000_000_000_u64, "name": "Mod", "moderator": true });
    json!({ "token": token(&claims) })
}

#[test]
fn a_room_has_rules_and_a_memory() {
    let nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, CONFIG);
    let (mut ana, welcome) = join(&sidecar, "192.0.2.1", &json!({ "name": " Ana " }));
    assert_eq!([&welcome["type"], &welcome["name"]], ["chat.welcome", "Ana"]);
    let (mut ben, _) = join(&sidecar, "192.0.2.2", &json!({ "name": "Ben" }));
    let (mut reader, welcome) = join(&sidecar, "192.0.2.3", &json!({}));
    assert_eq!(welcome["can_write"], false);
    let (_, taken) = join(&sidecar, "192.0.2.4", &json!({ "name": "ANA" }));
    assert_eq!(taken["code"], "name_taken");

    let say = |socket: &mut WebSocket, text: &str| send(socket, &json!({ "type": "chat", "text": text }));
    say(&mut ana, "hello <b>darn</b>\u{202e}");
    for socket in [&mut ana, &mut ben, &mut reader] {
        let heard = next(socket);
        assert_eq!([&heard["type"], &heard["name"], &heard["app"]], ["chat", "Ana", "live"]);
        assert_eq!(heard["text"], "hello <b>****</b>\u{fffd}");
    }
    let event = sidecar.told("chat.message");
    assert_eq!([&event["from"], &event["stream"]], ["Ana", "show"]);
    say(&mut reader, "me too");
    assert_eq!(next(&mut reader)["code"], "no_name");
    say(&mut ana, &"x".repeat(501));
    assert_eq!(next(&mut ana)["code"], "bad_text");
    for n in 0..4 {
        say(&mut ana, &format!("flood {n}"));
        assert_eq!(next(&mut ana)["type"], "chat");
    }
    say(&mut ana, "one more");
    assert_eq!(next(&mut ana)["code"], "too_fast");
    for order in ["chat.ban", "chat.delete", "chat.slow"] {
        send(&mut ana, &json!({ "type": order, "name": "Ben", "id": "m1" }));
        assert_eq!(next(&mut ana)["code"], "forbidden", "{order}");
    }

    let (mut chief, welcome) = until("tokens are known", 10.0, || {
        Some(join(&sidecar, "192.0.2.9", &moderator())).filter(|(_, first)| first["type"] == "chat.welcome")
    });
    assert_eq!((&welcome["moderator"], &welcome["name"]), (&json!(true), &json!("Mod")));
    let id = next(&mut chief)["id"].clone();
    send(&mut chief, &json!({ "type": "chat.delete", "id": id }));
    let deleted =
        until("it is deleted", 5.0, || Some(next(&mut ben)).filter(|heard| heard["type"] == "chat.deleted"));
    assert_eq!(deleted["id"], id);
    send(&mut chief, &json!({ "type": "chat.timeout", "name": "ben", "seconds": 60 }));
    until("it is told", 5.0, || next(&mut ben)["type"] == "chat.cleared");
    say(&mut ben, "but why");
    let refused = next(&mut ben);
    assert_eq!(refused["code"], "timed_out");
    assert!(refused["seconds"].as_u64().is_some_and(|left| (1..=61).contains(&left)), "{refused}");
    send(&mut chief, &json!({ "type": "chat.ban", "name": "Ana" }));
    until("it is told", 5.0, || next(&mut ana)["type"] == "chat.cleared");
    send(&mut chief, &json!({ "type": "chat", "text": "that is all" }));
    until("it is said", 5.0, || next(&mut ben)["text"] == "that is all");

    let file = sidecar.history().with_file_name("chat.db-wal");
    until("it is on the disk", 10.0, || {
        std::fs::read(&file).unwrap().windows(11).any(|window| window == b"that is all")
    });
    sidecar.kill();
    sidecar.start_again();
    let (mut late, _) = join(&sidecar, "192.0.2.7", &json!({ "name": "Late" }));
    assert_eq!(next(&mut late)["text"], "that is all");
    // The ban covers the same address and the same name.
    assert_eq!(join(&sidecar, "192.0.2.1", &json!({ "name": "Other" })).1["code"], "banned");
    assert_eq!(join(&sidecar, "192.0.2.8", &json!({ "name": "ana" })).1["code"], "banned");
    let kept = std::fs::read(&file).unwrap();
    assert!(!kept.windows(9).any(|window| window.starts_with(b"192.0.2.")), "an address is kept");
}

#[test]
fn an_order_at_a_message_is_for_its_author_and_names_have_no_badges() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, CONFIG);
    let (mut chief, _) = until("tokens are known", 10.0, || {
        Some(join(&sidecar, "192.0.2.9", &moderator())).filter(|(_, first)| first["type"] == "chat.welcome")
    });
    let mut write = |address: &str, text: &str| {
        // The name is taken until the connection before it has ended.
        let (mut socket, _) = until("it is in the chat", 10.0, || {
            let one = join(&sidecar, address, &json!({ "name": "Anon ★" }));
            Some(one).filter(|(_, first)| first["name"] == "Anon")
        });
        send(&mut socket, &json!({ "type": "chat", "text": text }));
        until("it is said", 5.0, || {
            Some(next(&mut chief)).filter(|heard| heard["text"] == text).map(|heard| heard["id"].clone())
        })
    };
    let [id, _] = [("192.0.2.1", "one"), ("192.0.2.2", "two")].map(|(address, text)| write(address, text));
    send(&mut chief, &json!({ "type": "chat.ban", "name": "x".repeat(33) }));
    assert_eq!(next(&mut chief)["code"], "bad_message");
    send(&mut chief, &json!({ "type": "chat.ban", "name": "Anon", "id": id }));
    let cleared = |chief: &mut _| {
        until("messages are cleared", 5.0, || {
            Some(next(chief)).filter(|heard| heard["type"] != "chat.deleted")
        })
    };
    let told = cleared(&mut chief);
    assert_eq!([&told["type"], &told["name"]], ["chat.cleared", "Anon"]);
    let other = |address: &str| join(&sidecar, address, &json!({ "name": "Other" })).1;
    assert_eq!(other("192.0.2.1")["code"], "banned", "the author");
    assert_eq!(other("192.0.2.2")["type"], "chat.welcome", "another person with the name");
    // A second ban, whose person nobody knows, takes nothing back.
    send(&mut chief, &json!({ "type": "chat.ban", "name": "anon" }));
    assert_eq!(cleared(&mut chief)["type"], "chat.cleared");
    assert_eq!(other("192.0.2.1")["code"], "banned", "after a second ban");
}

#[test]
fn a_file_that_cannot_be_opened_is_opened_later() {
    let nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, CONFIG);
    let chief = |sidecar: &Sidecar| {
        let first = until("tokens are known", 10.0, || {
            let one = join(sidecar, "192.0.2.9", &moderator());
            Some(one).filter(|(_, first)| first["type"] == "chat.welcome")
        });
        first.0
    };
    let ban = |sidecar: &Sidecar, name: &str| {
        send(&mut chief(sidecar), &json!({ "type": "chat.ban", "name": name }));
        until("the ban is in force", 10.0, || is_banned(sidecar, name));
    };
    ban(&sidecar, "First");
    let [file, away] = ["chat.db", "away"].map(|name| sidecar.history().with_file_name(name));
    let wal = sidecar.history().with_file_name("chat.db-wal");
    let has = |file: &std::path::Path, word: &[u8]| {
        std::fs::read(file).is_ok_and(|all| all.windows(word.len()).any(|window| window == word))
    };
    until("it is on the disk", 10.0, || has(&wal, b"first"));
    sidecar.kill();
    // SQLite opens no folder. The `-wal` file stays, and belongs to the file.
    std::fs::rename(&file, &away).unwrap();
    std::fs::create_dir(&file).unwrap();
    sidecar.start_again();
    sidecar.wait_log("chat messages are not stored");
    ban(&sidecar, "Second");
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&away, &file).unwrap();
    sidecar.wait_log("chat messages are stored again");
    for name in ["First", "Second"] {
        assert!(is_banned(&sidecar, name), "{name}");
    }
    until("the second ban is on the disk", 10.0, || has(&wal, b"second") || has(&file, b"second"));
}

fn is_banned(sidecar: &Sidecar, name: &str) -> bool {
    join(sidecar, "192.0.2.8", &json!({ "name": name })).1["code"] == "banned"
}

#[test]
fn a_token_without_a_name_lets_its_bearer_choose_one() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n[chat]\nenabled = true\nnames = \"token\"\n");
    let claims = |more: Value| {
        let mut claims = json!({ "sub": "live/show", "act": "chat", "exp": 4_000_000_000_u64 });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        token(&claims)
    };
    let nameless = claims(json!({}));
    let join = json!({ "type": "join", "app": "live", "stream": "show", "name": "Ana" });
    // In the message, as an argument, in the header, as a cookie.
    let ways = [
        (String::new(), String::new(), true),
        (format!("?token={nameless}"), String::new(), false),
        (String::new(), format!("Authorization: Bearer {nameless}"), false),
        (String::new(), format!("Cookie: weir_token={nameless}"), false),
    ];
    let enter = |query: &str, header: &str, message: &Value| {
        let headers: Vec<&str> = Some(header).filter(|header| !header.is_empty()).into_iter().collect();
        let mut socket = WebSocket::connect(sidecar.web(), &format!("/v1/ws{query}"), &headers).unwrap();
        send(&mut socket, message);
        let welcome = next(&mut socket);
        (socket, welcome)
    };
    for (query, header, in_message) in &ways {
        let mut message = join.clone();
        if *in_message {
            message["token"] = json!(nameless);
        }
        let (mut socket, welcome) = until("tokens are known", 10.0, || {
            Some(enter(query, header, &message)).filter(|(_, first)| first["can_write"] == true)
        });
        let about = json!([welcome["name"], welcome["verified"], welcome["moderator"]]);
        assert_eq!(about, json!(["Ana", false, false]), "{query} {header}");
        send(&mut socket, &json!({ "type": "chat", "text": "hello" }));
        until("it is said", 5.0, || next(&mut socket)["text"] == "hello");
    }
    // The name of a token counts, not the one of the message; and a token of another stream is none.
    let named = format!("?token={}", claims(json!({ "name": "Bea" })));
    let (_socket, welcome) = enter(&named, "", &join);
    assert_eq!(json!([welcome["name"], welcome["verified"]]), json!(["Bea", true]));
    let other = format!("?token={}", claims(json!({ "sub": "live/other" })));
    assert_eq!(enter(&other, "", &join).1["can_write"], false);
    assert_eq!(enter("", "", &join).1["can_write"], false);
}

#[test]
fn no_text_of_anybody_becomes_markup() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, CONFIG);
    let _publisher = publish(&nginx, "show");
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show", sidecar.web()));
    let payloads = [
        "<script>window.hit=1</script>",
        "<img src=x onerror=window.hit=1>",
        "<svg/onload=window.hit=1>",
        "\"><iframe srcdoc='<script>parent.hit=1</script>'>",
        "javascript:window.hit=1 http://a.example/?x=<b>1</b>",
        "{{constructor.constructor('window.hit=1')()}}",
    ];
    for (n, payload) in payloads.iter().enumerate() {
        let (mut socket, _) =
            join(&sidecar, &format!("192.0.2.{n}"), &json!({ "name": format!("<i>{n}</i>") }));
        send(&mut socket, &json!({ "type": "chat", "text": payload }));
        // The history of the room comes first.
        until("it is said", 5.0, || next(&mut socket)["text"] == *payload);
    }
    let shown = || browser.run("return document.getElementById('chat-list')?.textContent ?? ''").to_string();
    until("all of it is shown", 15.0, || {
        payloads.iter().all(|payload| {
            let text: Value = serde_json::from_str(&shown()).unwrap();
            text.as_str().unwrap().contains(payload)
        })
    });
    let found = browser.run(
        "return [window.hit ?? null, document.querySelectorAll('#chat-list :is(script, img, svg, iframe, i, b, a)').length]",
    );
    assert_eq!(found, json!([null, 0]));
    // A viewer writes a message on the page.
    browser.run("document.getElementById('chat-name').value = 'Viewer'");
    browser.run("document.getElementById('chat-text').value = 'hi from the page'");
    browser.click("#chat-send");
    until("it is shown", 10.0, || shown().contains("hi from the page"));
    assert!(
        !browser.console().iter().any(|line| line.contains("Content Security Policy")),
        "{:?}",
        browser.console()
    );
}

#[test]
fn the_page_shows_who_moderates_and_on_which_day_a_time_out_ends() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, CONFIG);
    let _publisher = publish(&nginx, "show");
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show?lang=en", sidecar.web()));
    until("the chat is there", 15.0, || {
        browser.run("return document.getElementById('chat').checkVisibility()") == true
    });
    let write = |text: &str| {
        browser.fill("#chat-name", "Ana ★");
        browser.fill("#chat-text", text);
        browser.click("#chat-send");
    };
    write("from the page");
    let (mut chief, _) = until("tokens are known", 10.0, || {
        Some(join(&sidecar, "192.0.2.9", &moderator())).filter(|(_, first)| first["type"] == "chat.welcome")
    });
    send(&mut chief, &json!({ "type": "chat", "text": "from the chief" }));
    let shown = "return [...document.querySelectorAll('#chat-list p')].map((line) => [
        line.querySelector('.badge')?.title ?? '', line.querySelector('.badge')?.getAttribute('aria-label') ?? '',
        line.querySelector('strong').textContent, line.querySelector('span').textContent])";
    let wanted =
        json!([["", "", "Ana", "from the page"], ["Moderator", "Moderator", "Mod", "from the chief"]]);
    until("both are shown", 10.0, || browser.run(shown) == wanted);

    send(&mut chief, &json!({ "type": "chat.timeout", "name": "Ana", "seconds": 86400 }));
    until("it is told", 5.0, || next(&mut chief)["type"] == "chat.cleared");
    write("why");
    let day = "return new Date(Date.now() + 86400000).toLocaleString('en', { weekday: 'short' })";
    let day = browser.run(day).as_str().unwrap().to_owned();
    until("it says the day", 10.0, || {
        let error = browser.run("return document.getElementById('chat-error').innerText").to_string();
        error.contains("You cannot write until ") && error.contains(&day)
    });
}

#[test]
fn the_page_says_that_a_name_or_a_network_is_banned() {
    let nginx = open().start();
    // The page of a stream that was neither live nor announced has no chat.
    let event =
        "[[event]]\napp = \"live\"\nstream = \"show\"\ntitle = \"Show\"\nstart = \"2099-12-24T18:00:00Z\"\n";
    let sidecar = Sidecar::start(&nginx, &format!("{CONFIG}{event}"));
    let order = |kind: &str, who: &str, done: &str| {
        let (mut chief, _) = until("tokens are known", 10.0, || {
            Some(join(&sidecar, "192.0.2.9", &moderator()))
                .filter(|(_, first)| first["type"] == "chat.welcome")
        });
        send(&mut chief, &json!({ "type": kind, "name": who, "seconds": 300 }));
        until("it is done", 5.0, || next(&mut chief)["type"] == done);
    };
    let browser = Browser::start();
    let open = |language: &str| {
        browser.open(&format!("http://127.0.0.1:{}/watch/live/show?lang={language}", sidecar.web()));
    };
    let text =
        |id: &str| browser.run(&format!("return document.getElementById('{id}').innerText")).to_string();
    let is_shown = || browser.run("return document.getElementById('chat').checkVisibility()") == true;
    let is_banned = |words: &str| {
        until(&format!("it says: {words}"), 10.0, || is_shown() && text("chat-error").contains(words))
    };
    let write = |name: &str, message: &str| {
        browser.fill("#chat-name", name);
        browser.fill("#chat-text", message);
        browser.click("#chat-send");
    };
    let is_said = |message: &str| until("it is shown", 10.0, || text("chat-list").contains(message));

    open("en");
    until("the chat is there", 10.0, is_shown);
    write("Viewer", "hello");
    is_said("hello");
    order("chat.timeout", "Viewer", "chat.cleared");
    is_banned("You cannot write until ");
    write("Viewer", "why");
    is_banned("You cannot write until ");
    order("chat.unban", "Viewer", "chat.forgiven");
    until("it may write again", 10.0, || text("chat-notice").contains("You may write again."));
    order("chat.ban", "Viewer", "chat.cleared");
    is_banned("your network");
    assert!(!text("chat-notice").contains("You may write again."));
    // Also after a reload, and for other people behind the address.
    for is_stranger in [false, true] {
        if is_stranger {
            browser.run("localStorage.clear()");
        }
        for (language, words) in [
            ("en", "The operator of this site can lift the ban."),
            ("de", "Der Betreiber dieser Website kann die Sperre aufheben."),
            ("es", "El operador de este sitio puede levantar el bloqueo."),
            ("ru", "Администратор этого сайта может снять блокировку."),
        ] {
            open(language);
            is_banned(words);
        }
    }
    // The page says so for each message, and keeps the text.
    open("en");
    is_banned("your network");
    write("Other", "may I");
    until("it keeps the text", 10.0, || {
        browser.run("return document.getElementById('chat-text').value") == "may I"
    });
    is_banned("your network");
    // Somebody else had the name of the ban.
    order("chat.unban", "Viewer", "chat.forgiven");
    until("it may write again", 10.0, || text("chat-notice").contains("You may write again."));
    until("the notice goes", 30.0, || text("chat-notice") == "\"\"");
    browser.click("#chat-send");
    is_said("may I");
    assert_eq!(text("chat-error"), "\"\"");

    // A name that nobody had is banned without an address, so another name opens the chat.
    order("chat.ban", "Ghost", "chat.cleared");
    browser.run("localStorage.setItem('weir-name', 'Ghost')");
    open("en");
    is_banned("Your name");
    write("Guest", "under another name");
    is_said("under another name");
    assert_eq!(text("chat-error"), "\"\"");
}
