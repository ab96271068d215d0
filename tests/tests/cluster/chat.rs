//! The chat of edges is the chat of the origin: people at different edges and at the origin are in one room, a moderator at one edge bans a
//! person at another one, and only edges name the addresses of other people. An edge opens a limited number of connections to the origin.

use serde_json::{Value, json};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::websocket::{Message, WebSocket};
use weir_tests::harness::{Nginx, Sidecar, until};

use super::pair::edits::moderator;
use super::{ORIGIN, nginx};

const CHAT: &str = "[chat]\nenabled = true\n";
const TRUST: &str = "[web]\ntrusted_proxies = [\"127.0.0.1\"]\n";

/// Starts an edge. The test names its viewers by `X-Forwarded-For`.
fn start_edge(name: &str, origin: &Sidecar) -> (Nginx, Sidecar) {
    start_edge_with(name, origin, "")
}

fn start_edge_with(name: &str, origin: &Sidecar, more: &str) -> (Nginx, Sidecar) {
    let nginx = Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", super::pair::TOKENS)
        .file("cluster.secret", super::SECRET)
        .with_api()
        .app("live", "weir_publish key;")
        .start();
    let daemon = Sidecar::start(
        &nginx,
        &format!(
            "{TRUST}{CHAT}[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n[edge]\norigin = \"http://127.0.0.1:{}\"\nname = \"{name}\"\n\
             address = \"http://127.0.0.1:1\"\nbandwidth = \"1g\"\nrtmp = \"rtmp://127.0.0.1:1\"\n{more}",
            origin.web()
        ),
    );
    daemon.wait_log("edge joined");
    (nginx, daemon)
}

struct Person(WebSocket);

impl Person {
    #[track_caller]
    fn join(at: &Sidecar, address: &str, who: &Value) -> (Self, Value) {
        let header = format!("X-Forwarded-For: {address}");
        let mut message = json!({ "type": "join", "app": "live", "stream": "show" });
        message.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
        let mut person = Self(WebSocket::connect(at.web(), "/v1/ws", &[&header]).unwrap());
        person.send(&message);
        let first = person.hear(|heard| heard["type"] == "chat.welcome" || heard["type"] == "error");
        (person, first)
    }

    fn named(at: &Sidecar, address: &str, name: &str) -> Self {
        let (person, welcome) = Self::join(at, address, &json!({ "name": name }));
        assert_eq!((&welcome["type"], &welcome["name"]), (&"chat.welcome".into(), &name.into()), "{welcome}");
        person
    }

    fn send(&mut self, message: &Value) {
        self.0.send(&message.to_string()).unwrap();
    }

    /// Waits for a message.
    #[track_caller]
    fn hear(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        until("a message", 15.0, || match self.0.receive() {
            Some(Message::Text(text)) => Some(serde_json::from_str(&text).unwrap()).filter(&is_it),
            Some(_) => None,
            None => panic!("the connection has ended"),
        })
    }
}

#[test]
fn edges_and_the_origin_have_one_room() {
    let at_origin = nginx();
    let mut origin = Sidecar::start(&at_origin, &format!("{}{CHAT}", ORIGIN.replace("[web]\n", TRUST)));
    let [(_one, one), (_two, two)] = ["one", "two"].map(|name| start_edge(name, &origin));
    let mut ana = Person::named(&one, "192.0.2.1", "Ana");
    let mut ben = Person::named(&two, "192.0.2.2", "Ben");
    let mut carl = Person::named(&origin, "192.0.2.3", "Carl");
    ana.hear(|heard| heard["type"] == "chat.people" && heard["people"] == 3);
    ana.send(&json!({ "type": "chat", "text": "hello" }));
    for person in [&mut ana, &mut ben, &mut carl] {
        let heard = person.hear(|heard| heard["type"] == "chat");
        assert_eq!((&heard["name"], &heard["text"]), (&"Ana".into(), &"hello".into()));
    }
    assert_eq!(Person::join(&two, "192.0.2.9", &json!({ "name": "ana" })).1["code"], "name_taken");
    ben.send(&json!({ "type": "chat.ban", "name": "Ana" }));
    assert_eq!(ben.hear(|heard| heard["type"] == "error")["code"], "forbidden");

    // A moderator at one edge bans a person at the other one, who has an address of her own.
    let (mut chief, welcome) = Person::join(&two, "192.0.2.4", &json!({ "token": moderator() }));
    assert_eq!(welcome["moderator"], true, "{welcome}");
    chief.send(&json!({ "type": "chat.ban", "name": "Ana" }));
    ana.hear(|heard| heard["type"] == "chat.cleared");
    ana.send(&json!({ "type": "chat", "text": "but why" }));
    assert_eq!(ana.hear(|heard| heard["type"] == "error")["code"], "banned");
    assert_eq!(
        Person::join(&two, "192.0.2.1", &json!({ "name": "Other" })).1["code"],
        "banned",
        "by her address"
    );
    drop(Person::named(&one, "192.0.2.5", "Dora"));

    // A person who leaves an edge leaves the room.
    carl.hear(|heard| heard["type"] == "chat.people" && heard["people"] == 4);
    drop(ben);
    carl.hear(|heard| heard["type"] == "chat.people" && heard["people"] == 3);

    // Only an edge may name another person's address.
    let forged =
        "Weir-Viewer: 192.0.2.3 Weir-Cluster time=1,nonce=00000000000000000000000000000000,signature=00";
    assert!(WebSocket::connect(origin.web(), "/v1/ws", &[forged]).is_err());

    // The origin restarts: the people at the edges are in the room again, without a new connection to their edge.
    origin.kill();
    assert_eq!(chief.hear(|heard| heard["type"] == "error")["code"], "unavailable");
    chief.send(&json!({ "type": "chat", "text": "into nothing" }));
    origin.start_again();
    chief.hear(|heard| heard["type"] == "chat.welcome");
    chief.send(&json!({ "type": "chat", "text": "we are back" }));
    let heard = chief.hear(|heard| heard["type"] == "chat" && heard["name"] == "Mod");
    assert_eq!(heard["text"], "we are back", "what was written meanwhile is not sent later");
}

#[test]
fn an_edge_opens_few_connections() {
    let at_origin = nginx();
    let origin = Sidecar::start(&at_origin, &format!("{}{CHAT}", ORIGIN.replace("[web]\n", TRUST)));
    let (_nginx, edge) = start_edge_with("one", &origin, "max_chat_connections = 2\n");
    let mut ana = Person::named(&edge, "192.0.2.1", "Ana");

    // A repeated `join` keeps the connection to the origin: there is no second welcome.
    ana.send(&json!({ "type": "join", "app": "live", "stream": "show", "name": "Ana" }));
    ana.send(&json!({ "type": "chat", "text": "still here" }));
    let heard = ana.hear(|heard| heard["type"] == "chat.welcome" || heard["type"] == "chat");
    assert_eq!(heard["text"], "still here", "{heard}");

    // The edge passes on the token that it has accepted, not the first one.
    let cookie = format!("Cookie: weir_token={}", moderator());
    let mut chief = WebSocket::connect(edge.web(), "/v1/ws?token=other", &[&cookie]).map(Person).unwrap();
    chief.send(&json!({ "type": "join", "app": "live", "stream": "show" }));
    let welcome = chief.hear(|heard| heard["type"] == "chat.welcome" || heard["type"] == "error");
    assert_eq!(welcome["moderator"], true, "{welcome}");

    // The edge has as many people in the chat as it may have, until one leaves or the room refuses one.
    let (mut ben, refusal) = Person::join(&edge, "192.0.2.2", &json!({ "name": "Ben" }));
    assert_eq!(refusal["code"], "unavailable", "{refusal}");
    ben.send(&json!({ "type": "chat", "text": "hello" }));
    assert_eq!(ben.hear(|heard| heard["type"] == "error")["code"], "not_joined");
    ana.send(&json!({ "type": "join", "app": "live", "stream": "show", "name": "Mod" }));
    assert_eq!(ana.hear(|heard| heard["type"] == "error")["code"], "name_taken");
    until("there is a place again", 15.0, || {
        let (person, first) = Person::join(&edge, "192.0.2.2", &json!({ "name": "Ben" }));
        (first["type"] == "chat.welcome").then_some(person)
    });
}
