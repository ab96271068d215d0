use super::*;

fn presentation() -> Presentation {
    let first = 100;
    let track = |name: &str, role, nominal| Track::new(name, role, nominal, first);
    let mut presentation = Presentation {
        segment: Duration::from_secs(2),
        window: Duration::from_secs(8),
        since: Timestamp::from_millis(1_000_000),
        tracks: vec![
            track("source", Role::Video, 0),
            track("360p", Role::Video, 900_000),
            track("sound", Role::Sound, 0),
            track("audio", Role::AudioOnly, 64_000),
        ],
        runs: Vec::new(),
        ended: false,
    };
    let video = |codec: &str, height| Init {
        timescale: 1000,
        codec: codec.into(),
        kind: TrackKind::Video { width: height * 16 / 9, height },
    };
    let audio = Init {
        timescale: 48_000,
        codec: "mp4a.40.2".into(),
        kind: TrackKind::Audio { sample_rate: 48_000, channels: 2 },
    };
    presentation.begin(0, video("avc1.64001f", 720));
    presentation.begin(1, video("avc1.4d401e", 360));
    presentation.begin(2, audio.clone());
    presentation.begin(3, audio);
    presentation
}

/// Adds two seconds of each track.
fn push(presentation: &mut Presentation, run: u64, second: u64) -> Vec<Option<(u64, Vec<u64>)>> {
    let now = Timestamp::from_millis(1_000_000 + second * 1000 + 2000);
    (0..4)
        .map(|track| {
            let (scale, samples, bytes) = if track < 2 { (1000, 50, 500_000) } else { (48_000, 94, 32_000) };
            let fragment = Fragment { start: (second + 7) * scale, duration: 2 * scale, samples };
            presentation.push(track, run, fragment, bytes, now)
        })
        .collect()
}

#[test]
fn the_master_lists_what_can_be_played() {
    let mut presentation = presentation();
    assert!(!hls::master(&presentation).contains("STREAM-INF"));
    push(&mut presentation, 1, 0);
    let expected = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"sound\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"sound/index.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=2128000,AVERAGE-BANDWIDTH=2128000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=25.000,AUDIO=\"sound\"\n\
        source/index.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=2128000,AVERAGE-BANDWIDTH=2128000,CODECS=\"avc1.4d401e,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=25.000,AUDIO=\"sound\"\n\
        360p/index.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=128000,AVERAGE-BANDWIDTH=128000,CODECS=\"mp4a.40.2\"\naudio/index.m3u8\n";
    assert_eq!(hls::master(&presentation), expected);
    presentation.tracks[0].segments.clear();
    assert!(!hls::master(&presentation).contains("source"));
}

#[test]
fn a_publisher_may_come_back_with_another_frame_rate() {
    let mut presentation = presentation();
    push(&mut presentation, 1, 0);
    let fast = Fragment { start: 20_000, duration: 2000, samples: 100 };
    presentation.push(0, 2, fast, 500_000, Timestamp::from_millis(1_012_000));
    let master = hls::master(&presentation);
    assert!(master.contains("RESOLUTION=1280x720,FRAME-RATE=50.000"), "{master}");
}

#[test]
fn a_new_run_is_a_discontinuity_and_stays_counted() {
    let mut presentation = presentation();
    push(&mut presentation, 1, 0);
    push(&mut presentation, 1, 2);
    push(&mut presentation, 2, 7);
    let text = hls::media(&presentation, &presentation.tracks[0]);
    let expected = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:100\n\
        #EXT-X-MAP:URI=\"init-1.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:16:40.000Z\n#EXTINF:2.00000,\n100.m4s\n\
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:16:42.000Z\n#EXTINF:2.00000,\n101.m4s\n\
        #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-2.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:16:47.000Z\n#EXTINF:2.00000,\n102.m4s\n";
    assert_eq!(text, expected);
    // The window is eight seconds, and a discontinuity is remembered after it has left the list.
    let mut gone = Vec::new();
    for second in [9, 11, 13, 15] {
        gone.extend(push(&mut presentation, 2, second).swap_remove(0).unwrap().1);
    }
    assert_eq!(gone, [100, 101, 102]);
    let text = hls::media(&presentation, &presentation.tracks[0]);
    assert!(
        text.contains(
            "#EXT-X-MEDIA-SEQUENCE:103\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXT-X-MAP:URI=\"init-2.mp4\"\n"
        ),
        "{text}"
    );
    assert!(!text.contains("#EXT-X-DISCONTINUITY\n") && !text.contains("ENDLIST"), "{text}");
    assert_eq!(presentation.runs.len(), 1);
    presentation.ended = true;
    assert!(hls::media(&presentation, &presentation.tracks[0]).ends_with("106.m4s\n#EXT-X-ENDLIST\n"));
}

#[test]
fn dash_has_a_period_for_each_run() {
    let mut presentation = presentation();
    push(&mut presentation, 1, 0);
    push(&mut presentation, 2, 7);
    let text = dash::manifest(&presentation, Timestamp::from_millis(1_010_000));
    for part in [
        "type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:16:40Z\" publishTime=\"1970-01-01T00:16:50Z\" minimumUpdatePeriod=\"PT2.0S\"",
        "<Period id=\"1\" start=\"PT0.000S\">",
        "<Period id=\"2\" start=\"PT7.000S\">",
        "<Representation id=\"360p\" codecs=\"avc1.4d401e\" bandwidth=\"2000000\" width=\"640\" height=\"360\" frameRate=\"25000/1000\">",
        "<SegmentTemplate timescale=\"48000\" presentationTimeOffset=\"672000\" startNumber=\"101\" initialization=\"audio/init-2.mp4\" media=\"audio/$Number$.m4s\">",
        "<S t=\"672000\" d=\"96000\"/>",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!(text.matches("<Representation").count(), 8);
    presentation.ended = true;
    let text = dash::manifest(&presentation, Timestamp::from_millis(1_010_000));
    assert!(
        text.contains("mediaPresentationDuration=\"PT9.000S\"") && !text.contains("minimumUpdatePeriod"),
        "{text}"
    );
}

#[test]
fn a_track_that_no_longer_goes_on_is_not_listed() {
    let mut presentation = presentation();
    push(&mut presentation, 1, 0);
    let video = |second: u64| Fragment { start: (second + 7) * 1000, duration: 2000, samples: 50 };
    for second in [2, 4, 6] {
        let now = Timestamp::from_millis(1_002_000 + second * 1000);
        presentation.push(0, 1, video(second), 500_000, now);
        presentation.push(1, 1, video(second), 500_000, now);
    }
    assert!(hls::master(&presentation).contains("TYPE=AUDIO"));
    presentation.push(0, 1, video(8), 500_000, Timestamp::from_millis(1_010_000));
    let master = hls::master(&presentation);
    assert!(!master.contains("TYPE=AUDIO") && !master.contains("audio/"), "{master}");
    assert_eq!(master.matches("STREAM-INF").count(), 2);
}
