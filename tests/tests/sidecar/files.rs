//! A ladder that is delivered as files can be played: renditions are aligned and decodable, the master playlist is correct, and the same
//! segments work as DASH.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use weir_rtmp::flv::{Tag, TagKind};
use weir_tests::harness::ffmpeg::{Ffmpeg, probe};
use weir_tests::harness::{Publisher, Sidecar, media, products, until};

use super::{open, publish, rule};

/// Returns the presentation times of the keyframes, in seconds.
fn key_frames(playlist: &Path) -> Vec<f64> {
    let shown = ["-select_streams", "v", "-show_entries", "packet=pts_time,flags"];
    let lines = probe(&playlist.to_string_lossy(), &shown);
    let keys = lines.lines().filter(|line| line.contains('K'));
    keys.map(|line| line.split(',').next().unwrap().parse().unwrap()).collect()
}

/// Returns the attributes of the variant with this playlist.
fn variant(master: &str, playlist: &str) -> String {
    let lines: Vec<&str> = master.lines().collect();
    let at = lines
        .iter()
        .position(|line| *line == playlist)
        .unwrap_or_else(|| panic!("no {playlist} in\n{master}"));
    lines[at - 1].to_owned()
}

/// Returns the number of an attribute.
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
    // The modes let nginx read the files, whatever the daemon's umask is.
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
    // The test reads the file at the end: the daemon rewrites it when a segment exceeds the announced bitrate.
    described(&sidecar, &std::fs::read_to_string(sidecar.file("show", "master.m3u8")).unwrap());
    // ffprobe has its own parser of playlists: it finds three programs, and every packet.
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
    // ffprobe lists the streams of the manifest after its program: two video tracks and two audio tracks.
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
    // The segments also begin at the same times.
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
    // There is one keyframe per six seconds, so a player gets audio first.
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

/// Writes the parts of a playlist, each with an init segment of its own, to files beside the playlist; returns the files.
fn parts(playlist: &Path) -> Vec<std::path::PathBuf> {
    let (folder, text) = (playlist.parent().unwrap(), std::fs::read_to_string(playlist).unwrap());
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for line in text.lines() {
        let init = line.strip_prefix("#EXT-X-MAP:URI=\"").map(|uri| uri.trim_end_matches('"'));
        match (init, line.starts_with('#')) {
            (Some(init), _) => parts.push(std::fs::read(folder.join(init)).unwrap()),
            (None, false) => parts.last_mut().unwrap().extend(std::fs::read(folder.join(line)).unwrap()),
            (None, true) => {}
        }
    }
    let write = |(nth, bytes): (usize, Vec<u8>)| {
        let file = folder.join(format!("part-{nth}.mp4"));
        std::fs::write(&file, bytes).unwrap();
        file
    };
    parts.into_iter().enumerate().map(write).collect()
}

/// A player of HLS restarts its decoder at the discontinuity, with the init segment that follows it. ffmpeg's HLS demuxer does not, so the
/// test decodes each part by itself.
#[test]
fn both_sides_of_a_change_of_size_can_be_decoded() {
    const TURN_MS: u32 = 14_000;
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, &rule("[\"source\", \"low\"]"));
    let turned = media::turned();
    let header = turned.headers.iter().find(|tag| tag.kind == TagKind::Video).unwrap().payload.clone();
    let video: Vec<_> = turned.frames.iter().filter(|tag| tag.kind == TagKind::Video).collect();
    let edit = move |tag: Tag| {
        let since = tag.timestamp.checked_sub(TURN_MS);
        match (tag.kind, since) {
            // The message replaces audio, so that the new size arrives before its first frame.
            (TagKind::Audio, Some(0..=60)) => {
                Some(Tag { kind: TagKind::Video, payload: header.clone(), ..tag })
            }
            (TagKind::Video, Some(since)) if since >= 500 => {
                let frame = video[(since as usize / 50) % video.len()];
                Some(Tag { payload: frame.payload.clone(), ..tag })
            }
            (TagKind::Video, Some(_)) => None,
            _ => Some(tag),
        }
    };
    let publisher = Publisher::to(nginx.rtmp(), "live/show").edited(edit).start().started();
    sidecar.wait_ready("live/show");
    until("seconds of the other size are sent", 60.0, || publisher.sent_ms() > TURN_MS + 8000);
    // The first frame of the other size is sent half a second after its header.
    let turned_frames = (publisher.sent_ms() - TURN_MS - 500) / 50;
    publisher.close();
    for (rung, sizes) in [("source", ["160,90", "90,160"]), ("low", ["", ""])] {
        let playlist = sidecar.file("show", &format!("{rung}/index.m3u8"));
        let text = || std::fs::read_to_string(&playlist).unwrap();
        until("the playlist has ended", 15.0, || text().ends_with("#EXT-X-ENDLIST\n"));
        assert_eq!(text().matches("#EXT-X-DISCONTINUITY\n#EXT-X-MAP").count(), 1, "{rung}: {}", text());
        let parts = parts(&playlist);
        assert_eq!(parts.len(), 2, "{rung}: {}", text());
        let mut frames = Vec::new();
        for (part, size) in parts.iter().zip(sizes) {
            let found = probe(
                &part.to_string_lossy(),
                &["-select_streams", "v", "-show_entries", "stream=width,height"],
            );
            assert!(found.contains(size), "{rung}: {found}");
            let decoded = std::process::Command::new(products::ffmpeg("ffmpeg"))
                .args(["-nostdin", "-v", "error", "-xerror", "-i"])
                .arg(part)
                .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framecrc", "-"])
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&decoded.stderr);
            assert!(decoded.status.success() && errors.is_empty(), "{rung}: {errors}");
            let lines = String::from_utf8_lossy(&decoded.stdout).into_owned();
            frames.push(lines.lines().filter(|line| !line.starts_with('#')).count() as u32);
        }
        // No frame is lost at the change; the last ones may be on their way when the publisher leaves.
        assert!(
            frames[1] + 5 >= turned_frames,
            "{rung}: {frames:?} frames, {turned_frames} of the second part sent"
        );
    }
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
