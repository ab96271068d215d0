//! Times are arguments, so these tests take hours of media at once.

use proptest::prelude::*;

use super::*;

/// One frame per 40 ms, with these keyframes.
fn filled(count: i64, is_key: impl Fn(i64) -> bool) -> Shelf<i64> {
    let mut shelf = Shelf::new(100);
    shelf.init(-1);
    for n in 0..count {
        let facts = Facts { start: n * 40, is_key: is_key(n), bytes: 1000, era: 0 };
        shelf.push(n, facts, Timestamp::from_millis(1_700_000_000_000 + n.unsigned_abs() * 40));
    }
    shelf
}

#[test]
fn parts_are_even_and_segments_begin_with_key_frames() {
    let shelf = filled(130, |n| n % 50 == 0);
    let text = shelf.playlist(false, false);
    let expected = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:4\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.020,CAN-SKIP-UNTIL=24.0\n\
        #EXT-X-PART-INF:PART-TARGET=0.340\n#EXT-X-MEDIA-SEQUENCE:100\n#EXT-X-MAP:URI=\"init-100.mp4\"\n\
        #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.000Z\n\
        #EXT-X-PART:DURATION=0.320,URI=\"100.0.m4s\",INDEPENDENT=YES\n";
    assert!(text.starts_with(expected), "{text}");
    assert!(
        text.contains("#EXTINF:2.000,\n100.m4s\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:22.000Z\n"),
        "{text}"
    );
    assert!(text.ends_with("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"102.3.m4s\"\n"), "{text}");
    assert_eq!(shelf.part(100, 0), Found::There((0..8).collect()));
    assert_eq!(shelf.segment(101), Found::There((50..100).collect()));
    assert_eq!(shelf.init_of(100), Some(-1));
}

#[test]
fn without_key_frames_a_segment_ends_all_the_same() {
    let text = filled(300, |n| n == 0).playlist(false, false);
    assert!(text.contains("#EXTINF:4.440,"), "{text}");
    assert_eq!(text.matches("INDEPENDENT=YES").count(), 1, "{text}");
}

#[test]
fn the_first_segment_ends_early_for_players_that_know_no_parts() {
    // A keyframe per second: the first segment is one second long, the others two.
    assert!(!filled(25, |n| n % 25 == 0).has_segment());
    let shelf = filled(130, |n| n % 25 == 0);
    assert!(shelf.has_segment());
    let text = shelf.playlist(false, false);
    let lengths: Vec<_> = text.lines().filter(|line| line.starts_with("#EXTINF")).collect();
    assert_eq!(lengths, ["#EXTINF:1.000,", "#EXTINF:2.000,", "#EXTINF:2.000,"], "{text}");
}

#[test]
fn what_is_asked_for_is_there_or_soon_or_nowhere() {
    let shelf = filled(130, |n| n % 50 == 0);
    let there = Found::There(());
    for (number, part, expected) in [
        (99, None, there),
        (101, None, there),
        (102, None, Found::NotYet),
        (103, None, Found::NotYet),
        (104, None, Found::Nowhere),
        (102, Some(2), there),
        (102, Some(3), Found::NotYet),
        (101, Some(99), there),
        (103, Some(0), Found::NotYet),
    ] {
        assert_eq!(shelf.has(number, part), expected, "{number} {part:?}");
    }
    assert_eq!((shelf.part(102, 3), shelf.part(102, 4)), (Found::NotYet, Found::Nowhere));
    assert_eq!((shelf.segment(102), shelf.segment(103)), (Found::NotYet, Found::Nowhere));
}

#[test]
fn a_delta_update_leaves_out_what_is_old() {
    let shelf = filled(1500, |n| n % 50 == 0);
    let (whole, delta) = (shelf.playlist(false, false), shelf.playlist(true, false));
    let skipped: usize =
        delta.split("SKIPPED-SEGMENTS=").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    assert!(skipped > 0 && !delta.contains("EXT-X-MAP"), "{delta}");
    assert_eq!(whole.matches("#EXTINF").count(), skipped + delta.matches("#EXTINF").count());
    let length = whole.matches("#EXTINF").count() * 2;
    assert!((28..=34).contains(&length), "{whole}");
}

#[test]
fn another_init_segment_is_a_discontinuity() {
    let mut shelf = filled(60, |n| n % 50 == 0);
    shelf.init(-2);
    for n in 60..120 {
        let facts = Facts { start: n * 40, is_key: n % 50 == 10, bytes: 1000, era: 0 };
        shelf.push(n, facts, Timestamp::from_millis(1_700_000_100_000));
    }
    let text = shelf.playlist(false, true);
    assert!(text.contains("101.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-102.mp4\"\n"), "{text}");
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    assert_eq!((shelf.init_of(100), shelf.init_of(102)), (Some(-1), Some(-2)));
}

/// Returns the `DURATION` of the parts of each segment, and its `EXTINF` if it is complete.
fn durations(text: &str) -> Vec<(Vec<i64>, Option<i64>)> {
    let ms = |text: &str| (text.parse::<f64>().unwrap() * 1000.0).round() as i64;
    let (mut all, mut parts) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("#EXT-X-PART:DURATION=") {
            parts.push(ms(rest.split(',').next().unwrap()));
        } else if let Some(rest) = line.strip_prefix("#EXTINF:") {
            all.push((std::mem::take(&mut parts), Some(ms(rest.trim_end_matches(',')))));
        }
    }
    all.push((parts, None));
    all
}

/// Asserts the rules for durations (RFC 8216bis, 4.4.3.1, 4.4.4.1 and 4.4.4.9).
#[track_caller]
fn assert_durations(shelf: &Shelf<i64>) {
    let text = shelf.playlist(false, false);
    for (parts, whole) in durations(&text) {
        assert!(whole.is_none_or(|whole| whole < 4500), "{text}");
        let sum: i64 = parts.iter().sum();
        assert!(parts.is_empty() || whole.is_none_or(|whole| whole == sum), "{text}");
        for (nth, part) in parts.iter().enumerate() {
            let is_last = whole.is_some() && nth + 1 == parts.len();
            assert!(*part <= shelf.part_target, "{part} in {text}");
            assert!(is_last || part * 100 >= shelf.part_target * 85, "{part} in {text}");
        }
    }
}

/// Adds fragments with these intervals before them. Each arrives when it starts.
fn push_all(
    shelf: &mut Shelf<i64>,
    mut start: i64,
    intervals: &[i64],
    is_key: impl Fn(usize) -> bool,
) -> i64 {
    for (nth, interval) in intervals.iter().enumerate() {
        start += interval;
        let facts = Facts { start, is_key: is_key(nth), bytes: 1000, era: 0 };
        let at = Timestamp::from_millis(1_700_000_000_000 + start.unsigned_abs());
        shelf.push(start, facts, at);
        assert_durations(shelf);
    }
    start
}

#[test]
fn a_pause_is_in_no_part_and_times_of_day_go_on_after_it() {
    let mut shelf = filled(60, |n| n % 50 == 0);
    push_all(&mut shelf, 59 * 40, &[7000], |_| true);
    push_all(&mut shelf, 59 * 40 + 7000, &[40; 30], |_| false);
    let text = shelf.playlist(false, false);
    // 59 * 40 + 7000 = 9360.
    let expected = "#EXTINF:0.400,\n101.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:29.360Z\n\
                    #EXT-X-PART:DURATION=0.320,URI=\"102.0.m4s\",INDEPENDENT=YES\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn an_end_closes_what_is_open_and_the_last_frames_can_be_fetched() {
    let mut shelf = filled(63, |n| n % 50 == 0);
    assert_eq!(shelf.part(101, 1), Found::NotYet);
    shelf.end();
    assert_eq!(shelf.part(101, 1), Found::There((58..63).collect()));
    assert_eq!(shelf.segment(101), Found::There((50..63).collect()));
    let text = shelf.playlist(false, true);
    assert!(text.ends_with("#EXTINF:0.520,\n101.m4s\n#EXT-X-ENDLIST\n"), "{text}");
    shelf.end();
    assert_eq!(shelf.playlist(false, true), text);
}

#[test]
fn a_segment_can_be_fetched_long_after_it_has_left_the_playlist() {
    let mut shelf = filled(1, |_| true);
    let (mut removed, mut longest) = (std::collections::BTreeMap::new(), 0);
    for n in 1..5000 {
        let facts = Facts { start: n * 40, is_key: n % 50 == 0, bytes: 1000, era: 0 };
        shelf.push(n, facts, Timestamp::from_millis(n.unsigned_abs() * 40));
        let listed = &shelf.segments[shelf.first_listed()];
        let length = shelf.segments.iter().skip(shelf.first_listed()).map(Segment::duration).sum::<i64>();
        longest = length.max(longest);
        for number in 100..listed.number {
            removed.entry(number).or_insert(n * 40);
        }
        for (number, at) in &removed {
            let is_due = n * 40 - at <= 2000 + longest;
            assert!(!is_due || matches!(shelf.segment(*number), Found::There(_)), "{number} at {}", n * 40);
        }
    }
    assert!(removed.len() > 50 && shelf.segments.len() < 45, "{}", shelf.segments.len());
}

#[test]
fn rare_frames_have_long_parts() {
    for interval in [100, 142, 200, 250, 500, 1000] {
        let mut shelf = Shelf::new(100);
        shelf.init(-1);
        push_all(&mut shelf, 0, &[interval; 200], |nth| nth % 5 == 0);
        assert_eq!(shelf.playlist(false, false).matches("DISCONTINUITY").count(), 0, "{interval}");
    }
}

#[test]
fn frames_that_become_rare_make_longer_parts_and_not_a_segment_each() {
    for (rare, count) in [(1000, 120), (500, 240), (213, 500), (250, 400)] {
        let mut shelf = Shelf::new(100);
        shelf.init(-1);
        let intervals = [vec![33; 300], vec![rare; count]].concat();
        push_all(&mut shelf, 0, &intervals, |nth| nth % 60 == 0);
        let playlist = shelf.playlist(false, false);
        let segments = playlist.matches("#EXTINF").count();
        assert!(segments <= 14, "{rare}: {segments} segments\n{playlist}");
        // The last half minute of media is in the playlist, and no time is missing.
        assert_eq!(playlist.matches("DISCONTINUITY\n").count(), 0, "{rare}:\n{playlist}");
        assert_durations(&shelf);
    }
}

#[test]
fn parts_are_short_again_when_frames_are_frequent_again() {
    let mut shelf = Shelf::new(100);
    shelf.init(-1);
    let intervals = [vec![33; 300], vec![1000; 20]].concat();
    let end = push_all(&mut shelf, 0, &intervals, |nth| nth % 60 == 0);
    assert!(shelf.playlist(false, false).contains("PART-TARGET=1.100"));
    push_all(&mut shelf, end, &[33; 2200], |nth| nth % 60 == 0);
    assert!(shelf.playlist(false, false).contains("PART-TARGET=0.340"));
}

proptest! {
    #[test]
    fn parts_are_as_long_as_the_playlist_says_whatever_the_frame_rate_does(
        intervals in proptest::collection::vec(prop_oneof![20_i64..60, 20_i64..400, 1_i64..2500], 1..400),
        keys in 1_usize..120,
    ) {
        let mut shelf = Shelf::new(100);
        shelf.init(-1);
        push_all(&mut shelf, 0, &intervals, |nth| nth % keys == 0);
        shelf.end();
        assert_durations(&shelf);
    }
}

#[test]
fn a_rendition_has_the_discontinuity_numbers_of_the_others() {
    let mut shelf = Shelf::new(1);
    shelf.init(-1);
    let put = |shelf: &mut Shelf<i64>, frames: std::ops::Range<i64>, era: u64| {
        for n in frames {
            let facts = Facts { start: n * 40, is_key: n % 50 == 0, bytes: 1000, era };
            shelf.push(n, facts, Timestamp::from_millis(1_700_000_000_000));
        }
    };
    put(&mut shelf, 0..100, 3);
    assert!(shelf.playlist(false, false).contains("#EXT-X-DISCONTINUITY-SEQUENCE:3\n"));
    // It has missed two of the others.
    shelf.init(-2);
    put(&mut shelf, 100..200, 6);
    // One of its own, which the others have too.
    shelf.init(-3);
    put(&mut shelf, 200..300, 7);
    assert_eq!(shelf.newest_segment(), Some((10_000, 7, 1_700_000_000_000 - 8000)));
    let text = shelf.playlist(false, false);
    assert!(text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:3\n"), "{text}");
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 4, "{text}");
    // Two lists of the same media begin with the same number, whatever was removed.
    put(&mut shelf, 300..2000, 7);
    assert!(shelf.playlist(false, false).contains("#EXT-X-DISCONTINUITY-SEQUENCE:7\n"));
}
