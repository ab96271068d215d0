use super::*;
use crate::{
    chunk::{Reader, Writer},
    message::{Message, MessageKind},
};

const WIRE: Wire = Wire {
    chunk_size: 4096,
    repeats_time: true,
    chunk_streams: [7, 6],
    interleaved: false,
    announces_audio: false,
    message_stream: 1,
};
const KEY: &[u8] = &[0x17, 1, 0, 0, 0, 1];
const BETWEEN: &[u8] = &[0x27, 1, 0, 0, 0, 2];
const AVC: &[u8] = &[0x17, 0, 0, 0, 0, 3];
const END: &[u8] = &[0x17, 2, 0, 0, 0];
const SOUND: &[u8] = &[0xaf, 1, 4];
const AAC: &[u8] = &[0xaf, 0, 5];

type Pieces<'m> = std::iter::Once<&'m [u8]>;

fn headers<'m>() -> Headers<Pieces<'m>> {
    Headers { video: Some(std::iter::once(AVC)), audio: Some(std::iter::once(AAC)) }
}

fn push(gop: &mut Gop, wire: &Wire, is_video: bool, timestamp: u32, bytes: &[u8]) -> Kept {
    let headers: Headers<Pieces<'_>> = headers();
    gop.push(wire, &Media { is_video, timestamp, pieces: std::iter::once(bytes) }, &headers)
}

fn video(gop: &mut Gop, timestamp: u32, bytes: &[u8]) -> Kept {
    push(gop, &WIRE, true, timestamp, bytes)
}

fn audio(gop: &mut Gop, timestamp: u32, bytes: &[u8]) -> Kept {
    push(gop, &WIRE, false, timestamp, bytes)
}

/// Reads the start like a player: type, time and bytes of each message.
fn read(start: &Start, wire: &Wire) -> Vec<(u8, u32, Vec<u8>)> {
    let mut bytes = Vec::new();
    Writer::new().set_chunk_size(wire.chunk_size as u32, &mut bytes);
    bytes.extend(start.parts().flatten().map(Cell::get));
    let mut reader = Reader::new(1 << 20);
    reader.feed(&bytes);
    let mut all = Vec::new();
    while let Some(Message { kind, timestamp, payload, stream_id }) = reader.next_message().unwrap() {
        if kind != MessageKind::SET_CHUNK_SIZE {
            assert_eq!(stream_id, 1);
            all.push((kind.0, timestamp, payload));
        }
    }
    all
}

fn expected(messages: &[(u8, u32, &[u8])]) -> Vec<(u8, u32, Vec<u8>)> {
    messages.iter().map(|(kind, time, bytes)| (*kind, *time, bytes.to_vec())).collect()
}

#[test]
fn a_player_gets_headers_and_all_since_the_last_keyframe() {
    let mut gop = Gop::new(1 << 20);
    assert!(gop.start().is_none());
    audio(&mut gop, 90, SOUND);
    video(&mut gop, 95, BETWEEN);
    assert!(gop.start().is_none(), "nothing begins without a keyframe");
    video(&mut gop, 100, KEY);
    for (time, bytes) in [(140, BETWEEN), (180, BETWEEN)] {
        audio(&mut gop, time - 10, SOUND);
        video(&mut gop, time, bytes);
    }
    let start = gop.start().unwrap();
    assert_eq!(start.last, [Some(180), Some(170)]);
    let first = [(9, 100, AVC), (9, 100, KEY), (8, 130, AAC), (8, 130, SOUND), (9, 140, BETWEEN)];
    let all = [&first[..], &[(8, 170, SOUND), (9, 180, BETWEEN)]].concat();
    assert_eq!(read(&start, &WIRE), expected(&all));
    video(&mut gop, 200, KEY);
    assert_eq!(read(&gop.start().unwrap(), &WIRE), expected(&[(9, 200, AVC), (9, 200, KEY)]));
    assert_eq!(read(&start, &WIRE), expected(&all), "a player reads on what it began with");
}

#[test]
fn a_player_reads_on_while_messages_are_added() {
    let mut gop = Gop::new(1 << 20);
    video(&mut gop, 0, KEY);
    let start = gop.start().unwrap();
    let before = read(&start, &WIRE);
    for time in 1..2000 {
        video(&mut gop, time, &[BETWEEN, &[9; 100]].concat());
    }
    assert!(gop.bytes() > 3 * BLOCK);
    assert_eq!(read(&start, &WIRE), before);
    assert_eq!(read(&gop.start().unwrap(), &WIRE).len(), 2001);
}

#[test]
fn blocks_are_used_again_once_nobody_reads_them() {
    let mut gop = Gop::new(1 << 20);
    let picture = [KEY, &[9; 100_000]].concat();
    video(&mut gop, 0, &picture);
    let place = |gop: &Gop| gop.blocks.iter().map(|block| block.as_ptr()).collect::<Vec<_>>();
    let first = place(&gop);
    let start = gop.start().unwrap();
    video(&mut gop, 1, &picture);
    let second = place(&gop);
    assert!(second.iter().all(|block| !first.contains(block)), "a player reads the first ones");
    drop(start);
    video(&mut gop, 2, &picture);
    assert!(place(&gop).iter().all(|block| second.contains(block)));
    assert!(gop.spare.is_empty());
}

#[test]
fn the_end_of_a_sequence_is_no_keyframe() {
    let mut gop = Gop::new(1 << 20);
    video(&mut gop, 0, END);
    assert!(gop.start().is_none());
    video(&mut gop, 10, KEY);
    video(&mut gop, 20, END);
    let all = read(&gop.start().unwrap(), &WIRE);
    assert_eq!(all, expected(&[(9, 10, AVC), (9, 10, KEY), (9, 20, END)]));
}

#[test]
fn a_new_video_header_ends_it_and_a_new_audio_header_does_not() {
    let mut gop = Gop::new(1 << 20);
    video(&mut gop, 0, KEY);
    audio(&mut gop, 5, AAC);
    audio(&mut gop, 5, SOUND);
    audio(&mut gop, 9, AAC);
    audio(&mut gop, 9, SOUND);
    let sounds = [(8, 5, AAC), (8, 5, SOUND), (8, 9, AAC), (8, 9, SOUND)];
    let all = [&[(9, 0, AVC), (9, 0, KEY)][..], &sounds].concat();
    assert_eq!(read(&gop.start().unwrap(), &WIRE), expected(&all));
    video(&mut gop, 20, AVC);
    assert!(gop.start().is_none());
    video(&mut gop, 30, BETWEEN);
    assert!(gop.start().is_none());
    video(&mut gop, 40, KEY);
    assert!(gop.start().is_some());
}

#[test]
fn frames_of_enhanced_rtmp_are_told_apart() {
    let mut gop = Gop::new(1 << 20);
    let [start, key, between, metadata] = [
        [&[0x90][..], b"hvc1", &[1]].concat(),
        [&[0x93][..], b"hvc1", &[2]].concat(),
        [&[0xa3][..], b"hvc1", &[3]].concat(),
        [&[0x94][..], b"hvc1", &[4]].concat(),
    ];
    for (time, bytes) in [&start, &metadata, &between].into_iter().enumerate() {
        video(&mut gop, time as u32, bytes);
        assert!(gop.start().is_none());
    }
    video(&mut gop, 10, &key);
    video(&mut gop, 11, &metadata);
    video(&mut gop, 12, &between);
    assert_eq!(read(&gop.start().unwrap(), &WIRE).len(), 4);
    video(&mut gop, 13, &start);
    assert!(gop.start().is_none());
}

#[test]
fn too_many_bytes_are_kept_no_longer() {
    let mut gop = Gop::new(100_000);
    assert_eq!(video(&mut gop, 0, &[KEY, &[9; 60_000]].concat()), Kept::Yes);
    assert_eq!(video(&mut gop, 1, &[BETWEEN, &[9; 60_000]].concat()), Kept::TooLarge);
    assert!(gop.start().is_none() && gop.bytes() == 0);
    assert_eq!(video(&mut gop, 2, BETWEEN), Kept::Yes);
    assert!(gop.start().is_none());
    video(&mut gop, 3, KEY);
    assert!(gop.start().is_some());
}

#[test]
fn all_forms_of_the_wire_can_be_read() {
    let large = [BETWEEN, &[7; 70_000]].concat();
    for (chunk_size, repeats_time) in [(128, true), (4096, true), (65_536, true), (1, true), (70_000, false)]
    {
        for interleaved in [false, true] {
            let wire = Wire { chunk_size, repeats_time, interleaved, ..WIRE };
            let mut gop = Gop::new(1 << 20);
            // This includes a timestamp that exceeds the field of the header, and one that goes back.
            for (time, bytes) in [(0x0100_0000, KEY), (0x0100_0010, &large), (0x0100_0008, BETWEEN)] {
                push(&mut gop, &wire, true, time, bytes);
                push(&mut gop, &wire, false, time + 1, SOUND);
            }
            let all = read(&gop.start().unwrap(), &wire);
            let [t, u, v] = [0x0100_0000, 0x0100_0010, 0x0100_0008];
            let mut wanted = match interleaved {
                false => expected(&[(9, t, AVC), (9, t, KEY), (8, t + 1, AAC), (8, t + 1, SOUND)]),
                true => expected(&[(9, t, AVC), (8, t, AAC), (9, t, KEY), (8, t + 1, SOUND)]),
            };
            wanted.extend(expected(&[(9, u, &large), (8, u + 1, SOUND), (9, v, BETWEEN), (8, v + 1, SOUND)]));
            assert!(all == wanted, "chunks of {chunk_size}, interleaved: {interleaved}");
        }
    }
}

#[test]
fn audio_is_announced_where_players_wait_for_video() {
    let mut gop = Gop::new(1 << 20);
    let wire = Wire { announces_audio: true, ..WIRE };
    push(&mut gop, &wire, true, 10, KEY);
    let all = read(&gop.start().unwrap(), &wire);
    assert_eq!(all, expected(&[(9, 10, AVC), (8, 10, &[]), (9, 10, KEY)]));
}
