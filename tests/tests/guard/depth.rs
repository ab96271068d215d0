//! Nested objects and arrays: 32 levels are allowed in each message of AMF values.

use weir_rtmp::amf0::Writer;
use weir_rtmp::message::{Message, MessageKind};
use weir_tests::harness::{Nginx, until};

use super::{Bystanders, Stranger, assert_fatal, assert_refused, server};

const TEXT: &str = "amf nested deeper than 32 levels";

/// So many levels that they exceed the stack of a worker.
const MANY: usize = 200_000;

fn objects(levels: usize) -> Vec<u8> {
    let mut writer = Writer::new();
    for _ in 0..levels {
        writer.begin_object().key("a");
    }
    writer.null();
    for _ in 0..levels {
        writer.end();
    }
    writer.into_bytes()
}

fn arrays(levels: usize) -> Vec<u8> {
    let mut writer = Writer::new();
    for _ in 0..levels {
        writer.begin_strict_array(1);
    }
    writer.null().as_bytes().to_vec()
}

fn command(values: &[u8]) -> Message {
    Message::command(0, "createStream", 1.0, |w| w.raw(values))
}

fn metadata(values: &[u8]) -> Message {
    let payload = Writer::new().string(b"onMetaData").raw(values).as_bytes().to_vec();
    Message { kind: MessageKind::DATA, stream_id: 0, timestamp: 0, payload }
}

fn says(message: Message) -> impl Fn(&Nginx) -> Stranger {
    move |nginx| Stranger::connects(nginx).says(3, &message)
}

/// Does the same as [`says`] after an accepted publish, because before that the limits are lower.
fn publishes_and_says(message: Message) -> impl Fn(&Nginx) -> Stranger {
    move |nginx| Stranger::publishing(nginx).says(3, &message)
}

#[test]
fn deeply_nested_commands_are_refused() {
    for values in [objects(33), arrays(33)] {
        assert_refused(server(""), "depth", TEXT, says(command(&values)));
    }
    for values in [objects(MANY / 2), arrays(MANY)] {
        assert_refused(server(""), "depth", TEXT, publishes_and_says(command(&values)));
    }
}

#[test]
fn deeply_nested_metadata_is_refused() {
    for values in [objects(33), arrays(33)] {
        assert_refused(server(""), "depth", TEXT, says(metadata(&values)));
    }
    assert_refused(server(""), "depth", TEXT, publishes_and_says(metadata(&arrays(MANY))));
}

#[test]
fn a_deeply_nested_connect_is_refused() {
    let connect = Message::command(0, "connect", 1.0, |w| w.raw(&objects(33)));
    assert_refused(server(""), "depth", TEXT, |nginx| Stranger::arrives(nginx).says(3, &connect));
}

#[test]
fn without_the_guard_deep_nesting_does_harm() {
    assert_fatal(says(metadata(&arrays(MANY))));
    assert_fatal(says(metadata(&objects(MANY / 2))));
    // A `connect` that is nested so deeply never reaches nginx-rtmp, with or without the guard.
}

#[test]
fn values_as_deep_as_allowed_are_taken() {
    let nginx = server("").start();
    let bystanders = Bystanders::of(&nginx);
    for values in [objects(32), arrays(32)] {
        let mut stranger = Stranger::connects(&nginx).says(3, &command(&values)).says(5, &metadata(&values));
        let asked = stranger.publishes(b"show");
        stranger = asked;
        until("it is published", 5.0, || {
            stranger.statuses().iter().any(|status| status.code == "NetStream.Publish.Start")
        });
    }
    bystanders.are_undisturbed(&nginx);
}
