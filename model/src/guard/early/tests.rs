use super::*;
use proptest::prelude::*;

const AVC: &[u8] = b"\x17\0\0\0\0\x01\x42\xc0\x1e";
const AAC: &[u8] = b"\xaf\0\x12\x10";

fn data(name: &str, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(name.len()).unwrap().to_be_bytes();
    [&[2], &len[..], name.as_bytes(), rest].concat()
}

fn offer(early: &mut Early, kind: u8, body: &[u8]) -> bool {
    early.offer(kind, body.chunks(3))
}

fn bodies(headers: &[Header]) -> Vec<(u8, &[u8])> {
    headers.iter().map(|header| (header.kind, header.body.as_slice())).collect()
}

#[test]
fn headers_come_out_once_and_in_order() {
    let mut early = Early::default();
    let metadata = data("@setDataFrame", &data("onMetaData", b"\x03\0\0\x09"));
    assert!(offer(&mut early, kind::DATA, &metadata));
    assert!(offer(&mut early, kind::VIDEO, AVC) && offer(&mut early, kind::AUDIO, AAC));
    assert!(!early.is_empty());
    let expected = [(kind::DATA, metadata.as_slice()), (kind::VIDEO, AVC), (kind::AUDIO, AAC)];
    assert_eq!(bodies(&early.take()), expected);
    assert!(early.is_empty() && early.take().is_empty());
}

#[test]
fn the_newest_of_a_kind_stays_in_its_own_place() {
    let mut early = Early::default();
    let other = b"\x17\0\0\0\0\x01\x64\0\x28";
    for (kind, body) in [(kind::VIDEO, AVC), (kind::AUDIO, AAC), (kind::VIDEO, &other[..])] {
        assert!(offer(&mut early, kind, body));
    }
    assert_eq!(bodies(&early.take()), [(kind::AUDIO, AAC), (kind::VIDEO, &other[..])]);
}

#[test]
fn what_is_no_header_is_left_alone() {
    let mut early = Early::default();
    for (kind, body) in [
        (kind::VIDEO, &b"\x17\x01\0\0\0\0"[..]),
        (kind::VIDEO, b"\x27\x01\0\0\0\0"),
        (kind::VIDEO, b"\x17\x02\0\0\0"),
        (kind::VIDEO, b"\x12\0\0"),
        (kind::VIDEO, b"\x17"),
        (kind::VIDEO, b""),
        (kind::VIDEO, b"\x91hvc1\0"),
        (kind::AUDIO, b"\xaf\x01\x21"),
        (kind::AUDIO, b"\x2f\0\0"),
        (kind::AUDIO, b"\xaf"),
        (kind::AUDIO, b""),
        (kind::DATA, b""),
        (kind::DATA, b"\x02\0\x0aonMeta"),
        (kind::DATA, b"\x02\0\x0aonTextData"),
        (kind::SHARED, b"\x02\0\x0aonMetaData"),
        (4, AVC),
    ] {
        assert!(!offer(&mut early, kind, body), "{kind} {body:?}");
        assert!(early.is_empty());
    }
}

#[test]
fn metadata_is_known_in_every_frame_that_nginx_rtmp_takes() {
    for (kind, body) in [
        (kind::DATA, data("onMetaData", b"\x08\0\0\0\0\0\0\x09")),
        (kind::DATA, data("ONMETADATA", b"\x05")),
        (kind::DATA_AMF3, [b"\0".to_vec(), data("@setDataFrame", b"\x05")].concat()),
        (kind::COMMAND, data("onMetaData", b"\x05")),
    ] {
        let mut early = Early::default();
        assert!(offer(&mut early, kind, &body), "{kind} {body:?}");
        assert_eq!(bodies(&early.take()), [(kind, body.as_slice())]);
    }
}

#[test]
fn headers_of_other_codecs_are_kept_and_each_track_has_its_own() {
    for (kind, body) in [
        (kind::VIDEO, &b"\x1c\0\0\0\0\x01"[..]),
        (kind::VIDEO, b"\x90hvc1\x01"),
        (kind::VIDEO, b"\x94hvc1\x02"),
        (kind::VIDEO, b"\x97\x02ns\0\0av01\x01"),
        (kind::AUDIO, b"\x90Opus\x01"),
        (kind::AUDIO, b"\x94Opus\x01"),
    ] {
        assert!(offer(&mut Early::default(), kind, body), "{kind} {body:?}");
    }
    let mut early = Early::default();
    for body in [&b"\x96\0avc1\0aa"[..], b"\x96\0avc1\x01bb", b"\x96\x20hvc1\x02cc", b"\x96\0avc1\0dd"] {
        assert!(offer(&mut early, kind::VIDEO, body));
    }
    let kept = early.take();
    assert_eq!(
        kept.iter().map(|header| header.body.last()).collect::<Vec<_>>(),
        [Some(&b'b'), Some(&b'c'), Some(&b'd')]
    );
}

#[test]
fn one_that_is_too_long_takes_the_older_one_with_it_and_nothing_else() {
    let mut early = Early::default();
    assert!(offer(&mut early, kind::AUDIO, AAC) && offer(&mut early, kind::VIDEO, AVC));
    let long = [AVC, &vec![0; MAX_HEADER]].concat();
    assert!(offer(&mut early, kind::VIDEO, &long));
    assert!(offer(&mut early, kind::DATA, &data("onMetaData", &vec![0; MAX_METADATA])));
    assert_eq!(bodies(&early.take()), [(kind::AUDIO, AAC)]);
}

proptest! {
    #[test]
    fn never_more_than_the_bounds(
        messages in prop::collection::vec((8_u8..=20, any::<u8>(), 0_u8..8, 0_usize..40_000), 0..60),
    ) {
        let mut early = Early::default();
        for (kind, first, second, len) in messages {
            offer(&mut early, kind, &[&[first, second][..], b"avc1", &[second], &vec![0; len]].concat());
            prop_assert!(early.len() <= MAX_BYTES && early.kept.len() <= MAX_KEPT);
        }
    }
}
