//! FLV: tags round trip in pieces of any size, and no bytes make the reader panic.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use weir_rtmp::flv::{Error, Reader, Tag, TagKind, write_header, write_tag};

fn read(bytes: &[u8], piece: usize) -> Result<Vec<Tag>, Error> {
    let mut reader = Reader::new();
    let mut tags = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.feed(piece);
        while let Some(tag) = reader.next_tag()? {
            tags.push(tag);
        }
    }
    Ok(tags)
}

fn tag() -> impl Strategy<Value = Tag> {
    let kind = prop_oneof![Just(TagKind::Audio), Just(TagKind::Video), Just(TagKind::Script)];
    (kind, any::<u32>(), prop::collection::vec(any::<u8>(), 0..300))
        .prop_map(|(kind, timestamp, payload)| Tag { kind, timestamp, payload })
}

proptest! {
    #[test]
    fn round_trip(tags in prop::collection::vec(tag(), 0..10), piece in 1usize..100) {
        let mut bytes = Vec::new();
        write_header(&mut bytes);
        for tag in &tags {
            write_tag(tag, &mut bytes);
        }
        prop_assert_eq!(read(&bytes, piece).unwrap(), tags);
    }

    #[test]
    fn any_bytes_are_survived(tail in prop::collection::vec(any::<u8>(), 0..400), headed in any::<bool>()) {
        let mut bytes = Vec::new();
        if headed {
            write_header(&mut bytes);
        }
        bytes.extend(tail);
        let _ = read(&bytes, 7);
    }
}

#[test]
fn other_files_are_refused() {
    assert_eq!(read(b"RIFF....WAVEfmt ", 99), Err(Error::Signature));
    let mut bytes = Vec::new();
    write_header(&mut bytes);
    bytes.extend([7; 30]);
    assert_eq!(read(&bytes, 99), Err(Error::TagType(7)));
}

#[test]
fn decoder_configuration_is_recognised() {
    let tag = |kind, payload: &[u8]| Tag { kind, timestamp: 0, payload: payload.to_vec() };
    assert!(tag(TagKind::Video, &[0x17, 0, 0, 0, 0]).is_header());
    assert!(!tag(TagKind::Video, &[0x17, 1, 0, 0, 0]).is_header());
    assert!(tag(TagKind::Audio, &[0xaf, 0, 0x12, 0x10]).is_header());
    assert!(!tag(TagKind::Audio, &[0xaf, 1, 0x12]).is_header());
    assert!(tag(TagKind::Script, b"").is_header());
}
