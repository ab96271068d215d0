//! Chunks: written messages are read back, at any chunk size and in pieces of any size, and no bytes make the reader
//! panic.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use weir_rtmp::chunk::{Error, Format, Header, Reader, Writer};
use weir_rtmp::message::{Message, MessageKind};

fn message() -> impl Strategy<Value = (u32, Message)> {
    let time = prop_oneof![0u32..5000, 0xff_fff0u32..0x100_0010, any::<u32>()];
    let kind = prop_oneof![
        Just(MessageKind::AUDIO),
        Just(MessageKind::VIDEO),
        Just(MessageKind::DATA),
        Just(MessageKind::COMMAND)
    ];
    let id = prop_oneof![Just(3u32), Just(63), Just(64), Just(319), Just(320), Just(65_599)];
    (id, kind, 0u32..3, time, prop::collection::vec(any::<u8>(), 0..700)).prop_map(
        |(id, kind, stream_id, timestamp, payload)| (id, Message { kind, stream_id, timestamp, payload }),
    )
}

/// Reads all of `bytes`, given in pieces of `piece` bytes; what only sets the chunk size is left out.
fn read(bytes: &[u8], piece: usize) -> Result<Vec<Message>, Error> {
    let mut reader = Reader::new(1 << 20);
    let mut messages = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.feed(piece);
        while let Some(message) = reader.next_message()? {
            messages.push(message);
        }
    }
    messages.retain(|message| message.kind != MessageKind::SET_CHUNK_SIZE);
    Ok(messages)
}

proptest! {
    #[test]
    fn round_trip(
        messages in prop::collection::vec(message(), 1..20),
        sizes in prop::collection::vec(1u32..900, 0..3),
        piece in 1usize..200,
    ) {
        let mut writer = Writer::new();
        let mut bytes = Vec::new();
        for (index, (id, message)) in messages.iter().enumerate() {
            if let Some(size) = sizes.get(index) {
                writer.set_chunk_size(*size, &mut bytes);
            }
            writer.write(*id, message, &mut bytes);
        }
        let sent: Vec<_> = messages.into_iter().map(|(_, message)| message).collect();
        prop_assert_eq!(read(&bytes, piece).unwrap(), sent);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..4000), piece in 1usize..500) {
        let _ = read(&bytes, piece);
    }

    #[test]
    fn headers_round_trip_through_a_message(time in any::<u32>(), chunk_stream in 2u32..65_600, length in 0usize..300) {
        let header = Header {
            format: Format::Full, chunk_stream, time, length: length as u32, kind: MessageKind::VIDEO, stream_id: 1,
        };
        let mut bytes = Vec::new();
        let payload = vec![7; length];
        header.encode(&mut bytes);
        for (index, chunk) in payload.chunks(128).enumerate() {
            if index > 0 {
                Header { format: Format::Nothing, ..header }.encode(&mut bytes);
            }
            bytes.extend(chunk);
        }
        prop_assert_eq!(read(&bytes, 1000).unwrap(), [Message { kind: MessageKind::VIDEO, stream_id: 1, timestamp: time, payload }]);
    }
}

fn full(length: u32) -> Header {
    Header { format: Format::Full, chunk_stream: 4, time: 40, length, kind: MessageKind::AUDIO, stream_id: 1 }
}

fn bytes_of(parts: &[(Header, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (header, payload) in parts {
        header.encode(&mut bytes);
        bytes.extend_from_slice(payload);
    }
    bytes
}

#[test]
fn differences_of_time_add_up() {
    let next = |format, time| Header { format, time, ..full(2) };
    let bytes = bytes_of(&[
        (full(2), b"ab"),
        (next(Format::SameStream, 20), b"cd"),
        (next(Format::SameShape, 5), b"ef"),
        (next(Format::Nothing, 0), b"gh"),
    ]);
    let times: Vec<_> = read(&bytes, 3).unwrap().iter().map(|message| message.timestamp).collect();
    assert_eq!(times, [40, 60, 65, 70]);
}

#[test]
fn an_extended_timestamp_may_or_may_not_be_repeated() {
    let time = 0x0100_0000;
    let payload = [1; 200];
    for repeated in [true, false] {
        let first = Header { time, ..full(200) };
        let second = Header { format: Format::Nothing, time: if repeated { time } else { 0 }, ..first };
        let bytes = bytes_of(&[(first, &payload[..128]), (second, &payload[128..])]);
        let messages = read(&bytes, 50).unwrap();
        assert_eq!(
            (messages[0].timestamp, messages[0].payload.as_slice()),
            (time, &payload[..]),
            "{repeated}"
        );
    }
}

#[test]
fn what_a_peer_may_not_do() {
    let later = Header { format: Format::SameShape, ..full(2) };
    assert_eq!(read(&bytes_of(&[(later, b"")]), 99), Err(Error::NoHeader(4)));
    assert_eq!(read(&bytes_of(&[(full(200), &[0; 128]), (full(3), b"abc")]), 99), Err(Error::Interrupted(4)));
    assert_eq!(read(&bytes_of(&[(full(1 << 21), b"")]), 99), Err(Error::TooLong(1 << 21)));
    let size = Header { chunk_stream: 2, kind: MessageKind::SET_CHUNK_SIZE, ..full(4) };
    assert_eq!(read(&bytes_of(&[(size, &[0; 4])]), 99), Err(Error::ChunkSize(0)));
    let many: Vec<_> = (2..100).map(|id| (Header { chunk_stream: id, ..full(0) }, &b""[..])).collect();
    assert_eq!(read(&bytes_of(&many), 99), Err(Error::TooManyStreams(64)));
}

#[test]
fn abort_drops_the_message_under_way() {
    let abort = Header { chunk_stream: 2, kind: MessageKind::ABORT, ..full(4) };
    let bytes = bytes_of(&[(full(200), &[0; 128]), (abort, &[0, 0, 0, 4]), (full(1), b"x")]);
    let messages = read(&bytes, 10).unwrap();
    assert_eq!(messages.last().unwrap().payload, b"x");
}
