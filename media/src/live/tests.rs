use std::time::Duration;

use proptest::prelude::*;
use weir_rtmp::flv::{Tag, TagKind};
use weir_rtmp::media::Codec;

use super::codecs::{self, Aac};
use super::*;
use crate::cmaf::{self, Splitter};
use crate::piece::mp4::Cutter;
use crate::piece::{Part, Piece};
use crate::run::cut::{Cut, Header, Wanted};

const AVCC: [u8; 8] = [1, 100, 0, 31, 0xff, 0xe1, 0, 0];

fn tag(kind: TagKind, timestamp: u32, payload: &[u8]) -> Tag {
    Tag { kind, timestamp, payload: payload.to_vec() }
}

/// Both headers, then one video frame per 40 ms with its audio, and a keyframe every 25 frames.
fn stream(begin: u32, pictures: u32) -> Vec<Tag> {
    let mut tags = vec![
        tag(TagKind::Video, begin, &[&[0x17, 0, 0, 0, 0], &AVCC[..]].concat()),
        tag(TagKind::Audio, begin, &[0xaf, 0, 0x12, 0x10]),
    ];
    let mut sound = 0;
    for n in 0..pictures {
        let at = n * 40;
        while sound * 1024 * 1000 / 44_100 <= at {
            tags.push(tag(TagKind::Audio, begin + sound * 1024 * 1000 / 44_100, &[0xaf, 1, 5, 5]));
            sound += 1;
        }
        let first = if n % 25 == 0 { 0x17 } else { 0x27 };
        tags.push(tag(TagKind::Video, begin + at, &[first, 1, 0, 0, 0, 9, 9, 9]));
    }
    tags
}

fn package(packager: &mut Packager, tags: Vec<Tag>) -> Vec<Output> {
    let mut cut = Cut::new(Wanted { video: true, audio: true });
    let mut out = Vec::new();
    for (n, tag) in tags.into_iter().enumerate() {
        for step in cut.take(tag, Duration::from_millis(n as u64 * 16)) {
            packager.take(step, &mut out);
        }
    }
    out
}

/// The fragments as a demuxer reads them.
fn parts(outputs: &[Output]) -> Vec<Part> {
    let mut cutter = Cutter::default();
    let mut parts = Vec::new();
    for output in outputs {
        match output {
            Output::Init(init) => cutter.feed(&init.bytes),
            Output::Fragment(fragment) => cutter.feed(&fragment.bytes),
        }
        while let Some(piece) = cutter.next_piece().unwrap() {
            if let Piece::Part(part) = piece {
                parts.push(part);
            }
        }
    }
    parts
}

#[test]
fn a_fragment_is_a_picture_with_the_sound_before_it() {
    let outputs = package(&mut Packager::default(), stream(0, 60));
    let Output::Init(init) = &outputs[0] else { panic!("{outputs:?}") };
    assert_eq!((init.codecs.as_str(), init.has_video, init.has_audio), ("avc1.64001f,mp4a.40.2", true, true));
    let parts = parts(&outputs);
    assert_eq!(parts.len(), 60);
    assert_eq!(parts.iter().filter(|part| part.key).count(), 3);
    // Audio has no gaps, independent of rounding to milliseconds.
    let mut next = None;
    for part in &parts {
        let Some(stamp) = part.stamps.iter().find(|stamp| stamp.per_second == 44_100) else { continue };
        let at = stamp.read(&part.bytes);
        if let Some(next) = next {
            assert_eq!(at, next);
        }
        let fragment = outputs.iter().find_map(|output| match output {
            Output::Fragment(fragment) if fragment.bytes == part.bytes => Some(fragment),
            _ => None,
        });
        let sounds = fragment.unwrap().bytes.iter().rev().take_while(|byte| **byte == 5).count() as u64 / 2;
        next = Some(at + sounds * 1024);
    }
}

#[test]
fn a_rendition_has_the_times_of_its_source_and_they_never_decrease() {
    let starts = |outputs: &[Output]| -> Vec<i64> {
        let start = |output: &Output| match output {
            Output::Fragment(fragment) if fragment.has_picture => Some(fragment.start),
            _ => None,
        };
        outputs.iter().filter_map(start).collect()
    };
    let (mut source, mut rendition) = (Packager::default(), Packager::default());
    source.align(0);
    let first = starts(&package(&mut source, stream(1_000_000, 100)));
    // Somebody asks for the rendition later.
    rendition.align(source.offset());
    let late = starts(&package(&mut rendition, stream(1_001_000, 75)));
    assert!(late.iter().all(|start| first.contains(start)), "{first:?} {late:?}");
    // The publisher returns, with another clock.
    source.reconnected();
    let first = starts(&package(&mut source, stream(20_000, 50)));
    rendition.reconnected();
    rendition.align(source.offset());
    assert_eq!(starts(&package(&mut rendition, stream(20_000, 50))), first);
    rendition.reconnected();
    rendition.align(source.offset());
    let again = starts(&package(&mut rendition, stream(20_000, 50)));
    assert!(again[0] > first[49], "{first:?} {again:?}");
}

#[test]
fn another_connection_goes_on_where_the_last_picture_ended() {
    for (begin, again) in [(7_000_000, 0), (20_000, 50_000_000), (0, 4_294_960_000)] {
        let mut packager = Packager::default();
        let first = package(&mut packager, stream(begin, 30));
        packager.reconnected();
        let second = package(&mut packager, stream(again, 30));
        let start = |output: &Output| match output {
            Output::Fragment(fragment) => Some((fragment.start, fragment.duration)),
            Output::Init(_) => None,
        };
        let (last, length) = first.iter().filter_map(start).next_back().unwrap();
        assert_eq!(second.iter().find_map(start).unwrap().0, last + length);
        let breaks = |outputs: &[Output]| match &outputs[0] {
            Output::Init(init) => init.breaks,
            Output::Fragment(_) => panic!(),
        };
        assert_eq!((breaks(&first), breaks(&second)), (false, true));
    }
}

#[test]
fn sound_alone_is_sent_in_pieces_of_40_ms() {
    let tags = stream(0, 50).into_iter().filter(|tag| tag.kind == TagKind::Audio);
    let mut cut = Cut::new(Wanted { video: false, audio: true });
    let (mut packager, mut out) = (Packager::default(), Vec::new());
    for tag in tags {
        cut.take(tag, Duration::ZERO).into_iter().for_each(|step| packager.take(step, &mut out));
    }
    let fragments: Vec<&Fragment> = out
        .iter()
        .filter_map(|output| match output {
            Output::Fragment(fragment) => Some(fragment),
            Output::Init(_) => None,
        })
        .collect();
    assert!(
        fragments.len() > 40 && fragments.iter().all(|fragment| fragment.is_key && !fragment.has_picture)
    );
    assert!(fragments.windows(2).all(|pair| (40..=50).contains(&(pair[1].start - pair[0].start))));
}

#[test]
fn codecs_have_the_names_that_browsers_know() {
    let header = |codec, data: &[u8]| Header { codec, data: data.to_vec() };
    let name = |codec: &[u8; 4], data: &[u8]| codecs::video(&header(Codec::FourCc(*codec), data));
    let hvcc = [1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93, 0xf0];
    assert_eq!(name(b"hvc1", &hvcc).as_deref(), Some("hvc1.1.6.L93.90"));
    assert_eq!(name(b"av01", &[0x81, 0x05, 0x0c, 0]).as_deref(), Some("av01.0.05M.08"));
    assert_eq!(name(b"vp09", &[1, 0, 0, 0, 0, 31, 0x82, 0]).as_deref(), Some("vp09.00.31.08"));
    assert_eq!(name(b"avc1", &[1]), None);
    let aac = |data: &[u8]| Aac::read(data).map(|aac| (aac.object, aac.rate, aac.samples));
    assert_eq!(aac(&[0x12, 0x10]), Some((2, 44_100, 1024)));
    assert_eq!(aac(&[0x11, 0x94]), Some((2, 48_000, 960)));
    // SBR, with its rate.
    assert_eq!(aac(&[0x2b, 0x92, 0x08, 0x00]), Some((5, 22_050, 1024)));
    assert_eq!(aac(&[0x12]), None);
}

proptest! {
    #[test]
    fn whatever_comes_fragments_are_whole_and_times_grow(
        tags in proptest::collection::vec(
            (0..4_usize, any::<u32>(), proptest::collection::vec(any::<u8>(), 0..12)), 1..120),
    ) {
        let mut all = stream(0, 12);
        for (kind, time, mut payload) in tags {
            let (kind, head): (_, &[u8]) = match kind {
                0 => (TagKind::Video, &[0x17, 1]),
                1 => (TagKind::Video, &[0x27, 1]),
                2 => (TagKind::Audio, &[0xaf, 1]),
                _ => (TagKind::Video, &[0x17, 0]),
            };
            payload.splice(0..0, head.iter().copied());
            all.push(Tag { kind, timestamp: time, payload });
        }
        let outputs = package(&mut Packager::default(), all);
        let mut splitter = Splitter::default();
        let mut last = i64::MIN;
        for output in &outputs {
            match output {
                Output::Init(init) => splitter.feed(&init.bytes),
                Output::Fragment(fragment) => {
                    splitter.feed(&fragment.bytes);
                    if fragment.has_picture {
                        prop_assert!(fragment.start > last, "{} after {last}", fragment.start);
                        last = fragment.start;
                    }
                }
            }
        }
        let mut count = 0;
        while let Some(piece) = splitter.next_piece().unwrap() {
            if let cmaf::Piece::Fragment(bytes) = &piece {
                cmaf::fragment::parse(bytes).unwrap();
            }
            count += 1;
        }
        prop_assert_eq!(count, outputs.len());
    }
}
