//! Reads statuses as various servers write them.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

use proptest::prelude::*;
use weir_rtmp::amf0::Writer;
use weir_rtmp::status::Status;

fn read(write: impl FnOnce(&mut Writer)) -> (String, String, String) {
    let mut writer = Writer::new();
    write(&mut writer);
    let Status { level, code, description } = Status::read(writer.as_bytes());
    (level, code, description)
}

fn says(level: &str, code: &str, description: &str) -> (String, String, String) {
    (level.to_owned(), code.to_owned(), description.to_owned())
}

const START: &str = "NetStream.Publish.Start";

#[test]
fn fields_may_be_missing_null_numbers_or_in_another_order() {
    let plain = |w: &mut Writer| {
        w.number(0.0).null().begin_object();
        w.key("level")
            .string(b"status")
            .key("code")
            .string(START.as_bytes())
            .key("description")
            .string(b"ok")
            .end();
    };
    assert_eq!(read(plain), says("status", START, "ok"));
    let others = |w: &mut Writer| {
        w.number(0.0).null().begin_object();
        w.key("clientid").number(1.0).key("code").string(START.as_bytes()).key("description").null();
        w.key("details").begin_object().key("level").string(b"inner").end();
        w.key("level").number(7.0).end();
    };
    assert_eq!(read(others), says("7", START, ""));
    let bare = |w: &mut Writer| {
        w.begin_object().key("level").string(b"status").end();
    };
    assert_eq!(read(bare), says("status", "", ""));
}

#[test]
fn the_object_may_stand_anywhere_and_be_an_array() {
    // As a data message has it, and behind an object of another kind.
    let array = |w: &mut Writer| {
        w.begin_object().key("fmsVer").string(b"FMS/3").end();
        w.string(b"text").begin_ecma_array(1).key("code").string(START.as_bytes()).end();
    };
    assert_eq!(read(array), says("", START, ""));
    let nothing = |w: &mut Writer| {
        w.number(1.0).null();
    };
    assert_eq!(read(nothing), says("", "", ""));
    assert_eq!(read(|_| {}), says("", "", ""));
}

#[test]
fn an_object_without_an_end_counts_as_far_as_it_goes() {
    let mut writer = Writer::new();
    writer.number(0.0).null().begin_object().key("code").string(START.as_bytes());
    assert_eq!(Status::read(writer.as_bytes()).code, START);
}

#[test]
fn of_amf_3_the_code_is_found() {
    let mut bytes = vec![0x11, 0x0a, 0x0b, 1, 9];
    bytes.extend(b"code\x06\x2fNetStream.Publish.Start\x0blevel\x06\x0dstatus\x01");
    assert_eq!(Status::read(&bytes).code, START);
    bytes.extend(b"NetStream.Publish.BadName error");
    assert_eq!(Status::read(&bytes).level, "error");
    assert_eq!(Status::read(&[0x11, 1, 2]), Status::default());
}

proptest! {
    #[test]
    fn reading_never_fails(bytes: Vec<u8>) {
        Status::read(&bytes);
    }
}
