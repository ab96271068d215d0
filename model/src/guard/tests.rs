use proptest::prelude::*;

use super::*;

pub(super) mod build;
mod encoders;

use build::{cut, key, nested, null, number, part, string};

fn message(gate: &mut Gate, connected: bool, kind: u8, body: &[u8]) -> Result<(), Violation> {
    gate.message(connected, kind, [body].into_iter())
}

fn connected(kind: u8, body: &[u8]) -> Result<(), Violation> {
    message(&mut Gate::accepted(), true, kind, body)
}

fn before_connect(kind: u8, body: &[u8]) -> Result<(), Violation> {
    message(&mut Gate::accepted(), false, kind, body)
}

fn connect() -> Vec<u8> {
    [string("connect"), number(1.0), build::object(&[("app", string("live"))])].concat()
}

#[test]
fn each_violation_has_its_place_and_words() {
    for (index, violation) in Violation::ALL.into_iter().enumerate() {
        assert_eq!(violation.index(), index);
        let (label, text) = (violation.label(), violation.to_string());
        assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{label}");
        assert!(!text.contains(char::is_uppercase) && !text.ends_with('.'), "{text}");
        let same = Violation::ALL.iter().filter(|other| other.label() == label || other.to_string() == text);
        assert_eq!(same.count(), 1, "{label}");
    }
    assert_eq!(Violation::ChunkSizes.to_string(), "more than 8 chunk sizes");
    assert_eq!(Violation::Depth.to_string(), "amf nested deeper than 32 levels");
}

#[test]
fn before_connect_only_that_command_and_protocol_control() {
    let size = 4096_u32.to_be_bytes();
    for kind in [1, 2, 3, 5, 6] {
        assert_eq!(before_connect(kind, &size), Ok(()), "{kind}");
    }
    assert_eq!(before_connect(20, &connect()), Ok(()));
    assert_eq!(before_connect(17, &[&[0][..], &connect()].concat()), Ok(()));
    for kind in (0..=255).filter(|kind| ![1, 2, 3, 5, 6].contains(kind)) {
        let data = [string("@setDataFrame"), string("onMetaData")].concat();
        assert_eq!(before_connect(kind, &data), Err(Violation::NotConnected), "{kind}");
    }
    for kind in [15, 16, 18, 19] {
        assert_eq!(before_connect(kind, &connect()), Err(Violation::NotConnected), "{kind}");
        let shared = [key("connect"), number(1.0)].concat();
        assert_eq!(before_connect(kind, &shared), Err(Violation::NotConnected), "{kind}");
    }
    for name in ["onMetaData", "@setDataFrame", "createStream", "publish", "Connect", "connect\0", ""] {
        assert_eq!(before_connect(20, &string(name)), Err(Violation::NotConnected), "{name}");
    }
}

#[test]
fn connect_itself_may_not_be_too_deep() {
    let deep = [string("connect"), number(1.0), nested(33, null())].concat();
    assert_eq!(before_connect(20, &deep), Err(Violation::Depth));
}

#[test]
fn where_this_server_went_nobody_connects() {
    let mut gate = Gate::outgoing();
    for kind in [4, 8, 9, 18, 20] {
        assert_eq!(message(&mut gate, false, kind, &string("onBWDone")), Ok(()), "{kind}");
    }
    assert_eq!(message(&mut gate, false, 20, &nested(33, null())), Err(Violation::Depth));
    assert_eq!(gate.received(false, usize::MAX), Ok(()));
}

#[test]
fn what_nginx_rtmp_does_not_look_into_passes() {
    for kind in (0..=255).filter(|kind| ![1, 15, 16, 17, 18, 19, 20, 22].contains(kind)) {
        assert_eq!(connected(kind, &nested(40, null())), Ok(()), "{kind}");
    }
}

#[test]
fn eight_chunk_sizes_are_enough() {
    let (mut gate, size) = (Gate::accepted(), 4096_u32.to_be_bytes());
    for round in 0..8 {
        assert_eq!(message(&mut gate, round > 0, 1, &size), Ok(()), "{round}");
    }
    for _ in 0..300 {
        assert_eq!(message(&mut gate, true, 1, &size), Err(Violation::ChunkSizes));
    }
}

#[test]
fn a_chunk_size_has_bounds() {
    for (size, verdict) in [
        (0, Err(Violation::ChunkSize)),
        (1, Err(Violation::ChunkSize)),
        (127, Err(Violation::ChunkSize)),
        (128, Ok(())),
        (4096, Ok(())),
        (60_000, Ok(())),
        (10_485_760, Ok(())),
        (16_777_215, Ok(())),
        (134_217_728, Ok(())),
        (0x7fff_ffff, Ok(())),
        (0x8000_0000, Err(Violation::ChunkSize)),
        (u32::MAX, Err(Violation::ChunkSize)),
    ] {
        assert_eq!(connected(1, &size.to_be_bytes()), verdict, "{size}");
        let bytes = size.to_be_bytes();
        let pieces = cut(&bytes, &[0, 1, 3]).into_iter();
        assert_eq!(Gate::accepted().message(true, 1, pieces), verdict, "{size}");
    }
    assert_eq!(connected(1, &[0, 0]), Ok(()));
}

#[test]
fn a_chunk_size_beyond_every_message_is_the_longest_message() {
    for (size, max_message, expected) in [
        (4096, 1 << 20, 4096),
        (1 << 20, 1 << 20, 1 << 20),
        (16_777_215, 1 << 20, 1 << 20),
        (0x7fff_ffff, 65_536, 65_536),
        (0x7fff_ffff, 512 << 20, 10_485_760),
        (0x7fff_ffff, u64::MAX, 10_485_760),
        (4096, 1, 128),
        (128, 1 << 20, 128),
    ] {
        assert_eq!(chunk_size(size, max_message), expected, "{size} {max_message}");
    }
}

#[test]
fn an_aggregate_holds_audio_video_and_data() {
    let data = [string("onMetaData"), nested(3, null())].concat();
    let good = [part(8, &[0xaf, 1, 2]), part(9, &[0x17, 1]), part(18, &data), part(9, &[])].concat();
    assert_eq!(connected(22, &good), Ok(()));
    assert_eq!(connected(22, &[]), Ok(()));
    assert_eq!(before_connect(22, &good), Err(Violation::NotConnected));
    for kind in (0..=255).filter(|kind| ![8, 9, 18].contains(kind)) {
        let bad = [part(9, &[0x17, 1]), part(kind, &4096_u32.to_be_bytes())].concat();
        assert_eq!(connected(22, &bad), Err(Violation::Aggregate), "{kind}");
    }
    let deep = [part(8, &[0xaf, 1]), part(18, &nested(33, null())), part(8, &[0xaf, 1])].concat();
    assert_eq!(connected(22, &deep), Err(Violation::Depth));
}

#[test]
fn a_value_in_an_aggregate_ends_with_its_message() {
    // The innermost array needs one more value. If it read past its message, it would find an object.
    let mut arrays = part(18, &[10, 0, 0, 0, 1].repeat(32));
    let end = arrays.len();
    arrays[end - 4..].fill(3);
    assert_eq!(connected(22, &arrays), Ok(()));
}

#[test]
fn an_aggregate_that_is_cut_short_is_refused() {
    let first = part(9, &[0x17, 1, 2, 3]);
    let whole = [first.clone(), part(8, &[0xaf, 1])].concat();
    for len in 0..whole.len() {
        let verdict = if len == 0 || len == first.len() { Ok(()) } else { Err(Violation::Aggregate) };
        assert_eq!(connected(22, &whole[..len]), verdict, "{len}");
    }
    let mut lying = whole;
    lying[1] = 0xff;
    assert_eq!(connected(22, &lying), Err(Violation::Aggregate));
}

#[test]
fn bytes_before_connect_are_counted() {
    let mut gate = Gate::accepted();
    assert_eq!(gate.received(false, 3073), Ok(()));
    assert_eq!(gate.received(false, 16_384), Ok(()));
    let full = gate;
    assert_eq!(gate.received(false, 1), Err(Violation::BytesBeforeConnect));
    assert_eq!(gate.received(false, usize::MAX), Err(Violation::BytesBeforeConnect));
    assert_eq!({ full }.received(true, usize::MAX), Ok(()));
    assert_eq!(Gate::accepted().received(false, usize::MAX), Err(Violation::BytesBeforeConnect));
}

#[test]
fn a_running_message_gets_no_shorter_than_it_is() {
    for (read, length, verdict) in [
        (0, 0, Ok(())),
        (128, 1000, Ok(())),
        (128, 128, Ok(())),
        (128, 127, Err(Violation::RunningLength)),
        (u32::MAX, 0, Err(Violation::RunningLength)),
    ] {
        assert_eq!(running_message(read, length), verdict, "{read} of {length}");
    }
}

#[test]
fn what_is_unfinished_or_unread_has_a_limit() {
    assert_eq!((unfinished(0), unfinished(65_536)), (Ok(()), Ok(())));
    assert_eq!(unfinished(65_537), Err(Violation::Unfinished));
    assert_eq!((unread(32), unread(33)), (Ok(()), Err(Violation::Unread)));
    assert_eq!(Violation::Unfinished.to_string(), "more than 65536 bytes of unfinished messages");
}

#[test]
fn a_name_is_not_cut() {
    assert_eq!(name(b""), Ok(()));
    assert_eq!(name(&[b'a'; 255]), Ok(()));
    assert_eq!(name(&[b'a'; 256]), Err(Violation::Name));
    assert_eq!(name(b"show\0?key=a"), Err(Violation::Name));
}

proptest! {
    #[test]
    fn random_messages_do_no_harm(
        messages in prop::collection::vec((any::<bool>(), 0_u8..24, any::<Vec<u8>>()), 0..20),
        outgoing: bool,
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let mut gate = if outgoing { Gate::outgoing() } else { Gate::accepted() };
        for (connected, kind, body) in messages {
            let whole = message(&mut gate.clone(), connected, kind, &body);
            prop_assert_eq!(gate.message(connected, kind, cut(&body, &cuts).into_iter()).is_ok(), whole.is_ok());
        }
    }

    #[test]
    fn an_aggregate_is_the_same_however_it_is_cut(
        parts in prop::collection::vec((prop::sample::select(vec![8_u8, 9, 18, 1]), any::<Vec<u8>>()), 0..5),
        end: prop::sample::Index,
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let whole: Vec<u8> = parts.iter().flat_map(|(kind, body)| part(*kind, body)).collect();
        let good = parts.iter().all(|(kind, _)| *kind != 1);
        prop_assert_eq!(connected(22, &whole).is_ok(), good);
        let short = &whole[..end.index(whole.len() + 1)];
        let pieces = cut(short, &cuts).into_iter();
        prop_assert_eq!(Gate::accepted().message(true, 22, pieces), connected(22, short));
    }
}
