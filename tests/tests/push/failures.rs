//! Each kind of failure of a target, caused by a socket that really fails: the target waits with the reason, and is retried. The stream
//! continues without a lost frame at a target beside it.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;
use weir_rtmp::flv::TagKind;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Manners, Netns, Peer, Publisher, until};

use super::{Stage, add, session_of, source, wait_error};

/// Asserts that a target with these manners waits for this reason, and that it becomes live once it accepts streams.
#[track_caller]
fn assert_waits(manners: Manners, reason: &str) {
    let stage = Stage::set(source(""));
    let peer = Peer::start(manners);
    let id = stage.add(&peer.url("app/key"));
    stage.wait_error(&id, reason);
    peer.becomes(Manners::Takes);
    stage.wait_state(&id, "live");
    peer.wait_frames("key", 20);
    let session = stage.session(&id);
    assert!(session["reconnects"].as_u64().unwrap() >= 1, "{session}");
    assert!(session["last_error"].as_str().unwrap().starts_with(reason), "the last error stays: {session}");
    stage.is_undisturbed();
}

#[test]
fn nobody_listens() {
    let port = Port::reserve();
    let stage = Stage::set(source(""));
    let id = stage.add(&format!("rtmp://127.0.0.1:{}/app/key", port.number()));
    stage.wait_error(&id, "connection refused");
    let peer = Peer::on(TcpListener::bind(("127.0.0.1", port.number())).unwrap(), Manners::Takes);
    stage.wait_state(&id, "live");
    peer.wait_frames("key", 20);
    stage.is_undisturbed();
}

#[test]
fn it_resets_the_connection() {
    assert_waits(Manners::Resets, "connection reset");
}

#[test]
fn it_accepts_and_says_nothing() {
    assert_waits(Manners::Silent, "timed out in the handshake");
}

#[test]
fn it_shakes_hands_and_says_nothing() {
    assert_waits(Manners::Mute, "timed out waiting for the answer to publish");
}

#[test]
fn it_rejects_the_publish_in_its_own_words() {
    let code = "NetStream.Publish.BadName";
    assert_waits(
        Manners::Rejects(code.to_owned(), "Stream key expired, get another".to_owned()),
        "rejected: NetStream.Publish.BadName: Stream key expired, get another",
    );
}

#[test]
fn it_hangs_up_on_the_first_frame() {
    assert_waits(Manners::HangsUp, "closed by the target");
}

/// A second stream, with frames that soon fill every buffer.
struct Large(Publisher);

impl Large {
    #[track_caller]
    fn publish(stage: &Stage) -> Self {
        Self(Publisher::to(stage.nginx.rtmp(), "live/large").silent().start().started())
    }

    /// Sends frames until the session at the target has this state, and returns the session.
    #[track_caller]
    fn send_until(&self, stage: &Stage, id: &str, state: &str) -> Value {
        self.send_large_until(u32::MAX, stage, id, state)
    }

    /// Does the same, but sends only `count` large frames.
    #[track_caller]
    fn send_large_until(&self, count: u32, stage: &Stage, id: &str, state: &str) -> Value {
        let mut timestamp = 0;
        until(&format!("the target is {state}"), 60.0, || {
            timestamp += 10;
            let size = if timestamp / 10 <= count { 30_000 } else { 30 };
            self.0.manually(move |connection| {
                let picture = [&[0x17, 1, 0, 0, 0][..], &vec![0; size]].concat();
                connection.client.send_tag(TagKind::Video, timestamp, &picture).unwrap();
            });
            let session = session_of(&stage.api, id, "large");
            (session["state"] == state).then_some(session)
        })
    }
}

#[test]
fn it_does_not_read() {
    let stage = Stage::set(source(""));
    let peer = Peer::start(Manners::Deaf);
    let large = Large::publish(&stage);
    let id = add(&stage.api, "large", &peer.url("app/key"));
    // This is more than the peer accepts, and less than the kernel would keep for the peer.
    let session = large.send_large_until(40, &stage, &id, "waiting");
    assert_eq!(session["last_error"], "does not read: 0 bit/s for 10 s");
    stage.is_undisturbed();
}

#[test]
fn nobody_answers() {
    // The queue of the listener is full: the kernel drops every further connection.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(socket) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        held.push(socket);
    }
    let stage = Stage::set(source(""));
    let id = stage.add(&format!("rtmp://{address}/app/key"));
    stage.wait_error(&id, "timed out connecting");
    stage.is_undisturbed();
}

#[test]
fn the_cable_is_pulled_while_it_is_live() {
    let net = Netns::create();
    let peer = net.inside(|| Peer::at(&net.address(1).to_string(), Manners::Takes));
    let stage = Stage::set(source(""));
    let large = Large::publish(&stage);
    let id = add(&stage.api, "large", &peer.url("app/key"));
    large.send_until(&stage, &id, "live");
    net.pull();
    let session = large.send_until(&stage, &id, "waiting");
    assert_eq!(session["last_error"], "does not read: 0 bit/s for 10 s");
    net.plug();
    large.send_until(&stage, &id, "live");
    stage.is_undisturbed();
}

#[test]
fn it_is_this_very_server() {
    let stage = Stage::set(source("").app("other", "weir_publish open;"));
    let port = stage.nginx.rtmp();
    let id = stage.add(&format!("rtmp://127.0.0.1:{port}/live/show"));
    stage.wait_error(&id, "would loop back to this server");
    // A push to another application of this server is allowed.
    let other = stage.add(&format!("rtmp://127.0.0.1:{port}/other/show"));
    stage.wait_state(&other, "live");
    until("it is there", 5.0, || stage.api.stream("other", "show").is_some());
    stage.is_undisturbed();
}

/// With the same key, the push would take over from its own publisher.
#[test]
fn it_is_this_very_server_by_a_key() {
    let live = "weir_publish key; weir_duplicate takeover; weir_push on;";
    let nginx = Config::weir().with_api().app("live", live).start();
    let (api, key) = (nginx.api(), nginx.api().create_key("live", "show"));
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started();
    for path in [key.key.clone(), format!("other?key={}", key.key)] {
        let id = add(&api, "show", &format!("rtmp://127.0.0.1:{}/live/{path}", nginx.rtmp()));
        wait_error(&api, &id, "would loop back to this server");
    }
    assert!(!publisher.is_closed());
}

#[test]
fn there_is_no_way_there() {
    let net = Netns::create();
    let witness = net.inside(|| Peer::at("127.0.0.1", Manners::Takes));
    // This network has only its own link and no route to another network.
    net.inside(|| {
        let nginx = source("").start();
        let api = nginx.api();
        let well = add(&api, "show", &witness.url("app/witness"));
        let v6 = add(&api, "show", "rtmp://[2001:db8::1]/app/key");
        let v4 = add(&api, "show", "rtmp://203.0.113.1/app/key");
        let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
        wait_error(&api, &v6, "cannot connect: ");
        wait_error(&api, &v4, "cannot connect: network unreachable");
        super::wait_state(&api, &well, "live");
    });
}

#[test]
fn an_address_that_is_denied() {
    let stage =
        Stage::set(source("weir_push_deny 127.0.0.2; weir_push_allow 127.0.0.0/8; weir_push_deny all;"));
    let peer = Peer::at("127.0.0.2", Manners::Takes);
    for url in [peer.url("app/key"), "rtmp://192.0.2.1/app/key".to_owned(), "rtmp://[::1]/app/key".to_owned()]
    {
        let id = stage.add(&url);
        stage.wait_error(&id, "address is denied by weir_push_deny");
    }
    assert!(peer.calls().is_empty());
    stage.is_undisturbed();
}
