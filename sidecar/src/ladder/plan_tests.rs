use std::path::Path;

use super::*;
use crate::config;
use crate::streams::{Audio, Video};

fn config(rungs: &str) -> Config {
    let text = format!(
        "[ladder.l]\nrungs = {rungs}\n[[stream]]\napp = \"live\"\nstream = \"cam*\"\nladder = \"l\"\n\
         [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\nfolder = \"/other\"\n"
    );
    config::parse(Path::new("x"), &text).unwrap()
}

pub(super) fn live(name: &str, video: Option<(&str, u32)>, audio: Option<&str>) -> Live {
    Live {
        app: "live".parse().unwrap(),
        name: name.parse().unwrap(),
        session: "s1".into(),
        slate: false,
        video: video.map(|(codec, height)| Video { codec: codec.into(), width: height * 16 / 9, height }),
        audio: audio.map(|codec| Audio { codec: codec.into() }),
    }
}

fn names(rungs: &str, live: &Live) -> Vec<String> {
    let jobs = plan(&config(rungs), std::iter::once(live));
    jobs.first().map_or(Vec::new(), |job| job.renditions.iter().map(|r| r.name().to_owned()).collect())
}

#[test]
fn no_rung_is_above_the_source() {
    let all = "[\"source\", \"1080p\", \"720p\", \"480p\", \"360p\", \"audio\"]";
    for (source, expected) in [
        (live("a", Some(("H264", 720)), Some("AAC")), &["source", "720p", "480p", "360p", "audio"][..]),
        (live("a", Some(("H264", 719)), Some("AAC")), &["source", "480p", "360p", "audio"]),
        (live("a", Some(("H264", 180)), None), &["source"]),
        (live("a", Some(("HEVC", 480)), Some("AAC")), &["480p", "360p", "audio"]),
        (live("a", Some(("H264", 0)), None), &["source", "1080p", "720p", "480p", "360p"]),
        (live("a", None, Some("MP3")), &["audio"]),
        (live("a", None, None), &[]),
    ] {
        assert_eq!(names(all, &source), expected, "{source:?}");
    }
}

#[test]
fn a_source_below_all_rungs_keeps_its_size() {
    let jobs = plan(&config("[\"720p\", \"480p\"]"), [live("a", Some(("H264", 181)), None)].iter());
    let expected = Rendition::Video { name: "480p".into(), height: 180, bitrate: 1_400_000, max_fps: None };
    assert_eq!(jobs[0].renditions, [expected]);
}

#[test]
fn the_first_rule_counts() {
    let streams =
        [live("cam1", Some(("H264", 360)), Some("Speex")), live("x", Some(("H264", 360)), Some("AAC"))];
    let mut other = live("y", Some(("H264", 360)), None);
    other.app = "else".parse().unwrap();
    let jobs = plan(&config("[\"source\"]"), streams.iter().chain([&other]));
    let folders: Vec<_> = jobs
        .iter()
        .map(|job| match &job.delivery {
            Delivery::Files(files) => files.folder.to_str().unwrap(),
            Delivery::Rtmp(_) => "rtmp",
        })
        .collect();
    assert_eq!(folders, ["/var/lib/weir/media", "/other"]);
    assert_eq!(
        (jobs[0].id.as_str(), jobs[0].sound, jobs[1].sound),
        ("live/cam1/ladder", Some(Sound::Encode(128_000)), Some(Sound::Copy))
    );
}

#[test]
fn a_rung_whose_name_would_be_too_long_is_not_published() {
    let text = "[ladder.l]\nrungs = [\"source\", \"360p\"]\n[[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\n\
        deliver = \"rtmp\"\nto_app = \"out\"\nsecret_file = \"/s\"\n";
    let config = config::parse(Path::new("x"), text).unwrap();
    let made = |length: usize| {
        let live = live(&"n".repeat(length), Some(("H264", 720)), None);
        let jobs = plan(&config, std::iter::once(&live));
        let names: Vec<String> =
            jobs.iter().flat_map(|job| &job.renditions).map(|rendition| rendition.name().into()).collect();
        (names, unpublished(&config, &live))
    };
    assert_eq!(made(121), (vec!["source".into(), "360p".into()], vec![]));
    let of_source = "source: name of 129 bytes, at most 128 are allowed".to_owned();
    assert_eq!(made(122), (vec!["360p".into()], vec![of_source]));
    assert_eq!((made(128).0, made(128).1.len()), (vec![], 2));
}
