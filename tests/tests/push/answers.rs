//! Targets that answer as various services do: each gets the stream, and its session becomes live.

use weir_rtmp::amf0::Writer;
use weir_rtmp::message::{Message, MessageKind};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::peer::assert_unbroken;
use weir_tests::harness::{Manners, Peer, Publisher};

use super::{Stage, source};

const START: &[u8] = b"NetStream.Publish.Start";

/// Returns an `onStatus` message whose object is written by `write`.
fn status(write: impl FnOnce(&mut Writer) -> &mut Writer) -> Message {
    Message::command(1, "onStatus", 0.0, |w| write(w.null().begin_object()).end())
}

fn answers() -> Vec<(&'static str, Message)> {
    let plain = status(|w| w.key("level").string(b"status").key("code").string(START));
    let values = {
        let mut writer = Writer::new();
        writer.string(b"onStatus").begin_object().key("code").string(START).end();
        writer.into_bytes()
    };
    let message =
        |kind: u8, payload: Vec<u8>| Message { kind: MessageKind(kind), stream_id: 1, timestamp: 0, payload };
    vec![
        ("no level, no description", status(|w| w.key("code").string(START))),
        ("a description that is null", status(|w| w.key("description").null().key("code").string(START))),
        (
            "numbers",
            status(|w| {
                w.key("clientid")
                    .number(1.0)
                    .key("level")
                    .number(0.0)
                    .key("code")
                    .string(START)
                    .key("description")
                    .number(7.0)
            }),
        ),
        ("a level alone", status(|w| w.key("level").string(b"status"))),
        ("as data", message(18, values.clone())),
        ("as AMF 3 data", message(15, [&[0][..], &values].concat())),
        ("as an AMF 3 command", message(17, [&[0][..], &plain.payload].concat())),
        (
            "in values of AMF 3",
            message(
                17,
                [
                    &[0][..],
                    &{
                        let mut writer = Writer::new();
                        writer.string(b"onStatus").number(0.0).null();
                        writer.into_bytes()
                    },
                    b"\x11\x0a\x0b\x01\x09code\x06\x2fNetStream.Publish.Start\x01",
                ]
                .concat(),
            ),
        ),
        ("as _result", Message::command(1, "_result", 0.0, |w| w.null().null())),
        (
            "with a long description",
            status(|w| w.key("description").string(&[b'x'; 20_000]).key("code").string(START)),
        ),
    ]
}

#[test]
fn a_status_is_read_however_it_is_written() {
    let stage = Stage::set(source(""));
    let targets: Vec<_> = answers()
        .into_iter()
        .map(|(what, answer)| {
            let peer = Peer::start(Manners::Answers(Some(answer)));
            (what, stage.add(&peer.url("app/key")), peer)
        })
        .collect();
    for (what, id, peer) in &targets {
        let session = stage.wait_state(id, "live");
        assert_eq!(
            (&session["reconnects"], &session["last_error"]),
            (&0.into(), &serde_json::Value::Null),
            "{what}"
        );
        peer.wait_frames("key", 10);
    }
    stage.is_undisturbed();
}

#[test]
fn who_takes_the_stream_without_an_answer_is_live() {
    let stage = Stage::set(source(""));
    let peer = Peer::start(Manners::Answers(None));
    let id = stage.add(&peer.url("app/key"));
    let session = stage.wait_state(&id, "live");
    assert_eq!((&session["reconnects"], &session["last_error"]), (&0.into(), &serde_json::Value::Null));
    assert_unbroken(&peer.wait_frames("key", 200).frames);
    stage.is_undisturbed();
}

#[test]
fn a_refusal_is_shown_as_far_as_it_is_text() {
    for (answer, error) in [
        (
            status(|w| {
                w.key("level")
                    .string(b"error")
                    .key("code")
                    .string(b"NetStream.Publish.BadName")
                    .key("description")
                    .null()
            }),
            "rejected: NetStream.Publish.BadName",
        ),
        (
            status(|w| w.key("code").string(b"NetStream.Publish.Denied").key("description").number(401.0)),
            "rejected: NetStream.Publish.Denied: 401",
        ),
        (status(|w| w.key("level").string(b"Error")), "rejected: without a reason"),
    ] {
        let stage = Stage::set(source(""));
        let peer = Peer::start(Manners::Answers(Some(answer)));
        let id = stage.add(&peer.url("app/key"));
        stage.wait_error(&id, error);
        stage.is_undisturbed();
    }
}

/// The specification allows all of these sizes, and all above 16777215 mean the same.
#[test]
fn a_chunk_size_beyond_every_message_is_fine() {
    let stage = Stage::set(source(""));
    let targets = [65_536, 16_777_215, 134_217_728, 0x7fff_ffff].map(|size| {
        let peer = Peer::start(Manners::Chunks(size));
        (stage.add(&peer.url("app/key")), peer)
    });
    for (id, peer) in &targets {
        stage.wait_state(id, "live");
        assert_unbroken(&peer.wait_frames("key", 100).frames);
        assert_eq!(stage.session(id)["reconnects"], 0);
    }
    assert!(stage.nginx.log_lines("chunk size").is_empty());
    stage.is_undisturbed();
}

#[test]
fn a_key_of_arguments_alone_and_a_long_one_arrive_whole() {
    let stage = Stage::set(source(""));
    let long = format!("71856?sign={}&flag&host=a.example", "c5".repeat(600));
    let targets = ["?streamname=live_4&key=5bf4e6f01f", &long].map(|key| {
        let peer = Peer::takes();
        (key.to_owned(), stage.add(&peer.url(&format!("app/{key}"))), peer)
    });
    for (key, id, peer) in &targets {
        stage.wait_state(id, "live");
        assert_eq!(peer.wait_frames(key, 20).app, "app");
        let shown = stage.api.get(&format!("/v1/targets/{id}")).expect(200)["url"].clone();
        assert_eq!(shown, peer.url("app/***"));
        assert!(stage.nginx.log_lines(key).is_empty());
    }
    stage.is_undisturbed();
}

/// Encoders announce such sizes as well.
#[test]
fn a_publisher_may_announce_such_chunks_too() {
    let nginx = Config::weir().with_api().app("live", "weir_publish open;").start();
    for (nth, size) in [65_536, 16_777_215, 134_217_728, 0x7fff_ffff].into_iter().enumerate() {
        let path = format!("live/show{nth}");
        let publisher = Publisher::to(nginx.rtmp(), &path).chunk_size(size).start().started();
        weir_tests::harness::Player::start(nginx.rtmp(), &path).wait_video(20);
        assert!(!publisher.is_closed());
    }
    assert!(nginx.log_lines("chunk size").is_empty());
}
