//! Low-Latency HLS: each playlist of a run follows RFC 8216bis, a request for a future part or playlist waits for it, parts and segments
//! have the same media, and ffmpeg, an ordinary HLS player, plays it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_rtmp::flv::Tag;
use weir_tests::harness::ffmpeg::probe;
use weir_tests::harness::{Publisher, Sidecar, until};

use super::{Answer, ask, open, publish};

/// The content of a playlist. Reading it finds errors within the playlist.
#[derive(Debug, Default, Clone)]
struct Playlist {
    sequence: u64,
    target: f64,
    part_target: f64,
    /// Segments by number: their parts with URI, duration and whether they begin with a keyframe; duration and URI of the whole segment.
    segments: BTreeMap<u64, Segment>,
    hint: String,
    skipped: u64,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Segment {
    parts: Vec<(String, f64, bool)>,
    whole: Option<(String, f64)>,
    date: String,
}

fn attribute<'t>(line: &'t str, name: &str) -> Option<&'t str> {
    let rest = line.split_once(':')?.1;
    rest.split(',')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        .map(|value| value.trim_matches('"'))
}

fn number(line: &str, name: &str) -> f64 {
    attribute(line, name).unwrap_or_else(|| panic!("{name} in {line}")).parse().unwrap()
}

#[track_caller]
fn read(text: &str) -> Playlist {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("#EXTM3U"));
    let mut list = Playlist::default();
    let mut current = Segment::default();
    let (mut at, mut duration, mut has_map) = (0, None, false);
    for line in lines {
        let value = line.split_once(':').map_or("", |(_, value)| value);
        match line.split(':').next().unwrap() {
            "#EXT-X-VERSION" => assert!(value.parse::<u32>().unwrap() >= 9, "{text}"),
            "#EXT-X-TARGETDURATION" => list.target = value.parse().unwrap(),
            "#EXT-X-PART-INF" => list.part_target = number(line, "PART-TARGET"),
            "#EXT-X-SERVER-CONTROL" => {
                assert!(line.contains("CAN-BLOCK-RELOAD=YES"), "{text}");
                assert!(number(line, "CAN-SKIP-UNTIL") >= 6.0 * list.target, "{text}");
                assert!(number(line, "PART-HOLD-BACK") >= 1.0, "{text}");
            }
            "#EXT-X-MEDIA-SEQUENCE" => {
                list.sequence = value.parse().unwrap();
                at = list.sequence;
            }
            "#EXT-X-SKIP" => {
                list.skipped = number(line, "SKIPPED-SEGMENTS") as u64;
                at += list.skipped;
            }
            "#EXT-X-MAP" => has_map = true,
            "#EXT-X-PROGRAM-DATE-TIME" => current.date = value.to_owned(),
            "#EXT-X-PART" => {
                let uri = attribute(line, "URI").unwrap().to_owned();
                let independent = attribute(line, "INDEPENDENT") == Some("YES");
                current.parts.push((uri, number(line, "DURATION"), independent));
            }
            "#EXTINF" => duration = Some(value.trim_end_matches(',').parse().unwrap()),
            "#EXT-X-PRELOAD-HINT" => list.hint = attribute(line, "URI").unwrap().to_owned(),
            "#EXT-X-DISCONTINUITY" | "#EXT-X-DISCONTINUITY-SEQUENCE" => {}
            uri if !uri.starts_with('#') => {
                current.whole = Some((uri.to_owned(), duration.take().expect("EXTINF before a URI")));
                list.segments.insert(at, std::mem::take(&mut current));
                at += 1;
            }
            other => panic!("{other} in {text}"),
        }
    }
    if !current.parts.is_empty() {
        list.segments.insert(at, current);
    }
    assert!(has_map || list.skipped > 0, "{text}");
    check(&list, text);
    list
}

/// Checks the rules within one playlist.
#[track_caller]
fn check(list: &Playlist, text: &str) {
    let hold_back: f64 =
        text.split("PART-HOLD-BACK=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(hold_back >= 3.0 * list.part_target - 0.001, "{text}");
    for segment in list.segments.values() {
        assert!(!segment.date.is_empty(), "{text}");
        if let Some((_, duration)) = &segment.whole {
            assert!(duration.round() <= list.target, "{text}");
            let parts: f64 = segment.parts.iter().map(|part| part.1).sum();
            assert!(segment.parts.is_empty() || (parts - duration).abs() < 0.005, "{text}");
        }
        for (nth, (_, duration, _)) in segment.parts.iter().enumerate() {
            assert!(*duration <= list.part_target, "{duration} in {text}");
            // Only the last part of a segment may be shorter.
            let is_last = segment.whole.is_some() && nth + 1 == segment.parts.len();
            assert!(is_last || *duration >= list.part_target * 0.85, "{duration} in {text}");
        }
    }
    let (last, segment) = list.segments.last_key_value().unwrap();
    let expected = match segment.whole {
        None => format!("{last}.{}.m4s", segment.parts.len()),
        Some(_) => format!("{}.0.m4s", last + 1),
    };
    assert_eq!(list.hint, expected, "{text}");
}

/// Checks the rules from one playlist to the next: published entries do not change.
#[track_caller]
fn compare(before: &Playlist, after: &Playlist) {
    assert_eq!((before.target, before.part_target), (after.target, after.part_target));
    assert!(after.sequence >= before.sequence);
    for (number, old) in &before.segments {
        let Some(new) = after.segments.get(number) else {
            assert!(*number < after.sequence + after.skipped, "{number} is missing in {after:?}");
            continue;
        };
        assert_eq!(old.date, new.date);
        if new.parts.len() >= old.parts.len() {
            assert_eq!(new.parts[..old.parts.len()], old.parts[..]);
        } else {
            // Parts of old segments leave the playlist.
            assert!(new.parts.is_empty() && new.whole.is_some(), "{new:?}");
        }
        if old.whole.is_some() {
            assert_eq!(old.whole, new.whole);
        }
    }
}

#[track_caller]
fn get(sidecar: &Sidecar, file: &str) -> Answer {
    let answer = ask(sidecar.web(), &format!("/stream/live/show/llhls/{file}"), &["Connection: close"]);
    assert_eq!(answer.status, 200, "{file}: {answer:?}");
    answer
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// Returns whether the newest segment is complete, and the lines after it.
fn tail(text: &str) -> (bool, Vec<&str>) {
    let lines: Vec<&str> = text.lines().collect();
    let whole = lines.iter().rposition(|line| !line.starts_with('#')).map_or(0, |at| at + 1);
    (!lines[whole..].iter().any(|line| line.starts_with("#EXT-X-PART:")), lines[whole..].to_vec())
}

#[test]
fn the_last_seconds_of_a_stream_are_a_segment_and_the_publisher_may_return() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let publisher = publish(&nginx, "show");
    let path = "/stream/live/show/llhls/index.m3u8";
    until("there are a segment and parts of the next one", 20.0, || {
        let answer = ask(sidecar.web(), path, &[]);
        let parts = tail(&text(&answer)).1.iter().filter(|line| line.starts_with("#EXT-X-PART:")).count();
        answer.status == 200 && text(&answer).contains("#EXTINF") && parts >= 2
    });
    drop(publisher);
    sidecar.wait_log("stream has ended");
    let ended = until("the last segment is complete", 10.0, || {
        Some(text(&ask(sidecar.web(), path, &[]))).filter(|text| tail(text).0)
    });
    assert!(!ended.contains("ENDLIST"), "{ended}");
    let before = read(&ended);
    let _publisher = publish(&nginx, "show");
    let after = until("it goes on", 20.0, || {
        let text = text(&ask(sidecar.web(), path, &[]));
        (text.matches("#EXT-X-DISCONTINUITY\n").count() == 1).then_some(text)
    });
    compare(&before, &read(&after));
}

#[test]
fn a_player_that_knows_no_parts_may_be_the_first_viewer() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = publish(&nginx, "show");
    until("the stream is live", 20.0, || {
        ask(sidecar.web(), "/v1/live", &[]).json()["streams"][0]["name"] == "show"
    });
    let url = format!("http://127.0.0.1:{}/stream/live/show/llhls/master.m3u8", sidecar.web());
    assert_eq!(probe(&url, &["-show_entries", "stream=codec_name"]).lines().next(), Some("h264"));
}

#[test]
fn a_pause_of_the_publisher_is_in_no_segment() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    // The clock of this publisher jumps by two seconds.
    let _publisher = Publisher::to(nginx.rtmp(), "live/show")
        .edited(|tag| Some(Tag { timestamp: tag.timestamp + u32::from(tag.timestamp > 8000) * 2000, ..tag }))
        .start()
        .started();
    let path = "/stream/live/show/llhls/index.m3u8";
    let mut before = None;
    until("segments follow the pause", 40.0, || {
        let answer = ask(sidecar.web(), path, &[]);
        let text = text(&answer);
        if answer.status != 200 || !text.contains("#EXT-X-PART:") {
            return false;
        }
        // Each playlist is checked.
        let list = read(&text);
        if let Some(before) = before.replace(list.clone()) {
            compare(&before, &list);
        }
        let mut parts = text.splitn(2, "#EXT-X-DISCONTINUITY\n");
        parts.nth(1).is_some_and(|after| after.contains("#EXTINF"))
    });
}

#[test]
#[ignore = "takes more than a minute"]
fn a_publisher_that_does_not_return_ends_the_playlist() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let publisher = publish(&nginx, "show");
    let path = "/stream/live/show/llhls/index.m3u8";
    until("there are segments", 20.0, || {
        let answer = ask(sidecar.web(), path, &[]);
        answer.status == 200 && text(&answer).contains("#EXTINF")
    });
    drop(publisher);
    let (begun, mut end) = (Instant::now(), String::new());
    until("the playlist has its end", 90.0, || {
        end = text(&ask(sidecar.web(), path, &[]));
        end.ends_with("#EXT-X-ENDLIST\n")
    });
    assert!(begun.elapsed() > Duration::from_secs(50));
    let last = tail(end.trim_end_matches("#EXT-X-ENDLIST\n")).0;
    assert!(last && !end.contains("PRELOAD-HINT"), "{end}");
    let segment = end.lines().rfind(|line| !line.starts_with('#')).unwrap();
    assert!(!get(&sidecar, segment).body.is_empty());
    until("it is gone", 45.0, || ask(sidecar.web(), path, &[]).status == 404);
}

#[test]
#[ignore = "takes a minute"]
fn each_playlist_of_a_minute_keeps_to_the_rules() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = publish(&nginx, "show");
    let first = until("there is a playlist", 20.0, || {
        let answer = ask(sidecar.web(), "/stream/live/show/llhls/index.m3u8", &[]);
        (answer.status == 200).then(|| read(&text(&answer)))
    });
    let (_, waited) = follow(&sidecar, first, Duration::from_secs(60));
    assert!(waited > 150, "{waited}");
}

/// Waits for each part of a run, and checks each playlist. Returns the last one and their number.
fn follow(sidecar: &Sidecar, mut list: Playlist, time: Duration) -> (Playlist, usize) {
    let begun = Instant::now();
    let mut waited = 0;
    while begun.elapsed() < time {
        let hint = list.hint.clone();
        let (number, part) = hint.strip_suffix(".m4s").unwrap().split_once('.').unwrap();
        let answer = get(sidecar, &format!("index.m3u8?_HLS_msn={number}&_HLS_part={part}"));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=24"));
        let next = read(&text(&answer));
        let listed = next.segments.values().flat_map(|segment| &segment.parts).any(|(uri, ..)| *uri == hint);
        assert!(listed, "{hint} in {next:?}");
        compare(&list, &next);
        list = next;
        waited += 1;
    }
    (list, waited)
}

#[test]
fn each_playlist_of_a_run_keeps_to_the_rules() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = publish(&nginx, "show");
    let master = until("the stream is there", 20.0, || {
        let answer = ask(sidecar.web(), "/stream/live/show/llhls/master.m3u8", &[]);
        (answer.status == 200).then(|| text(&answer))
    });
    assert!(
        master.contains("CODECS=\"avc1.") && master.contains("RESOLUTION=160x90\nindex.m3u8"),
        "{master}"
    );
    let first = get(&sidecar, "index.m3u8");
    assert_eq!(first.header("cache-control"), Some("public, max-age=1"));
    assert_eq!(first.header("access-control-allow-origin"), Some("*"));
    assert_eq!(first.header("content-type"), Some("application/vnd.apple.mpegurl"));
    let (list, waited) = follow(&sidecar, read(&text(&first)), Duration::from_secs(32));
    // A part lasts 0.3 s.
    assert!((80..140).contains(&waited), "{waited}");
    let delta = read(&text(&get(&sidecar, "index.m3u8?_HLS_skip=YES")));
    assert!(delta.skipped > 0, "{delta:?}");
    compare(&list, &delta);

    // A segment is the sum of its parts.
    let (number, segment) = list.segments.iter().rev().find(|(_, segment)| segment.whole.is_some()).unwrap();
    let parts: Vec<u8> = segment.parts.iter().flat_map(|(uri, ..)| get(&sidecar, uri).body).collect();
    let whole = get(&sidecar, &format!("{number}.m4s"));
    assert_eq!(whole.header("cache-control"), Some("public, max-age=3600, immutable"));
    assert!(whole.body == parts && !parts.is_empty());
    assert!(segment.parts[0].2, "a segment begins with a key frame: {segment:?}");
    // A request for the hinted part waits for it.
    let hint = read(&text(&get(&sidecar, "index.m3u8"))).hint;
    assert!(!get(&sidecar, &hint).body.is_empty());
    for (file, status) in [
        ("index.m3u8?_HLS_msn=99999999999", 400),
        ("index.m3u8?_HLS_msn=x", 400),
        ("index.m3u8?_HLS_part=1", 400),
        ("1.m4s", 404),
        ("99999999999.0.m4s", 404),
        ("init-7.mp4", 404),
        ("..%2fmaster.m3u8", 404),
        ("master.mpd", 404),
    ] {
        let answer = ask(sidecar.web(), &format!("/stream/live/show/llhls/{file}"), &[]);
        assert_eq!(answer.status, status, "{file}");
    }
    let url = format!("http://127.0.0.1:{}/stream/live/show/llhls/master.m3u8", sidecar.web());
    assert_eq!(probe(&url, &["-show_entries", "stream=codec_name"]).lines().next(), Some("h264"));
    let list = ask(sidecar.web(), "/v1/live", &[]).json();
    assert!(list["streams"][0]["viewers"]["llhls"].as_u64().unwrap() >= 1, "{list}");
}
