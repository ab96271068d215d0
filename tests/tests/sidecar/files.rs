//! A ladder delivered as files can be played: renditions are aligned and decodable, the master playlist is right, and the same
//! segments are DASH.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use weir_tests::harness::ffmpeg::{Ffmpeg, probe};
use weir_tests::harness::{Sidecar, until};

use super::{open, publish, rule};

/// When key frames are shown, in seconds.
fn key_frames(playlist: &Path) -> Vec<f64> {
    let shown = ["-select_streams", "v", "-show_entries", "packet=pts_time,flags"];
    let lines = probe(&playlist.to_string_lossy(), &shown);
    let keys = lines.lines().filter(|line| line.contains('K'));
    keys.map(|line| line.split(',').next().unwrap().parse().unwrap()).collect()
}

/// The attributes of the variant whose playlist this is.
fn variant(master: &str, playlist: &str) -> String {
    let lines: Vec<&str> = master.lines().collect();
    let at = lines
        .iter()
        .position(|line| *line == playlist)
        .unwrap_or_else(|| panic!("no {playlist} in\n{master}"));
    lines[at - 1].to_owned()
}

/// Of an attribute with a number.
fn attribute(line: &str, name: &str) -> u64 {
    let value = line.split([',', ':']).find_map(|part| part.strip_prefix(&format!("{name}="))).unwrap();
    value.parse().unwrap()
}

#[test]
fn a_ladder_is_aligned_decodable_and_described() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, &rule("[\"source\", \"low\", \"audio\"]"));
    let publisher = publish(&nginx, "show");
    sidecar.wait_ready("live/show");
    until("six segments are listed", 20.0, || {
        std::fs::read_to_string(sidecar.file("show", "low/index.m3u8"))
            .unwrap_or_default()
            .matches("EXTINF")
            .count()
            >= 6
    });
    // nginx publishes them, whatever the daemon's umask is.
    for (path, mode) in [("master.m3u8", 0o644), ("low/index.m3u8", 0o644), ("low", 0o755)] {
        let has = std::fs::metadata(sidecar.file("show", path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(has, mode, "{path}");
    }
    publisher.close();
    for track in ["source", "low", "audio", "sound"] {
        let playlist = sidecar.file("show", &format!("{track}/index.m3u8"));
        until("the playlist has ended", 15.0, || {
            std::fs::read_to_string(&playlist).unwrap().ends_with("#EXT-X-ENDLIST\n")
        });
    }
    aligned(&sidecar);
    // Read at the end: it is written anew when a segment exceeds what it says.
    described(&sidecar, &std::fs::read_to_string(sidecar.file("show", "master.m3u8")).unwrap());
    // ffprobe reads playlists with a parser of its own: three programs, and every packet.
    let master_file = sidecar.file("show", "master.m3u8");
    let programs = probe(&master_file.to_string_lossy(), &["-show_entries", "program=program_id"]);
    let ids: std::collections::BTreeSet<&str> = programs
        .lines()
        .map(|line| line.trim_matches(','))
        .filter(|line| line.parse::<u32>().is_ok())
        .collect();
    assert_eq!(ids.len(), 3, "{programs}");
    let manifest = std::fs::read_to_string(sidecar.file("show", "manifest.mpd")).unwrap();
    assert_eq!(manifest.matches("<Representation ").count(), 4, "{manifest}");
    assert!(manifest.contains("mediaPresentationDuration"), "{manifest}");
    // And the manifest, whose streams it lists behind its program: two tracks of pictures, two of sound.
    let manifest = sidecar.file("show", "manifest.mpd");
    let codecs = probe(&manifest.to_string_lossy(), &["-show_entries", "stream=codec_name"]);
    let (_, streams) = codecs.split_once("\n\n").unwrap();
    assert_eq!(streams.lines().collect::<Vec<_>>(), ["h264", "h264", "aac", "aac"]);
}

fn aligned(sidecar: &Sidecar) {
    let [source, low] =
        ["source", "low"].map(|track| key_frames(&sidecar.file("show", &format!("{track}/index.m3u8"))));
    assert!(source.len() >= 8, "{source:?}");
    let last = low.last().copied().unwrap();
    for at in source.iter().filter(|at| **at <= last) {
        let nearest = low.iter().map(|other| (other - at).abs()).fold(f64::MAX, f64::min);
        assert!(nearest < 0.002, "no key frame at {at} in {low:?}");
    }
    // Segments begin at the same times too.
    let numbers = |track: &str| {
        let text = std::fs::read_to_string(sidecar.file("show", &format!("{track}/index.m3u8"))).unwrap();
        let times: Vec<String> =
            text.lines().filter(|line| line.contains("DATE-TIME")).map(str::to_owned).collect();
        times
    };
    let (source, low) = (numbers("source"), numbers("low"));
    assert_eq!(source[..5], low[..5]);
}

fn described(sidecar: &Sidecar, master: &str) {
    for (track, size, codec) in
        [("source", Some((160, 90)), "avc1."), ("low", Some((78, 44)), "avc1."), ("audio", None, "mp4a.40.2")]
    {
        let line = variant(master, &format!("{track}/index.m3u8"));
        assert!(line.contains(&format!("CODECS=\"{codec}")), "{line}");
        match size {
            Some((width, height)) => {
                assert!(line.contains(&format!("RESOLUTION={width}x{height},FRAME-RATE=20.000")), "{line}");
                let init = probe(
                    &sidecar.file("show", &format!("{track}/index.m3u8")).to_string_lossy(),
                    &["-show_entries", "stream=width,height"],
                );
                assert_eq!(init.lines().next().unwrap(), format!("{width},{height}"));
            }
            None => assert!(!line.contains("RESOLUTION"), "{line}"),
        }
        let bandwidth = attribute(&line, "BANDWIDTH");
        assert!(attribute(&line, "AVERAGE-BANDWIDTH") <= bandwidth);
        let playlist = sidecar.file("show", &format!("{track}/index.m3u8"));
        for (name, seconds) in weir_tests::harness::files::segments(&playlist) {
            let bytes = std::fs::metadata(playlist.with_file_name(&name)).unwrap().len();
            let listed = std::fs::read_to_string(&playlist).unwrap();
            assert!(
                bytes as f64 * 8.0 / seconds <= bandwidth as f64,
                "{track}/{name}: {bytes} bytes in {seconds} s\n{master}\n{listed}"
            );
        }
    }
    assert!(master.contains("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\""), "{master}");
}

#[test]
fn rare_key_frames_cost_no_restart() {
    let nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, &rule("[\"source\", \"low\"]"));
    // One in six seconds: who joins hears the sound first.
    let url = format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp());
    let _publisher = Ffmpeg::publish_with_key_frames(&url, 120);
    let process = sidecar.wait_running("live/show/ladder", 30.0);
    until("the ladder is ready", 40.0, || {
        sidecar.find("live/show/ladder").is_some_and(|job| job["ready"] == true)
    });
    assert!(
        process.is_alive() && sidecar.find("live/show/ladder").unwrap()["restarts"] == 0,
        "{}",
        sidecar.log()
    );
    let master = std::fs::read_to_string(sidecar.file("show", "master.m3u8")).unwrap();
    assert_eq!(master.matches("#EXT-X-STREAM-INF").count(), 2, "{master}");
}

#[test]
fn a_publisher_that_comes_back_soon_finds_its_viewers() {
    let nginx = open().start();
    let config = rule("[\"source\"]").replace("linger = \"0s\"", "linger = \"30s\"");
    let mut sidecar = Sidecar::start(&nginx, &config);
    let first = publish(&nginx, "show");
    sidecar.wait_ready("live/show");
    let before = sidecar.wait_running("live/show/ladder", 10.0);
    first.close();
    until("the job has ended", 15.0, || sidecar.jobs().is_empty() && !before.is_alive());
    let playlist = sidecar.file("show", "source/index.m3u8");
    let numbers = |text: &str| text.lines().filter(|line| line.ends_with(".m4s")).count();
    let listed = numbers(&std::fs::read_to_string(&playlist).unwrap());
    let _second = publish(&nginx, "show");
    let text = until("the playlist goes on", 20.0, || {
        let text = std::fs::read_to_string(&playlist).unwrap();
        (numbers(&text) > listed).then_some(text)
    });
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{text}");
    assert!(!text.contains("ENDLIST"), "{text}");
}

#[test]
fn the_folder_of_an_ended_stream_goes() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, &rule("[\"source\"]").replace("keep = \"10m\"", "keep = \"1s\""));
    let publisher = publish(&nginx, "show");
    sidecar.wait_ready("live/show");
    publisher.close();
    until("the folder is gone", 20.0, || !sidecar.media().join("live/show").exists());
}
