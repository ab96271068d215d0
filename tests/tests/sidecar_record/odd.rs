//! Unusual encoders cost no recording: clocks that jump, audio that MP4 cannot contain, frames that are shown in another order than they
//! are decoded, and Enhanced RTMP.

use std::path::PathBuf;

use weir_rtmp::flv::{Tag, TagKind};
use weir_tests::harness::ffmpeg::{probe, video_times};
use weir_tests::harness::{Nginx, Publisher, Sidecar, until};

use super::{complaints, files, open, wait_ended};

/// Records the stream of the harness's publisher for some seconds, each tag changed by `edit`. Returns the files, and asserts that ffmpeg
/// was never restarted.
#[track_caller]
fn recorded(nginx: &Nginx, edit: impl Fn(Tag) -> Option<Tag> + Send + 'static) -> (Vec<PathBuf>, Sidecar) {
    let rule = "[[record]]\napp = \"live\"\nstream = \"*\"\nfolder = \"@MEDIA@\"\nmin_free = \"1m\"\n";
    let mut sidecar = Sidecar::start(nginx, rule);
    let publisher = Publisher::to(nginx.rtmp(), "live/show").edited(edit).start().started();
    sidecar.wait_running("live/show/record", 20.0);
    until("it is ready", 20.0, || sidecar.find("live/show/record").is_some_and(|job| job["ready"] == true));
    let begun = publisher.sent_ms();
    until("some seconds are sent", 30.0, || publisher.sent_ms() > begun.max(6000) + 4000);
    let job = sidecar.find("live/show/record").unwrap();
    assert_eq!(
        (&job["restarts"], &job["last_error"]),
        (&0.into(), &serde_json::Value::Null),
        "{}",
        sidecar.log()
    );
    publisher.close();
    wait_ended(&sidecar.media(), 1);
    (files(&sidecar.media(), "mp4"), sidecar)
}

/// Asserts that there is one file, whose frames are 50 ms apart and which can be decoded to its end.
#[track_caller]
fn assert_whole(files: &[PathBuf], codecs: [&str; 2]) {
    let [file] = files else { panic!("{files:?}") };
    let times = video_times(file);
    assert!(times.len() > 60, "{times:?}");
    assert!(times.windows(2).all(|pair| (0.0..0.2).contains(&(pair[1] - pair[0]))), "{times:?}");
    let name = file.to_string_lossy();
    let found = probe(&name, &["-show_entries", "stream=codec_name"]);
    assert!(codecs.iter().all(|codec| found.contains(codec)), "{found}");
    assert_eq!(complaints(file), "", "{name}");
}

#[test]
fn a_clock_that_jumps_does_not_end_a_recording() {
    for jump in [682_283_103_u32, 3_600_000_u32.wrapping_neg(), 5000_u32.wrapping_neg()] {
        let nginx = open().start();
        let (files, sidecar) = recorded(&nginx, move |tag| {
            let jumped = if tag.timestamp > 6000 { jump } else { 0 };
            Some(Tag { timestamp: (tag.timestamp + 10_000_000).wrapping_add(jumped), ..tag })
        });
        assert_whole(&files, ["h264", "aac"]);
        assert!(sidecar.log().lines().count() < 60, "{}", sidecar.log());
    }
}

#[test]
fn a_clock_that_jumps_does_not_stop_a_ladder() {
    const JUMP_MS: u32 = 14_000;
    let rules = "[rung.low]\nheight = 44\nbitrate = \"60k\"\n[ladder.l]\nrungs = [\"source\", \"low\"]\npreset = \"ultrafast\"\n\
        [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\nfolder = \"@MEDIA@\"\nsegment = \"1s\"\nwindow = \"60s\"\n\
        linger = \"0s\"\n";
    for jump in [682_283_103_u32, 3_600_000_u32.wrapping_neg()] {
        let nginx = open().start();
        let sidecar = Sidecar::start(&nginx, rules);
        let edit = move |tag: Tag| {
            let jumped = if tag.timestamp > JUMP_MS { jump } else { 0 };
            Some(Tag { timestamp: (tag.timestamp + 10_000_000).wrapping_add(jumped), ..tag })
        };
        let publisher = Publisher::to(nginx.rtmp(), "live/show").edited(edit).start().started();
        sidecar.wait_ready("live/show");
        until("seconds after the jump are sent", 60.0, || publisher.sent_ms() > JUMP_MS + 8000);
        let job = sidecar.find("live/show/ladder").unwrap();
        assert_eq!(job["restarts"], 0, "{}", sidecar.log());
        let after = ((publisher.sent_ms() - JUMP_MS) / 50) as usize;
        publisher.close();
        for rung in ["source", "low"] {
            let playlist = sidecar.media().join(format!("live/show/{rung}/index.m3u8"));
            let text = || std::fs::read_to_string(&playlist).unwrap();
            until("the playlist has ended", 15.0, || text().ends_with("#EXT-X-ENDLIST\n"));
            assert!(!text().contains("#EXT-X-DISCONTINUITY"), "{}", text());
            let times = video_times(&playlist);
            assert!(times.len() >= after, "{rung}: {} frames, {after} sent after the jump", times.len());
            assert!(
                times.windows(2).all(|pair| (0.0..0.2).contains(&(pair[1] - pair[0]))),
                "{rung}: {times:?}"
            );
        }
        assert!(sidecar.log().lines().count() < 80, "{}", sidecar.log());
    }
}

#[test]
fn sound_of_cameras_is_encoded_and_the_pictures_are_kept() {
    let nginx = open().start();
    let (files, _sidecar) = recorded(&nginx, |tag| match (tag.kind, tag.is_header()) {
        (TagKind::Audio, true) => None,
        // G.711, A-law: silence.
        (TagKind::Audio, false) => Some(Tag { payload: [&[0x72][..], &[0xd5; 186]].concat(), ..tag }),
        _ => Some(tag),
    });
    assert_whole(&files, ["h264", "aac"]);
}

#[test]
fn sound_that_cannot_be_decoded_is_left_out_and_the_pictures_are_kept() {
    let nginx = open().start();
    let rules = "[[record]]\napp = \"live\"\nstream = \"*\"\nfolder = \"@MEDIA@\"\nmin_free = \"1m\"\n\
        [ladder.l]\nrungs = [\"source\"]\n[[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\nfolder = \"@MEDIA@/ladder\"\n";
    let sidecar = Sidecar::start(&nginx, rules);
    let garbage = |tag: Tag| match (tag.kind, tag.is_header()) {
        (TagKind::Audio, true) => None,
        // Speex, by its codec number.
        (TagKind::Audio, false) => Some(Tag { payload: [&[0xb6][..], &[0xff; 100]].concat(), ..tag }),
        _ => Some(tag),
    };
    let publisher = Publisher::to(nginx.rtmp(), "live/show").edited(garbage).start().started();
    sidecar.wait_ready("live/show");
    until("it is recorded", 30.0, || {
        sidecar.find("live/show/record").is_some_and(|job| job["ready"] == true)
    });
    publisher.send_more(4000);
    let told = sidecar.told("stream.codecs");
    assert_eq!(told["audio"], "Speex", "{told}");
    sidecar.wait_log("sound left out of recordings and ladders: ffmpeg cannot decode it, codec: Speex");
    publisher.close();
    wait_ended(&sidecar.media(), 1);
    let files = files(&sidecar.media(), "mp4")
        .into_iter()
        .filter(|file| !file.to_string_lossy().contains("/ladder/"));
    let files: Vec<PathBuf> = files.collect();
    assert_whole(&files, ["h264", "h264"]);
    let codecs = probe(&files[0].to_string_lossy(), &["-show_entries", "stream=codec_name"]);
    assert_eq!(codecs, "h264");
}

#[test]
fn pictures_that_are_shown_before_they_are_decoded_stay_in_order() {
    let nginx = open().start();
    let (files, _sidecar) = recorded(&nginx, |mut tag| {
        if tag.kind == TagKind::Video && !tag.is_header() {
            tag.payload[2..5].copy_from_slice(&(-80_i32).to_be_bytes()[1..]);
        }
        Some(tag)
    });
    assert_whole(&files, ["h264", "aac"]);
}

/// A player that joins later needs the decoder configuration, which nginx-rtmp does not recognize as a header.
#[test]
fn a_stream_of_enhanced_rtmp_is_recorded_and_named() {
    let nginx = open().start();
    let (files, _sidecar) = recorded(&nginx, |tag| {
        let is_header = tag.is_header();
        if tag.kind != TagKind::Video {
            return Some(tag);
        }
        let frame_type = tag.payload[0] & 0xf0;
        let payload = match is_header {
            true => [&[0x90][..], b"avc1", &tag.payload[5..]].concat(),
            false => [&[0x81 | frame_type][..], b"avc1", &tag.payload[2..]].concat(),
        };
        Some(Tag { payload, ..tag })
    });
    assert_whole(&files, ["h264", "aac"]);
}
