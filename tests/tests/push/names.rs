//! Host names of targets are looked up at each connect, at the configured name servers, and no worker waits for an answer.

use std::fs::File;

use serde_json::json;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Dns, Manners, Peer, Publisher, until};

use super::{Stage, add, patch, source};

fn asks(dns: &Dns, words: &str) -> Config {
    source("").main(&format!("weir_resolver {} valid=1s {words};", dns.address()))
}

fn url(peer: &Peer, name: &str) -> String {
    format!("rtmp://{name}:{}/app/key", peer.port())
}

#[test]
fn a_name_is_looked_up_and_the_target_told_what_it_is_called() {
    let dns = Dns::start();
    let stage = Stage::set(asks(&dns, ""));
    let peer = Peer::takes();
    dns.set("a.example", &["127.0.0.1"]);
    let id = stage.add(&url(&peer, "a.example"));
    stage.wait_state(&id, "live");
    let call = peer.wait_frames("key", 10);
    assert_eq!(call.tc_url, format!("rtmp://a.example:{}/app", peer.port()));
    stage.is_undisturbed();
}

#[test]
fn a_name_that_nobody_has_waits_until_somebody_has_it() {
    let dns = Dns::start();
    let stage = Stage::set(asks(&dns, ""));
    let peer = Peer::takes();
    let id = stage.add(&url(&peer, "b.example"));
    stage.wait_error(&id, "host not found");
    dns.set("b.example", &["127.0.0.1"]);
    stage.wait_state(&id, "live");
    peer.wait_frames("key", 10);
    stage.is_undisturbed();
}

#[test]
fn one_family_stands_in_for_the_other() {
    let dns = Dns::start();
    let stage = Stage::set(asks(&dns, ""));
    let (v4, v6) = (Peer::takes(), Peer::at("::1", Manners::Takes));
    for (name, addresses, peer) in [
        ("v4.example", vec!["2001:db8::1", "127.0.0.1"], &v4),
        ("v6.example", vec!["127.0.0.2", "::1"], &v6),
        ("six.example", vec!["::1"], &v6),
    ] {
        dns.set(name, &addresses);
        let id = stage.add(&url(peer, name));
        stage.wait_state(&id, "live");
        assert_eq!(stage.session(&id)["reconnects"], 0, "{name}");
    }
    stage.is_undisturbed();
}

#[test]
fn ipv6_off_asks_for_none() {
    let dns = Dns::start();
    let stage = Stage::set(asks(&dns, "ipv6=off"));
    dns.set("six.example", &["::1"]);
    let id = stage.add("rtmp://six.example/app/key");
    stage.wait_error(&id, "");
    stage.is_undisturbed();
}

#[test]
fn a_name_that_moves_is_followed_at_the_next_connect() {
    let dns = Dns::start();
    let stage = Stage::set(asks(&dns, ""));
    let (old, new) = (Peer::at("127.0.0.2", Manners::Takes), Peer::at("127.0.0.3", Manners::Takes));
    // Both peers use the same port, so only the address distinguishes them.
    let here = |peer: &Peer| peer.address().ip().to_string();
    dns.set("c.example", &[&here(&old)]);
    let id = stage.add(&url(&old, "c.example"));
    stage.wait_state(&id, "live");
    dns.set("c.example", &[&here(&new)]);
    let moved = format!("rtmp://c.example:{}/app/moved", new.port());
    patch(&stage.api, &id, &serde_json::json!({ "url": moved }));
    until("the new one has it", 20.0, || !new.open("moved").is_empty());
    old.wait_closed("key");
    stage.is_undisturbed();
}

#[test]
fn no_answer_holds_up_that_target_alone() {
    let dns = Dns::start();
    let stage = Stage::set(asks(&dns, ""));
    dns.silence(true);
    let id = stage.add("rtmp://d.example/app/key");
    until("it is asked", 5.0, || dns.asked() > 0);
    let other = Peer::takes();
    let live = stage.add(&other.url("app/other"));
    stage.wait_state(&live, "live");
    assert_eq!(stage.session(&id)["state"], "connecting");
    stage.wait_error(&id, "the resolver does not answer");
    let player = weir_tests::harness::Player::start(stage.nginx.rtmp(), "live/show");
    player.wait_video(10);
    stage.is_undisturbed();
}

#[test]
fn what_a_name_leads_to_may_be_denied() {
    let dns = Dns::start();
    dns.set("inside.example", &["127.0.0.2"]);
    dns.set("both.example", &["127.0.0.2", "127.0.0.1"]);
    let stage = Stage::set(
        Config::weir()
            .with_api()
            .main(&format!("weir_resolver {} valid=1s;", dns.address()))
            .app("live", "weir_publish open; weir_push on; weir_push_deny 127.0.0.2;"),
    );
    let inside = Peer::at("127.0.0.2", Manners::Takes);
    let id = stage.add(&url(&inside, "inside.example"));
    stage.wait_error(&id, "address is denied by weir_push_deny");
    let allowed = Peer::takes();
    let id = stage.add(&url(&allowed, "both.example"));
    stage.wait_state(&id, "live");
    assert!(inside.calls().is_empty());
    stage.is_undisturbed();
}

#[test]
fn a_name_is_looked_up_while_changes_wait_for_the_state_file() {
    let dns = Dns::start();
    let mut config = asks(&dns, "");
    config.main = config.main.replace("weir_zone 2m;", "weir_zone 2m state=@DIR@/state;");
    let nginx = config.start();
    let (api, peer) = (nginx.api(), Peer::takes());
    dns.set("a.example", &["127.0.0.1"]);
    add(&api, "show", &url(&peer, "a.example"));
    let lock = File::options().write(true).open(nginx.path("state.lock")).unwrap();
    lock.lock().unwrap();
    // One after the other, the changes would wait for 20 s.
    let changes: Vec<_> = (0..4)
        .map(|n| {
            let request =
                api.request("POST", "/v1/keys").json(&json!({"app": "live", "stream": format!("s{n}")}));
            std::thread::spawn(move || Api::try_send(request).unwrap().status)
        })
        .collect();
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    until("the target is live", 10.0, || !peer.open("key").is_empty());
    drop(lock);
    assert!(changes.into_iter().all(|change| matches!(change.join().unwrap(), 201 | 503)));
}
