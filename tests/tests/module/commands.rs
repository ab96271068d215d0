//! A `publish` command needs a verdict in whatever message or encoding it comes; without a verdict nothing is published.

use weir_rtmp::amf0::{Value, Writer};
use weir_rtmp::message::{Message, MessageKind};
use weir_tests::harness::{Nginx, Publisher, until};

use super::{BAD_NAME, keyed, wait_gone, wait_live};

/// Starts a publisher that has connected and created its stream, and that the test controls from then on.
fn connected(nginx: &Nginx) -> Publisher {
    let publisher = Publisher::to(nginx.rtmp(), "live/none").manual().start();
    publisher.wait_stream_created();
    publisher
}

/// Sends one message of `kind` on the stream.
fn send(publisher: &Publisher, kind: MessageKind, payload: Vec<u8>) {
    let message = Message { kind, stream_id: 1, timestamp: 0, payload };
    publisher.manually(move |connection| connection.client.send_message(8, &message));
}

/// Returns a `publish` command whose name is spelled as `command`.
fn publish(command: &str, name: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.string(command.as_bytes()).number(5.0).null().string(name).string(b"live");
    writer.into_bytes()
}

/// Returns an aggregate message with one message in it (RTMP specification, section 7.1.6).
fn aggregate(kind: MessageKind, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![kind.0, length[1], length[2], length[3], 0, 0, 0, 0, 1, 0, 0];
    bytes.extend_from_slice(payload);
    bytes.extend((payload.len() as u32 + 11).to_be_bytes());
    bytes
}

/// Returns every form in which nginx-rtmp accepts a command: as AMF 0, or with the byte that AMF 3 puts before it; as data, shared object
/// or command; in upper or lower case; in an aggregate.
fn wrappings(name: &[u8]) -> Vec<(MessageKind, Vec<u8>)> {
    let plain = publish("publish", name);
    let amf3 = [&[0], &plain[..]].concat();
    vec![
        (MessageKind(20), plain.clone()),
        (MessageKind(18), plain.clone()),
        (MessageKind(19), plain.clone()),
        (MessageKind(17), amf3.clone()),
        (MessageKind(15), amf3.clone()),
        (MessageKind(16), amf3),
        (MessageKind(20), publish("PUBLISH", name)),
        (MessageKind(20), publish("Publish", name)),
        (MessageKind(22), aggregate(MessageKind(20), &plain)),
        (MessageKind(22), aggregate(MessageKind(22), &aggregate(MessageKind(18), &plain))),
    ]
}

#[test]
fn no_wrapping_gets_past_the_verdict() {
    let nginx = keyed().start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    for (nth, (kind, payload)) in wrappings(b"wk_wrong").into_iter().enumerate() {
        let publisher = connected(&nginx);
        send(&publisher, kind, payload);
        publisher.wait_closed(5.0);
        assert!(api.streams().is_empty(), "{nth}");
        assert!(publisher.statuses().iter().all(|status| status.code != "NetStream.Publish.Start"), "{nth}");
    }
    for (nth, (kind, payload)) in wrappings(key.as_bytes()).into_iter().enumerate() {
        let publisher = connected(&nginx);
        send(&publisher, kind, payload);
        until(&format!("wrapping {nth} is decided"), 5.0, || {
            publisher.is_closed() || api.stream("live", "show").is_some()
        });
        drop(publisher);
        wait_gone(&api, "live", "show");
    }
    let names = nginx.log_lines("publish: name='");
    assert!(names.iter().all(|line| line.contains("name='show'")), "{names:?}");
    assert!(!nginx.log().contains(&key));
}

/// Returns a `publish` command in which `values` writes the null, the name and the type.
fn mangled(values: impl FnOnce(&mut Writer) -> &mut Writer) -> Vec<u8> {
    let mut writer = Writer::new();
    values(writer.string(b"publish").number(5.0));
    writer.into_bytes()
}

#[test]
fn mangled_commands_are_refused() {
    let nginx = keyed().app("open", "weir_publish open;").start();
    let mut cases = vec![
        mangled(|w| w),
        mangled(|w| w.null()),
        mangled(|w| w.null().null()),
        mangled(|w| w.null().number(7.0)),
        mangled(|w| w.null().object(&[("name", Value::String(b"x"))])),
        mangled(|w| w.null().raw(&[2, 0xff, 0xff, b'x'])),
        mangled(|w| w.null().raw(&[0x0c, 0xff, 0xff, 0xff, 0xff])),
        mangled(|w| w.null().raw(&[0x11, 1])),
        mangled(|w| w.null().begin_strict_array(u32::MAX)),
        b"\x02\x00\x07publish".to_vec(),
    ];
    // An object instead of the null: nested deeper than encoders nest, but within the depth that is read.
    cases.push(mangled(|w| {
        for _ in 0..30 {
            w.begin_object().key("a");
        }
        w.null();
        for _ in 0..30 {
            w.end();
        }
        w.string(b"wk_wrong")
    }));
    for (nth, payload) in cases.into_iter().enumerate() {
        let publisher = connected(&nginx);
        send(&publisher, MessageKind::COMMAND, payload);
        until(&format!("case {nth} is closed"), 5.0, || publisher.is_closed());
        assert!(publisher.statuses().iter().all(|status| status.code != "NetStream.Publish.Start"), "{nth}");
        assert!(nginx.api().streams().is_empty(), "{nth}");
    }
}

#[test]
fn a_publish_before_connect_is_refused() {
    let nginx = keyed().rtmp("weir_publish key;").start();
    let key = nginx.api().create_key("live", "show").key;
    for name in [key.as_str(), "wk_wrong"] {
        let publisher = Publisher::to(nginx.rtmp(), "live/none").unconnected().start();
        send(&publisher, MessageKind::COMMAND, publish("publish", name.as_bytes()));
        publisher.wait_closed(5.0);
        assert!(nginx.api().streams().is_empty());
    }
}

#[test]
fn a_command_in_several_chunks() {
    let nginx = keyed().start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    // With all arguments the name has 255 bytes, and a chunk holds 128 bytes.
    let path = |key: &str| {
        let head = format!("show?a={}&key={key}&b=", "x".repeat(100));
        format!("live/{head}{}", "y".repeat(255 - head.len()))
    };
    let publisher = Publisher::to(nginx.rtmp(), &path(&key)).chunk_size(128).silent().start().started();
    wait_live(&api, "live", "show");
    publisher.close();
    wait_gone(&api, "live", "show");
    Publisher::to(nginx.rtmp(), &path("wk_wrong")).chunk_size(128).silent().start().refused(BAD_NAME);
}

#[test]
fn commands_after_a_refusal_are_not_heard() {
    let nginx = keyed().start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let publisher = connected(&nginx);
    let (wrong, right) = (publish("publish", b"wk_wrong"), publish("publish", key.as_bytes()));
    publisher.manually(move |connection| {
        for payload in [wrong, right] {
            let message = Message { kind: MessageKind::COMMAND, stream_id: 1, timestamp: 0, payload };
            connection.client.send_message(8, &message);
        }
    });
    publisher.wait_closed(5.0);
    assert!(api.streams().is_empty());
    assert!(publisher.statuses().iter().all(|status| status.code != "NetStream.Publish.Start"));
}

#[test]
fn a_unix_socket_is_no_pass() {
    let nginx = keyed().server("listen unix:@DIR@/rtmp.sock;").start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let socket = nginx.path("rtmp.sock");
    Publisher::to(nginx.rtmp(), "live/wk_wrong").over(&socket).start().refused(BAD_NAME);
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).over(&socket).start().started();
    assert_eq!(wait_live(&api, "live", "show")["publisher"]["addr"], "unix:");
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().refused(BAD_NAME);
    publisher.close();
    wait_gone(&api, "live", "show");
}

#[test]
fn what_comes_and_goes_leaves_nothing_behind() {
    let nginx = keyed().app("open", "weir_publish open;").start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let round = || {
        for (path, accepted) in
            [(format!("live/{key}"), true), ("live/wk_x".into(), false), ("open/a".into(), true)]
        {
            let publisher = Publisher::to(nginx.rtmp(), &path).silent().start();
            match accepted {
                true => drop(publisher.started()),
                false => publisher.refused_somehow(),
            }
        }
        until("all streams are gone", 5.0, || api.streams().is_empty());
    };
    round();
    let used = api.get("/v1/health").expect(200)["zone"]["used"].clone();
    for _ in 0..30 {
        round();
    }
    assert_eq!(api.get("/v1/health").expect(200)["zone"]["used"], used);
}
