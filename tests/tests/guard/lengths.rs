//! Sizes and lengths with which a client makes the server allocate memory.

use weir_rtmp::chunk::{Format, Header};
use weir_rtmp::message::{Message, MessageKind};
use weir_tests::harness::{Nginx, until};

use super::{Bystanders, Stranger, assert_refused, server, unguarded};

/// Returns an aggregate of Set Chunk Size messages, each with another size.
fn aggregate(count: u32) -> Message {
    let mut payload = Vec::new();
    for nth in 0..count {
        payload.extend([MessageKind::SET_CHUNK_SIZE.0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
        payload.extend((4096 + nth % 2).to_be_bytes());
        payload.extend(15u32.to_be_bytes());
    }
    Message { kind: MessageKind::AGGREGATE, stream_id: 1, timestamp: 0, payload }
}

fn says_aggregate(nginx: &Nginx) -> Stranger {
    Stranger::connects(nginx).says(6, &aggregate(40_000))
}

#[test]
fn an_aggregate_of_chunk_sizes_is_refused() {
    let text = "aggregate cut short, or of other than audio, video and data";
    assert_refused(server(""), "aggregate", text, |nginx| {
        Stranger::publishing(nginx).says(6, &aggregate(40_000))
    });
}

#[test]
fn without_the_guard_an_aggregate_of_chunk_sizes_takes_memory() {
    assert_grows(says_aggregate);
}

#[test]
fn a_chunk_size_set_again_and_again_is_refused() {
    assert_refused(server(""), "chunk_sizes", "more than 8 chunk sizes", |nginx| {
        let stranger = Stranger::connects(nginx);
        (0..9).fold(stranger, |stranger, nth| {
            stranger.says(2, &Message::number(MessageKind::SET_CHUNK_SIZE, 4000 + nth))
        })
    });
}

#[test]
fn a_chunk_size_out_of_bounds_is_refused() {
    let text = "chunk size not from 128 to 2147483647";
    for size in [0, 1, 127, 0x8000_0000, u32::MAX] {
        assert_refused(server(""), "chunk_size", text, |nginx| {
            Stranger::connects(nginx).says(2, &Message::number(MessageKind::SET_CHUNK_SIZE, size))
        });
    }
}

/// Begins a message, then announces a length below the bytes already sent, and sends `chunks` more chunks.
fn shrinks(nginx: &Nginx, chunks: usize) -> Stranger {
    let header = Header {
        format: Format::Full,
        chunk_stream: 6,
        time: 0,
        length: 1_000,
        kind: MessageKind::VIDEO,
        stream_id: 1,
    };
    // This is the chunk size that the client announced.
    let size = 4_096;
    let stranger =
        Stranger::connects(nginx).says(2, &Message::number(MessageKind::SET_CHUNK_SIZE, size as u32));
    let stranger = stranger
        .sends_chunk(&Header { length: 10_000, ..header }, &vec![0; size])
        .sends_chunk(&header, &vec![0; size]);
    let goes_on = Header { format: Format::Nothing, ..header };
    (0..chunks).fold(stranger, |stranger, _| stranger.sends_chunk(&goes_on, &vec![0; size]))
}

#[test]
fn a_message_that_shrinks_is_refused() {
    assert_refused(server(""), "running_length", "length changed within a message", |nginx| {
        shrinks(nginx, 0)
    });
}

#[test]
fn without_the_guard_a_message_that_shrinks_takes_memory() {
    assert_grows(|nginx| shrinks(nginx, 12_000));
}

/// Asserts that, without the guard, a worker grows by more than a guarded worker may.
#[track_caller]
fn assert_grows(act: impl Fn(&Nginx) -> Stranger) {
    let nginx = unguarded().start();
    let bystanders = Bystanders::of(&nginx);
    let before = bystanders.worker.memory();
    let mut stranger = act(&nginx);
    until("the worker grows", 10.0, || {
        stranger.is_closed();
        bystanders.worker.memory() > before + (20 << 20)
    });
}
