//! A reader of `/v1/ws` that is too slow is told how many messages it missed; a reader that reads nothing is closed with a code for that
//! reason. The daemon keeps only a few messages for them, and no other reader misses a message.

use serde_json::{Value, json};
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Sidecar, WebSocket, until};

use super::open;

const CONFIG: &str = "[web]\ntrusted_proxies = [\"127.0.0.1\"]\n[chat]\nenabled = true\n";
/// Messages of one writer, as many as the rules allow in one burst.
const EACH: usize = 5;
const BURST: usize = 100;

fn join(socket: &mut WebSocket, name: Option<&str>) {
    let message = json!({ "type": "join", "app": "live", "stream": "show", "name": name });
    socket.send(&message.to_string()).unwrap();
}

/// Sends 500 messages of 2 KB, from new writers in each round.
fn burst(sidecar: &Sidecar, round: usize) {
    let text = "\u{1f600}".repeat(490);
    for n in 0..BURST {
        let header = format!("X-Forwarded-For: 10.{round}.0.{n}");
        let mut writer = WebSocket::connect(sidecar.web(), "/v1/ws", &[&header]).unwrap();
        join(&mut writer, Some(&format!("w{round}x{n}")));
        for m in 0..EACH {
            let number = (round * BURST + n) * EACH + m;
            let message = json!({ "type": "chat", "text": format!("{number} {text}") });
            writer.send(&message.to_string()).unwrap();
        }
        let last = (round * BURST + n) * EACH + EACH - 1;
        while number(&value(&writer.receive().expect("a message")).expect("a text")) != Some(last) {}
    }
}

fn value(message: &Message) -> Option<Value> {
    let Message::Text(text) = message else { return None };
    serde_json::from_str(text).ok()
}

fn number(value: &Value) -> Option<usize> {
    (value["type"] == "chat")
        .then(|| value["text"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap())
}

/// Returns the number of people in the chat, including the one who asks.
fn people(sidecar: &Sidecar) -> u64 {
    let mut socket = WebSocket::connect(sidecar.web(), "/v1/ws", &[]).unwrap();
    join(&mut socket, None);
    loop {
        let value = value(&socket.receive().expect("a message")).expect("a text");
        if value["type"] == "chat.welcome" {
            return value["people"].as_u64().unwrap();
        }
    }
}

/// Returns the number of open connections to the daemon's pages.
fn connections(sidecar: &Sidecar) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{:04X}", sidecar.web());
    let is_open = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next().is_some_and(|at| at.ends_with(&local)) && fields.nth(1) == Some("01")
    };
    table.lines().filter(is_open).count()
}

#[test]
fn who_reads_too_little_is_told_and_who_reads_nothing_is_closed() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, CONFIG);
    let mut good = WebSocket::connect(sidecar.web(), "/v1/ws", &[]).unwrap();
    join(&mut good, None);
    let (mut slow, mut deaf): (WebSocket, Vec<_>) = (
        WebSocket::connect_narrow(sidecar.web(), "/v1/ws"),
        (0..10).map(|_| WebSocket::connect_narrow(sidecar.web(), "/v1/ws")).collect(),
    );
    join(&mut slow, None);
    deaf.iter_mut().for_each(|socket| join(socket, None));
    until("all are in the chat", 10.0, || {
        good.receive().as_ref().and_then(value).is_some_and(|value| value["people"] == 12)
    });
    let before = sidecar.process().memory();

    // The good client reads while other clients write.
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        while seen.len() < 2 * BURST * EACH {
            let value = value(&good.receive().expect("a message")).expect("a text");
            assert_ne!(value["type"], "chat.missed");
            seen.extend(number(&value));
        }
        (good, seen)
    });
    burst(&sidecar, 0);
    let (mut heard, mut missed) = (Vec::new(), 0);
    while heard.last() != Some(&(BURST * EACH - 1)) {
        let value = value(&slow.receive().expect("a message")).expect("a text");
        missed += value["count"].as_u64().unwrap_or(0) as usize;
        heard.extend(number(&value));
    }
    assert!(missed > 0 && heard.len() + missed >= BURST * EACH, "{} {missed}", heard.len());
    // From now on the slow client reads until the daemon ends.
    slow.stream().set_read_timeout(None).unwrap();
    std::thread::spawn(move || while slow.receive().is_some() {});
    burst(&sidecar, 1);
    let grown = sidecar.process().memory().saturating_sub(before);
    // All clients together have 256 messages in the daemon, plus the messages in transit.
    assert!(grown < 16 << 20, "{grown} bytes");
    eprintln!("two bursts of {} messages: {} KB more", BURST * EACH, grown >> 10);

    let (_good, seen) = reader.join().unwrap();
    assert_eq!(seen, (0..2 * BURST * EACH).collect::<Vec<_>>());
    // These clients no longer count as people; when one of them reads later, it gets the reason.
    until("those that read nothing are out", 30.0, || people(&sidecar) == 3);
    let mut late = deaf.pop().unwrap();
    let close = until("it is closed", 20.0, || match late.receive() {
        Some(Message::Close(code, reason)) => Some((code, reason)),
        Some(_) => None,
        None => panic!("it is closed without a code"),
    });
    assert_eq!(close, (1013, "no data was taken for 10 seconds".to_owned()));
    // Clients that never read are disconnected.
    drop(late);
    until("their connections are free", 30.0, || connections(&sidecar) <= 3);
    drop(deaf);
}
