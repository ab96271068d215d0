//! Media over the WebSocket can be decoded from its first fragment on, whatever codecs and tracks the stream has and whatever its publisher
//! does. The daemon plays each stream once, and nginx does not count that player.

use std::path::Path;

use weir_rtmp::flv::{Tag, TagKind};
use weir_tests::harness::ffmpeg::probe;
use weir_tests::harness::media::Enhanced;
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Publisher, Sidecar, WebSocket, until};

use super::{bytes, kind, open, publish, watch};

/// Writes media to a file, and returns ffprobe's output, which must be without complaints.
#[track_caller]
fn look(folder: &Path, messages: &[Message], what: &[&str]) -> String {
    let file = folder.join("media.mp4");
    std::fs::write(&file, bytes(messages)).unwrap();
    probe(&file.to_string_lossy(), what)
}

/// Returns the times of the frames in decoding order, as ffprobe reads them.
#[track_caller]
fn times(folder: &Path, messages: &[Message]) -> Vec<f64> {
    let text = look(folder, messages, &["-select_streams", "v", "-show_entries", "packet=dts_time"]);
    text.lines().filter_map(|line| line.trim_matches(',').parse().ok()).collect()
}

#[test]
fn a_viewer_gets_an_init_segment_and_then_a_key_frame() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = publish(&nginx, "show");
    let folder = tempfile::tempdir().unwrap();
    let mut first = watch(&sidecar, "show");
    // This takes longer than the media that the daemon keeps beside the newest group of pictures.
    let messages = first.during(5.0);
    let kinds: Vec<String> = messages.iter().map(kind).collect();
    assert_eq!(kinds[..3], ["init", "binary", "binary"]);
    assert!(kinds[3..].iter().all(|kind| kind == "binary"), "{kinds:?}");
    let Message::Text(init) = &messages[0] else { panic!() };
    let init: serde_json::Value = serde_json::from_str(init).unwrap();
    assert!(init["codecs"].as_str().unwrap().starts_with("avc1."), "{init}");
    assert!(init["codecs"].as_str().unwrap().ends_with(",mp4a.40.2"), "{init}");
    assert_eq!((&init["width"], &init["height"]), (&160.into(), &90.into()), "{init}");
    let found = look(folder.path(), &messages, &["-show_entries", "stream=codec_name,width"]);
    assert_eq!(found, "h264,160\naac");

    // A later viewer immediately gets the newest group of pictures, which begins with a keyframe.
    for _ in 0..3 {
        let mut second = watch(&sidecar, "show");
        let joined: Vec<Message> = (0..4).map(|_| second.receive().unwrap()).collect();
        let flags = look(folder.path(), &joined, &["-select_streams", "v", "-show_entries", "packet=flags"]);
        assert!(flags.starts_with('K'), "{flags}");
    }
    let log = sidecar.log();
    assert_eq!(log.matches("the stream is played for viewers").count(), 1, "{log}");
    assert_eq!(nginx.api().stream("live", "show").unwrap()["viewers"]["rtmp"], 0);
    // The frames follow each other as the publisher sends them.
    let times = times(folder.path(), &messages);
    assert!(times.len() > 30, "{times:?}");
    assert!(times.windows(2).all(|pair| (0.04..0.06).contains(&(pair[1] - pair[0]))), "{times:?}");

    let viewers = |expected: u64| {
        let list = super::ask(sidecar.web(), "/v1/live", &[]).json();
        list["streams"][0]["viewers"]["ws"] == expected
    };
    until("one viewer is left", 5.0, || viewers(1));
    let counted = |expected: u64| {
        until("nginx counts it", 15.0, || {
            nginx.api().stream("live", "show").is_some_and(|stream| stream["viewers"]["ws"] == expected)
        });
    };
    counted(1);
    drop(first);
    until("none is left", 5.0, || viewers(0));
    counted(0);
    sidecar.wait_log("nobody watches: the stream is no longer played");
}

#[test]
fn a_publisher_that_returns_goes_on_in_the_same_connection() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let publisher = publish(&nginx, "show");
    let mut viewer = watch(&sidecar, "show");
    let mut messages = vec![viewer.receive().unwrap()];
    until("pictures come", 10.0, || {
        messages.push(viewer.receive().unwrap());
        messages.len() > 30
    });
    publisher.close();
    until("the end is told", 10.0, || {
        messages.push(viewer.receive().unwrap());
        kind(messages.last().unwrap()) == "ended"
    });
    let _publisher = publish(&nginx, "show");
    let before = messages.len();
    until("the stream is back", 15.0, || {
        messages.push(viewer.receive().unwrap());
        messages.len() > before + 40
    });
    let kinds: Vec<String> = messages[before..].iter().map(kind).take(4).collect();
    assert_eq!(kinds, ["discontinuity", "init", "binary", "binary"]);
    // The timeline is continuous: no overlap, and no gap that a player would wait at.
    let folder = tempfile::tempdir().unwrap();
    let times = times(folder.path(), &messages);
    assert!(times.windows(2).all(|pair| (0.01..0.1).contains(&(pair[1] - pair[0]))), "{times:?}");
}

#[test]
fn a_stream_that_is_not_live_is_told_so() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = publish(&nginx, "show");
    drop(watch(&sidecar, "show"));
    for path in
        ["live/other/ws", "other/show/ws", "live/-x/ws", "live/show/x", "show/ws", "live/../live/show/ws"]
    {
        let Err((status, body)) = WebSocket::connect(sidecar.web(), &format!("/stream/{path}"), &[]) else {
            panic!("{path}")
        };
        assert_eq!((status, body.contains("\"not_found\"")), (404, true), "{path}: {body}");
    }
    let answer = super::ask(sidecar.web(), "/stream/live/show/ws", &[]);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (426, &"upgrade_required".into()));
}

/// Returns what a viewer gets of a stream that `edit` has changed.
#[track_caller]
fn watched(edit: impl Fn(Tag) -> Option<Tag> + Send + 'static) -> (Vec<Message>, tempfile::TempDir) {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").edited(edit).start().started();
    let mut viewer = watch(&sidecar, "show");
    let mut messages = vec![viewer.receive().unwrap()];
    messages.extend(viewer.during(3.0));
    (messages, tempfile::tempdir().unwrap())
}

#[test]
fn codecs_of_enhanced_rtmp_sound_alone_and_pictures_alone_are_passed_on() {
    for codec in [Enhanced::Hevc, Enhanced::Av1] {
        let pictures = codec.pictures();
        let (messages, folder) = watched(move |tag| Some(pictures.replace(tag)));
        let found = look(folder.path(), &messages, &["-show_entries", "stream=codec_name,width"]);
        assert_eq!(found, format!("{},160\naac", codec.name()));
        assert!(times(folder.path(), &messages).len() > 30, "{codec:?}");
    }
    let (messages, folder) = watched(|tag| (tag.kind != TagKind::Video).then_some(tag));
    assert_eq!(look(folder.path(), &messages, &["-show_entries", "stream=codec_name"]), "aac");
    let (messages, folder) = watched(|tag| (tag.kind != TagKind::Audio).then_some(tag));
    assert_eq!(look(folder.path(), &messages, &["-show_entries", "stream=codec_name"]), "h264");
}

#[test]
fn a_clock_that_jumps_is_not_seen() {
    for jump in [682_283_103_u32, 3_600_000_u32.wrapping_neg()] {
        let (messages, folder) = watched(move |tag| {
            let jumped = if tag.timestamp > 3000 { jump } else { 0 };
            Some(Tag { timestamp: (tag.timestamp + 4_294_960_000).wrapping_add(jumped), ..tag })
        });
        let times = times(folder.path(), &messages);
        assert!(times.windows(2).all(|pair| (0.0..0.2).contains(&(pair[1] - pair[0]))), "{jump}: {times:?}");
    }
}

#[test]
fn parameters_that_change_bring_a_new_init_segment() {
    let pictures = Enhanced::Hevc.pictures();
    let (messages, _folder) = watched(move |tag| match (tag.kind, tag.timestamp) {
        (TagKind::Video, 2500..) if !tag.is_header() => {
            let header = tag.timestamp < 2550;
            let tag = pictures.replace(tag);
            let payload = if header { pictures.header().to_vec() } else { tag.payload.clone() };
            Some(Tag { payload, ..tag })
        }
        _ => Some(tag),
    });
    let inits: Vec<&Message> = messages.iter().filter(|message| kind(message) == "init").collect();
    assert_eq!(inits.len(), 2, "{inits:?}");
    let text = |at: usize| format!("{:?}", inits[at]);
    assert!(text(0).contains("avc1.") && text(1).contains("hvc1."), "{inits:?}");
}
