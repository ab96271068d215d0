//! HEVC and AV1 of Enhanced RTMP are recorded unchanged, in both containers. A ladder transcodes them to H.264, and stills are taken. An
//! event names the codec that nginx-rtmp's HLS does not support.

use weir_tests::harness::ffmpeg::{probe, video_times};
use weir_tests::harness::media::Enhanced;
use weir_tests::harness::{Publisher, Sidecar, until};

use super::{complaints, files, open, wait_ended};

const RULES: &str = "[rung.low]\nheight = 44\nbitrate = \"60k\"\n[ladder.l]\nrungs = [\"source\", \"low\", \"audio\"]\npreset = \"ultrafast\"\n\
    [[stream]]\napp = \"live\"\nstream = \"show\"\nladder = \"l\"\nfolder = \"@MEDIA@/ladder\"\nsegment = \"1s\"\n\
    [[record]]\napp = \"live\"\nstream = \"show\"\nfolder = \"@MEDIA@/mp4\"\nmin_free = \"1m\"\nsplit = \"2s\"\n\
    [[record]]\napp = \"live\"\nstream = \"other\"\nfolder = \"@MEDIA@/mkv\"\nmin_free = \"1m\"\nformat = \"mkv\"\n\
    [[thumbnail]]\napp = \"live\"\nstream = \"show\"\nfolder = \"@MEDIA@/stills\"\nevery = \"1s\"\n";

/// Number of frames that may be shown before a frame that was sent earlier.
const REORDERED: usize = 3;

/// Reason for the end of a recording.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// The next recording began.
    Split,
    /// The publisher left, maybe between a frame and those that are shown before it.
    Publisher,
}

/// Asserts that each frame is 50 ms later than the one before, and that the file can be decoded.
#[track_caller]
fn assert_whole(file: &std::path::Path, codec: &str, least: usize, end: End) {
    let name = file.to_string_lossy();
    assert_eq!(probe(&name, &["-show_entries", "stream=codec_name"]), format!("{codec}\naac"), "{name}");
    let size = probe(&name, &["-select_streams", "v", "-show_entries", "stream=width,height"]);
    assert_eq!(size, "160,90", "{name}");
    let mut times = video_times(file);
    times.sort_by(f64::total_cmp);
    assert!(times.len() >= least, "{name}: {times:?}");
    let packets = probe(&name, &["-select_streams", "v", "-show_entries", "packet=pts_time,dts_time,flags"]);
    let follow = |times: &[f64]| times.windows(2).all(|pair| (0.04..0.06).contains(&(pair[1] - pair[0])));
    let known = times.len() - if end == End::Publisher { times.len().min(REORDERED) } else { 0 };
    assert!(follow(&times[..known]), "{name}: {packets}");
    // Only MP4 stores the decoding times, which are in the order of sending: no frame is missing there.
    if name.ends_with(".mp4") {
        let decoded = packets.lines().map(|line| line.split(',').nth(1).unwrap().parse().unwrap());
        assert!(follow(&decoded.collect::<Vec<f64>>()), "{name}: {packets}");
    }
    assert_eq!(complaints(file), "", "{name}");
}

fn check(codec: Enhanced) {
    let nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, RULES);
    let publish = |name: &str| {
        let pictures = codec.pictures();
        let edit = move |tag| Some(pictures.replace(tag));
        Publisher::to(nginx.rtmp(), &format!("live/{name}")).edited(edit).start().started()
    };
    let (show, other) = (publish("show"), publish("other"));
    for job in ["live/show/record", "live/other/record", "live/show/ladder"] {
        sidecar.wait_running(job, 30.0);
    }
    sidecar.wait_ready("live/show");
    until("stills are taken", 20.0, || sidecar.media().join("stills/live/show.jpg").exists());
    let (mp4, mkv) = (sidecar.media().join("mp4"), sidecar.media().join("mkv"));
    // Files are written while the stream is live, not only at its end.
    until("a recording is split", 20.0, || files(&mp4, "mp4").len() >= 2);
    until("the other one grows", 20.0, || {
        files(&mkv, "mkv").first().is_some_and(|file| file.metadata().unwrap().len() > 40_000)
    });
    for job in sidecar.jobs() {
        assert_eq!((&job["restarts"], &job["last_error"]), (&0.into(), &serde_json::Value::Null), "{job}");
        assert_eq!(job["ready"], true, "{job}");
    }

    let live = nginx.api().stream("live", "show").unwrap();
    let name = codec.name().to_uppercase();
    assert_eq!(
        (&live["video"]["codec"], &live["video"]["width"]),
        (&name.clone().into(), &160.into()),
        "{live}"
    );
    let told = sidecar.told("stream.codecs");
    assert_eq!(told["video"], name, "{told}");
    assert_eq!(
        (&told["not_in_hls"], &told["not_in_jobs"]),
        (&serde_json::json!([name]), &serde_json::json!([]))
    );

    // The ladder has no rung with a codec that browsers do not play.
    let master = std::fs::read_to_string(sidecar.media().join("ladder/live/show/master.m3u8")).unwrap();
    assert_eq!(master.matches("#EXT-X-STREAM-INF").count(), 2, "{master}");
    assert!(master.contains("avc1.") && !master.contains("source/"), "{master}");
    let low = sidecar.media().join("ladder/live/show/low/index.m3u8");
    let codecs = probe(&low.to_string_lossy(), &["-show_entries", "stream=codec_name,height"]);
    assert!(codecs.contains("h264,44"), "{codecs}");

    show.close();
    other.close();
    wait_ended(&mp4, 2);
    wait_ended(&mkv, 1);
    until("all have ended", 10.0, || super::entries(&mp4).iter().all(|entry| !entry["ended"].is_null()));
    let all = files(&mp4, "mp4");
    all[..all.len() - 1].iter().for_each(|file| assert_whole(file, codec.name(), 40, End::Split));
    assert_whole(&all[all.len() - 1], codec.name(), 1, End::Publisher);
    assert_whole(&files(&mkv, "mkv")[0], codec.name(), 60, End::Publisher);
}

#[test]
fn hevc_is_recorded_and_transcoded() {
    check(Enhanced::Hevc);
}

#[test]
fn av1_is_recorded_and_transcoded() {
    check(Enhanced::Av1);
}
