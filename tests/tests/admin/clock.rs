//! The clock of the daemon jumps an hour ahead and back, and another hour back, while a stream is on air. Nobody is logged out, the stream and its
//! viewers go on, the chat keeps the order in which people wrote, and no session in the history has a negative length.

use serde_json::{Value, json};
use weir_model::Timestamp;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Publisher, Sidecar, WebSocket, until};

use super::look::{complaints, log_in, wait_for};
use super::{PASSWORD, Visitor, WEB, add, nginx};

const HOUR: i64 = 3600;

/// Returns how many seconds a time of the daemon is ahead of this machine's clock.
fn ahead(time: &Value) -> i64 {
    let time: Timestamp = time.as_str().unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    time.as_millis() as i64 / 1000 - now.as_secs() as i64
}

/// Writes a message, and waits until the room has it. Returns its time, as seconds ahead of this machine's clock.
#[track_caller]
fn say(person: &mut WebSocket, text: &str) -> i64 {
    person.send(&json!({ "type": "chat", "text": text }).to_string()).unwrap();
    until(&format!("{text} is said"), 10.0, || {
        let Some(Message::Text(message)) = person.receive() else { panic!("the chat has ended") };
        let message: Value = serde_json::from_str(&message).unwrap();
        assert_ne!(message["type"], "error", "{message}");
        (message["text"] == text).then(|| ahead(&message["at"]))
    })
}

#[test]
fn a_clock_that_jumps_breaks_nothing() {
    let nginx = nginx();
    let sidecar = Sidecar::start_with_clock(&nginx, &format!("{WEB}[chat]\nenabled = true\n"));
    add(&sidecar, "ana", "admin");
    let mut ana = Visitor::logged_in(&sidecar, "ana");
    let key = nginx.api().create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let session = |ana: &Visitor| ana.get("history").1["sessions"][0].clone();
    until("it is in the history", 20.0, || session(&ana)["stream"] == "show");
    let mut bo = WebSocket::connect(sidecar.web(), "/v1/ws", &[]).unwrap();
    bo.send(&json!({ "type": "join", "app": "live", "stream": "show", "name": "Bo" }).to_string()).unwrap();
    let (desk, viewer) = (Browser::start(), Browser::start());
    log_in(&desk, &sidecar, "ana");
    desk.run("window.sameDocument = true");
    viewer.open(&format!("http://127.0.0.1:{}/watch/live/show", sidecar.web()));
    wait_for(&viewer, "it plays", 30.0, "document.body.dataset.state === 'PLAYING'");

    assert!(say(&mut bo, "now").abs() < 60);
    for (jump, text) in [(HOUR, "an hour later"), (0, "back"), (-HOUR, "an hour earlier")] {
        sidecar.set_clock(jump);
        assert!((say(&mut bo, text) - jump).abs() < 60, "the clock has not jumped");
        assert_eq!(ana.get("session").0, 200, "ana is logged out");
        assert_eq!(ana.log_in("ana", PASSWORD).0, 200, "nobody can log in");
        until("the history goes on", 30.0, || {
            let sessions = ana.get("history").1["sessions"].clone();
            assert_eq!(sessions.as_array().unwrap().len(), 1, "{sessions}");
            assert_eq!(sessions[0]["ended_at"], Value::Null, "{sessions}");
            let length = sessions[0]["duration_ms"].as_i64().unwrap();
            assert!(length >= 0, "{sessions}");
            // Once the clock is right again, so is the length.
            (jump > 0) == (length > HOUR * 1000)
        });
        let (status, list, errors) = sidecar.command(&["history", "list"]);
        assert!(status == 0 && list.contains("show"), "{list}{errors}");
        assert_eq!(sidecar.count_told("stream.ended"), 0);
    }
    // People read the messages in the order in which they were written.
    let order = "[...document.querySelectorAll('#chat-list span')].map(({ textContent }) => textContent)";
    until("the page shows all messages", 10.0, || {
        viewer.run(&format!("return {order}")) == json!(["now", "an hour later", "back", "an hour earlier"])
    });
    assert_eq!(viewer.run("return document.body.dataset.state"), "PLAYING");
    let room = ana.get("chat/room?app=live&stream=show").1["messages"].clone();
    let texts: Vec<_> = room.as_array().unwrap().iter().map(|message| message["text"].clone()).collect();
    assert_eq!(json!(texts), json!(["now", "an hour later", "back", "an hour earlier"]));
    wait_for(&desk, "the card is there", 10.0, "document.querySelector('[data-stream=\"live/show\"]')");
    assert_eq!(desk.run("return window.sameDocument"), true);

    drop(publisher);
    let end = until("it has ended", 20.0, || Some(session(&ana)).filter(|one| one["reason"].is_string()));
    let time = |field: &str| end[field].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(time("ended_at") >= time("started_at"), "{end}");
    assert!((0..HOUR * 1000).contains(&end["duration_ms"].as_i64().unwrap()), "{end}");
    for browser in [&desk, &viewer] {
        assert_eq!(complaints(browser), [""; 0]);
    }
}
