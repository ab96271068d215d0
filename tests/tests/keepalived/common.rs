//! Two restream servers with one address work as one: a key of one machine is valid on the other; a publisher that reconnects to the
//! address is live there, with its pushes; the platform gets each stream from one machine; and after a partition both machines agree, with
//! one publisher.

use std::net::Ipv4Addr;
use std::time::Instant;

use serde_json::json;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Key, Outcome, Publisher, Sidecar, took, until};

use crate::alone;
use crate::pair::{Pair, RTMP};

const SECRET: &str = "fedcba9876543210fedcba9876543210";
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 11), Ipv4Addr::new(192, 0, 2, 12)];
const PLATFORM: &str = "rtmp://192.0.2.1/in/show";

fn config() -> Config {
    Config::weir()
        .main("weir_zone 2m state=@DIR@/state; weir_pair_secret @DIR@/pair.secret;")
        .file("pair.secret", SECRET)
        .http("location /api { weir_api; }")
        .app("live", "weir_publish key; weir_push on; weir_push_allow all;")
}

fn daemons(pair: &Pair) -> Vec<Sidecar> {
    let start = |nth: usize| {
        let machine = &pair.machines[nth];
        let settings = format!(
            "[web]\nlisten = \"{}:8090\"\nadmins_file = \"@MEDIA@/admins\"\n[cluster]\npair_secret_file = \"@DIR@/pair.secret\"\n\
             peer = \"http://{}:8090\"\npair_file = \"@MEDIA@/pair.db\"\n",
            ADDRESSES[nth],
            ADDRESSES[1 - nth]
        );
        machine.space.inside(|| Sidecar::start(&machine.nginx, &settings))
    };
    vec![start(0), start(1)]
}

/// Publishes to the address as an encoder does: it retries until the server accepts the stream.
fn publish(pair: &Pair, key: &Key) -> Publisher {
    let attempt = || {
        let publisher = Publisher::to(RTMP.port(), &format!("live/{}", key.key)).at(RTMP).start();
        (publisher.outcome() == Outcome::Started).then_some(publisher)
    };
    pair.client().inside(|| until("the publisher is taken", 15.0, attempt))
}

fn is_held(pair: &Pair, nth: usize) -> Option<bool> {
    let machine = &pair.machines[nth];
    machine.space.inside(|| machine.nginx.api().get("/v1/pushes").json["held"].as_bool())
}

fn publishers(pair: &Pair) -> usize {
    let count = |nth: usize| {
        let machine = &pair.machines[nth];
        machine.space.inside(|| machine.nginx.api().streams().len())
    };
    count(0) + count(1)
}

#[test]
fn the_publisher_who_comes_back_is_on_air_with_its_pushes_on_the_other_machine() {
    let _alone = alone();
    let pair = Pair::start("restream", |text| text, config);
    let daemons = daemons(&pair);
    let (a, b) = (&pair.machines[0], &pair.machines[1]);
    until("b waits", 10.0, || is_held(&pair, 0) == Some(false) && is_held(&pair, 1) == Some(true));
    // One machine creates a key, and the other a target.
    let key = a.space.inside(|| a.nginx.api().create_key("live", "show"));
    let target = json!({ "app": "live", "stream": "show", "url": PLATFORM });
    b.space.inside(|| b.nginx.api().post("/v1/targets", &target).expect(201));
    let publisher = publish(&pair, &key);
    pair.wait_pushed(0);

    a.kill_nginx();
    let killed = Instant::now();
    publisher.wait_closed(5.0);
    pair.wait_answer("b", 10.0);
    let _publisher = publish(&pair, &key);
    let on_air = Instant::now();
    pair.wait_pushed(1);
    println!("on air {:?} after the kill", on_air - killed);
    took("pushed after the publish", on_air, 5.0);
    took("pushed after the kill", killed, 10.0);
    drop(daemons);
}

#[test]
fn after_a_partition_both_machines_have_the_same_and_one_publisher() {
    let _alone = alone();
    let pair = Pair::start("restream", |text| text, config);
    let daemons = daemons(&pair);
    let (a, b) = (&pair.machines[0], &pair.machines[1]);
    until("b waits", 10.0, || is_held(&pair, 0) == Some(false) && is_held(&pair, 1) == Some(true));
    let key = a.space.inside(|| a.nginx.api().create_key("live", "show"));
    let target = json!({ "app": "live", "stream": "show", "url": PLATFORM });
    a.space.inside(|| a.nginx.api().post("/v1/targets", &target).expect(201));
    let _at_a = publish(&pair, &key);
    pair.wait_pushed(0);
    let keys = |nth: usize| {
        let machine = &pair.machines[nth];
        let answer = machine.space.inside(|| machine.nginx.api().get("/v1/keys").expect(200));
        let mut ids: Vec<String> = answer["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    };
    until("b has the key, too", 5.0, || keys(1) == [key.id.clone()]);

    pair.lan.cut_off(0);
    pair.wait_answer("b", 10.0);
    let at_b = publish(&pair, &key);
    let revoked = a.space.inside(|| a.nginx.api().create_key("live", "of-a"));
    let of_b = b.space.inside(|| b.nginx.api().create_key("live", "of-b"));
    a.space.inside(|| a.nginx.api().delete(&format!("/v1/keys/{}", revoked.id)).expect(200));
    pair.lan.reconnect(0);
    let healed = Instant::now();
    // Otherwise both machines would push, and the platform accepts both.
    until("a pushes no more", 5.0, || is_held(&pair, 0) == Some(true));
    took("a pushes no more after the partition", healed, 2.0);
    a.keepalived.wait_log("Entering BACKUP STATE", 2);
    until("one publisher is left", 10.0, || publishers(&pair) == 1);
    took("one publisher after the partition", healed, 10.0);
    // The platform has waited for the machine that was cut off.
    pair.wait_pushed(1);
    at_b.send_more(500);
    assert!(!at_b.is_closed(), "the publisher of the machine with the address stays");
    let mut expected = vec![key.id, of_b.id];
    expected.sort();
    until("both have the same keys", 5.0, || keys(0) == expected && keys(1) == expected);
    drop(daemons);
}
