use proptest::prelude::*;

use super::*;

fn boxed(kind: &str, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = u32::try_from(content.len() + 8).unwrap();
    [&length.to_be_bytes(), kind.as_bytes(), &content].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn moov(entry: &[u8]) -> Vec<u8> {
    let stsd = boxed("stsd", &[&words(&[0, 1]), entry]);
    let mdhd = boxed("mdhd", &[&words(&[0, 0, 0, 16_000, 0, 0])]);
    let media = boxed("mdia", &[&mdhd, &boxed("minf", &[&boxed("stbl", &[&stsd])])]);
    let moov = boxed("moov", &[&boxed("trak", &[&media])]);
    [boxed("ftyp", &[b"iso6"]), moov].concat()
}

fn video_entry() -> Vec<u8> {
    let size = [320_u16.to_be_bytes(), 180_u16.to_be_bytes()].concat();
    boxed("avc1", &[&[0; 24], &size, &[0; 50], &boxed("avcC", &[&[1, 0x64, 0, 0x1f, 0xff]])])
}

fn audio_entry() -> Vec<u8> {
    let config = [5, 2, 0x11, 0x90];
    let decoder = [&[4, 0x80, 17][..], &[0x40; 13], &config].concat();
    let esds = boxed("esds", &[&words(&[0]), &[3, 0x80, 0x80, 22, 0, 0, 0], &decoder]);
    boxed("mp4a", &[&[0; 16], &[0, 2], &[0; 6], &48_000_u16.to_be_bytes(), &[0, 0], &esds])
}

fn moof(tfdt: &[u8], tfhd: &[u32], trun: &[u32]) -> Vec<u8> {
    let parts =
        [boxed("tfhd", &[&words(tfhd)]), boxed("tfdt", &[tfdt]), boxed("trun", &[&words(trun)])].concat();
    [
        boxed("moof", &[&boxed("mfhd", &[&words(&[0, 1])]), &boxed("traf", &[&parts])]),
        boxed("mdat", &[b"media"]),
    ]
    .concat()
}

#[test]
fn an_init_segment_names_codec_size_and_rate() {
    let video = init::parse(&moov(&video_entry())).unwrap();
    assert_eq!((video.codec.as_str(), video.timescale), ("avc1.64001f", 16_000));
    assert_eq!(video.kind, TrackKind::Video { width: 320, height: 180 });
    let audio = init::parse(&moov(&audio_entry())).unwrap();
    assert_eq!(audio.codec, "mp4a.40.2");
    assert_eq!(audio.kind, TrackKind::Audio { sample_rate: 48_000, channels: 2 });
    assert_eq!(init::parse(&moov(&boxed("hvc1", &[&[0; 80]]))), Err(Error::Codec));
}

#[test]
fn a_fragment_knows_its_time() {
    let defaults = moof(&words(&[0, 32_000]), &[0x02003a, 1, 1, 640, 100, 0], &[0x205, 50, 8, 0, 1, 2]);
    assert_eq!(fragment::parse(&defaults), Ok(Fragment { start: 32_000, duration: 32_000, samples: 50 }));
    let own = moof(&words(&[0x0100_0000, 1, 5]), &[0x020000, 1], &[0x301, 2, 8, 600, 10, 680, 20]);
    assert_eq!(fragment::parse(&own), Ok(Fragment { start: (1 << 32) + 5, duration: 1280, samples: 2 }));
    // Frames are decoded before they are shown, and the first frame counts.
    let shown = [0xa01, 2, 8, 600, 67, 680, 0];
    let later = moof(&words(&[0, 500]), &[0x020008, 1, 40], &shown);
    assert_eq!(fragment::parse(&later), Ok(Fragment { start: 567, duration: 80, samples: 2 }));
    let earlier = moof(&words(&[0, 500]), &[0x020008, 1, 40], &[0x0100_0801, 1, 8, 0xffff_fffe]);
    assert_eq!(fragment::parse(&earlier), Ok(Fragment { start: 498, duration: 40, samples: 1 }));
    assert_eq!(fragment::parse(&boxed("moof", &[])), Err(Error::Missing("traf")));
}

#[test]
fn an_init_segment_gets_the_brand_of_cmaf() {
    let branded = init::brand(moov(&video_entry()));
    assert_eq!(branded, [boxed("ftyp", &[b"iso6cmfc"]), moov(&video_entry())[12..].to_vec()].concat());
    assert_eq!(init::parse(&branded), init::parse(&moov(&video_entry())));
    for other in [&b"ftyp"[..], b"", b"\0\0\0\x20ftypshort"] {
        assert_eq!(init::brand(other.to_vec()), other);
    }
}

#[test]
fn a_file_is_cut_wherever_it_is_cut() {
    let (first, second) = (moov(&video_entry()), moof(&words(&[0, 0]), &[0, 1], &[0, 0]));
    let file = [first.clone(), second.clone(), boxed("mfra", &[b"index"]), second.clone()].concat();
    for step in [1, 7, 64, file.len()] {
        let mut splitter = Splitter::default();
        let mut pieces = Vec::new();
        for bytes in file.chunks(step) {
            splitter.feed(bytes);
            while let Some(piece) = splitter.next_piece().unwrap() {
                pieces.push(piece);
            }
        }
        let expected =
            [Piece::Init(first.clone()), Piece::Fragment(second.clone()), Piece::Fragment(second.clone())];
        assert_eq!(pieces, expected);
    }
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in any::<proptest::sample::Index>()) {
        let _ = (init::parse(&bytes), fragment::parse(&bytes));
        for mut whole in [moov(&video_entry()), moov(&audio_entry()), moof(&words(&[0, 9]), &[0, 1], &[0x301, 1, 8, 6, 1])] {
            let at = at.index(whole.len());
            let end = whole.len().min(at + bytes.len());
            whole[at..end].copy_from_slice(&bytes[..end - at]);
            let _ = (init::parse(&whole), fragment::parse(&whole));
            let mut splitter = Splitter::default();
            splitter.feed(&whole);
            while let Ok(Some(_)) = splitter.next_piece() {}
        }
    }
}
