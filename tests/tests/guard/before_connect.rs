//! Before `connect`, the guard accepts only this command and protocol control messages, and few bytes.

use weir_rtmp::amf0::Writer;
use weir_rtmp::chunk::{Format, Header};
use weir_rtmp::message::{Message, MessageKind};
use weir_tests::harness::Nginx;

use super::{Stranger, assert_fatal, assert_refused, server};

/// Returns metadata as a data message or a command, with or without the `@setDataFrame` that encoders put before it.
fn metadata(kind: MessageKind, wrapped: bool) -> Message {
    let mut writer = Writer::new();
    if wrapped {
        writer.string(b"@setDataFrame");
    }
    writer.string(b"onMetaData").begin_ecma_array(1).key("width").number(160.0).end();
    Message { kind, stream_id: 0, timestamp: 0, payload: writer.into_bytes() }
}

fn sends_metadata(kind: MessageKind, wrapped: bool) -> impl Fn(&Nginx) -> Stranger {
    move |nginx| Stranger::arrives(nginx).says(5, &metadata(kind, wrapped))
}

#[test]
fn data_messages_before_connect_are_refused() {
    for wrapped in [false, true] {
        assert_refused(
            server(""),
            "not_connected",
            "message before connect",
            sends_metadata(MessageKind::DATA, wrapped),
        );
    }
}

#[test]
fn data_messages_posing_as_commands_before_connect_are_refused() {
    for wrapped in [false, true] {
        assert_refused(
            server(""),
            "not_connected",
            "message before connect",
            sends_metadata(MessageKind::COMMAND, wrapped),
        );
    }
}

#[test]
fn without_the_guard_data_messages_before_connect_do_harm() {
    for kind in [MessageKind::DATA, MessageKind::COMMAND] {
        assert_fatal(sends_metadata(kind, false));
    }
}

#[test]
fn other_messages_before_connect_are_refused() {
    // nginx-rtmp ignores messages of a type above that of aggregates.
    let unknown = [MessageKind(23), MessageKind(255)];
    let known = [
        MessageKind::AUDIO,
        MessageKind::VIDEO,
        MessageKind::AGGREGATE,
        MessageKind::USER_CONTROL,
        MessageKind(17),
        MessageKind(19),
    ];
    for kind in known.into_iter().chain(unknown) {
        let message = Message { kind, stream_id: 0, timestamp: 0, payload: vec![0; 20] };
        assert_refused(server(""), "not_connected", "message before connect", |nginx| {
            Stranger::arrives(nginx).says(4, &message)
        });
    }
}

#[test]
fn commands_before_connect_are_refused() {
    for name in ["createStream", "publish", "play", "deleteStream", "_result"] {
        let message = Message::command(0, name, 1.0, |w| w.null().string(b"x"));
        assert_refused(server(""), "not_connected", "message before connect", |nginx| {
            Stranger::arrives(nginx).says(3, &message)
        });
    }
}

/// Sends parts of a message that never ends.
fn sends_much(nginx: &Nginx) -> Stranger {
    let header = Header {
        format: Format::Full,
        chunk_stream: 3,
        time: 0,
        length: 900_000,
        kind: MessageKind::COMMAND,
        stream_id: 0,
    };
    let mut stranger = Stranger::arrives(nginx).sends_chunk(&header, &[0; 128]);
    for _ in 0..200 {
        stranger = stranger.sends_chunk(&Header { format: Format::Nothing, ..header }, &[0; 128]);
    }
    stranger
}

#[test]
fn much_before_connect_is_refused() {
    let text = "more than 16384 bytes before connect";
    assert_refused(server(""), "bytes_before_connect", text, sends_much);
}

#[test]
fn without_the_guard_much_before_connect_is_kept() {
    let nginx = super::unguarded().start();
    let mut strangers: Vec<_> = (0..3).map(|_| sends_much(&nginx)).collect();
    assert!(weir_tests::harness::until_ok(1.0, || strangers.iter_mut().any(Stranger::is_closed)).is_none());
}
