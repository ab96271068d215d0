//! Compares bytes with those of the specifications, to find errors that writer and reader share and a round trip would
//! not show.
#![allow(clippy::unwrap_used)]

use weir_rtmp::amf0::Marker;
use weir_rtmp::chunk::{Reader, Writer};
use weir_rtmp::flv::{Tag, TagKind, write_tag};
use weir_rtmp::message::{Message, MessageKind};

fn audio(timestamp: u32, payload: &[u8]) -> Message {
    Message { kind: MessageKind::AUDIO, stream_id: 1, timestamp, payload: payload.to_vec() }
}

fn written(chunk_stream: u32, messages: &[Message]) -> Vec<u8> {
    let (mut writer, mut bytes) = (Writer::new(), Vec::new());
    for message in messages {
        writer.write(chunk_stream, message, &mut bytes);
    }
    bytes
}

/// RTMP 1.0, 5.3.1.1: ids of one, two and three bytes; the third byte counts 256.
#[test]
fn ids_of_chunk_streams() {
    let body = [0, 0, 1, 0, 0, 1, 8, 1, 0, 0, 0, 0xaa];
    for (id, head) in
        [(3, vec![3]), (63, vec![63]), (64, vec![0, 0]), (319, vec![0, 255]), (1000, vec![1, 168, 3])]
    {
        let message = audio(1, &[0xaa]);
        assert_eq!(written(id, std::slice::from_ref(&message)), [&head[..], &body].concat(), "{id}");
        let mut reader = Reader::new(1 << 20);
        reader.feed(&[&head[..], &body].concat());
        assert_eq!(reader.next_message().unwrap().unwrap(), message, "{id}");
    }
}

/// RTMP 1.0, 5.3.1.2: a message that differs from the one before in its kind or length alone says so.
#[test]
fn what_a_header_may_leave_out() {
    let formats = |messages: &[Message]| {
        let (mut writer, mut formats) = (Writer::new(), Vec::new());
        for message in messages {
            let mut bytes = Vec::new();
            writer.write(4, message, &mut bytes);
            formats.push(bytes[0] >> 6);
        }
        formats
    };
    let video = Message { kind: MessageKind::VIDEO, ..audio(20, &[1, 2]) };
    assert_eq!(formats(&[audio(0, &[1, 2]), audio(10, &[3, 4]), audio(20, &[5, 6])]), [0, 2, 3]);
    assert_eq!(formats(&[audio(0, &[1, 2]), audio(10, &[3, 4]), audio(25, &[5, 6])]), [0, 2, 2]);
    assert_eq!(formats(&[audio(0, &[1, 2]), audio(10, &[3])]), [0, 1]);
    assert_eq!(formats(&[audio(0, &[1, 2]), video]), [0, 1]);
    assert_eq!(formats(&[audio(10, &[1, 2]), audio(0, &[1, 2])]), [0, 0]);
    assert_eq!(formats(&[audio(0, &[1, 2]), Message { stream_id: 2, ..audio(10, &[1, 2]) }]), [0, 0]);
}

/// RTMP 1.0, 5.3.1.3: from 0xffffff on, the time follows the header in four bytes.
#[test]
fn times_that_do_not_fit_three_bytes() {
    let short = written(3, &[audio(0xff_fffe, &[9])]);
    assert_eq!(short[1..4], [0xff, 0xff, 0xfe]);
    assert_eq!(short.len(), 12 + 1);
    for time in [0xff_ffff_u32, 0x0100_0000, u32::MAX] {
        let long = written(3, &[audio(time, &[9])]);
        assert_eq!(long[1..4], [0xff, 0xff, 0xff], "{time}");
        assert_eq!(long[12..16], time.to_be_bytes(), "{time}");
        assert_eq!(long.len(), 16 + 1);
    }
}

/// Video File Format Specification 10, annex E.3: the size after a tag counts its header of 11 bytes.
#[test]
fn the_size_behind_a_tag() {
    let mut bytes = Vec::new();
    write_tag(&Tag { kind: TagKind::Video, timestamp: 0x0102_0304, payload: vec![0x17, 1, 2] }, &mut bytes);
    assert_eq!(bytes, [9, 0, 0, 3, 2, 3, 4, 1, 0, 0, 0, 0x17, 1, 2, 0, 0, 0, 14]);
}

/// AMF 0, section 2.1. Movie clips (4), record sets (14) and the switch to AMF 3 (17) have no marker here.
#[test]
fn markers() {
    let known: Vec<u8> = (0..=255).filter(|byte| Marker::from_byte(*byte).is_some()).collect();
    assert_eq!(known, [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16]);
    let named = [
        (0, Marker::Number),
        (1, Marker::Boolean),
        (2, Marker::String),
        (3, Marker::Object),
        (8, Marker::EcmaArray),
        (9, Marker::ObjectEnd),
        (10, Marker::StrictArray),
        (11, Marker::Date),
        (12, Marker::LongString),
    ];
    for (byte, marker) in named {
        assert_eq!(Marker::from_byte(byte), Some(marker));
    }
}
