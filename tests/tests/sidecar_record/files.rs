//! A stream is recorded as sent; the video of each file begins with a keyframe, and the file is decodable from end to end, however the
//! recording was cut off. A new daemon recognizes the files of an earlier one.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::Signal;
use weir_tests::harness::ffmpeg::{Ffmpeg, probe, video_times};
use weir_tests::harness::{Sidecar, until};

use super::{complaints, entries, files, open, publish, wait_ended};

fn rule(format: &str, more: &str) -> String {
    format!(
        "[[record]]\napp = \"live\"\nstream = \"*\"\nformat = \"{format}\"\nfolder = \"@MEDIA@\"\nmin_free = \"1m\"\n{more}"
    )
}

/// Asserts that the first video packet is a keyframe near 0, that there is audio, and that everything can be decoded. A player that joins a
/// live stream gets audio before the next keyframe: up to half a second of audio may precede the video.
#[track_caller]
fn assert_good(file: &Path) {
    let name = file.to_string_lossy();
    let packets = probe(&name, &["-select_streams", "v", "-show_entries", "packet=pts_time,flags"]);
    let first = packets.lines().next().unwrap_or_else(|| panic!("{name} is empty"));
    let at: f64 = first.split(',').next().unwrap().parse().unwrap();
    assert!(first.contains('K') && (0.0..0.6).contains(&at), "{name}: {first}");
    // The other frames follow it at intervals of 50 ms.
    let times = video_times(file);
    let gap = times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    assert!(gap < 0.2, "{name}: {gap} s without a picture: {times:?}");
    let codecs = probe(&name, &["-show_entries", "stream=codec_name"]);
    assert!(codecs.contains("h264") && codecs.contains("aac"), "{name}: {codecs}");
    assert_eq!(complaints(file), "", "{name}");
}

#[test]
fn a_recording_is_split_into_files_that_stand_for_themselves() {
    for format in ["mp4", "mkv"] {
        let nginx = open().start();
        let mut sidecar = Sidecar::start(&nginx, &rule(format, "split = \"2s\"\n"));
        let publisher = publish(&nginx, "show");
        sidecar.wait_running("live/show/record", 20.0);
        until("there are three files", 25.0, || files(&sidecar.media(), format).len() >= 3);
        publisher.close();
        let folder = sidecar.media();
        wait_ended(&folder, 3);
        until("the last has ended", 10.0, || entries(&folder).iter().all(|entry| !entry["ended"].is_null()));
        let all = files(&folder, format);
        // The modes let nginx's group read the files, whatever the daemon's umask is.
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&all[0]), mode(all[0].parent().unwrap())), (0o640, 0o750));
        for (file, entry) in all.iter().zip(entries(&folder)) {
            assert_good(file);
            assert_eq!(file, &folder.join(entry["file"].as_str().unwrap()));
            assert_eq!(std::fs::metadata(file).unwrap().len(), entry["bytes"].as_u64().unwrap());
        }
        // An example of a name: live/show/2026-11-20/20261120T180304Z.mp4
        let name = all[0].strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with("live/show/20") && name.ends_with(&format!("Z.{format}")), "{name}");
        // Frames are 50 ms apart, within a file and from the first file to the second.
        let lengths: Vec<usize> = all.iter().map(|file| video_times(file).len()).collect();
        assert!(lengths[..2].iter().all(|length| (40..=50).contains(length)), "{format}: {lengths:?}");
        assert!(sidecar.get("/metrics").is_some());
    }
}

#[test]
fn rare_key_frames_do_not_cost_the_pictures() {
    let nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, &rule("mp4", ""));
    // There is one keyframe per six seconds, so the recording gets audio first.
    let url = format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp());
    let publisher = Ffmpeg::publish_with_key_frames(&url, 120);
    let process = sidecar.wait_running("live/show/record", 30.0);
    let folder = sidecar.media();
    until("pictures are recorded", 40.0, || {
        let file = files(&folder, "mp4").pop()?;
        (file.metadata().unwrap().len() > 0 && video_times(&file).len() > 20).then_some(())
    });
    assert!(process.is_alive(), "{}", sidecar.log());
    drop(publisher);
    wait_ended(&folder, 1);
    let all = files(&folder, "mp4");
    assert_eq!(all.len(), 1, "{all:?}");
    assert_good(&all[0]);
}

#[test]
fn a_recording_that_has_ended_is_hls_on_demand() {
    let nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, &rule("mp4", "playlist = true\n"));
    let publisher = publish(&nginx, "show");
    sidecar.wait_running("live/show/record", 20.0);
    let folder = sidecar.media();
    let before = publisher.sent_ms();
    until("six seconds are sent", 20.0, || publisher.sent_ms() > before + 6000);
    publisher.close();
    wait_ended(&folder, 1);
    let playlist = files(&folder, "m3u8").remove(0);
    let text = std::fs::read_to_string(&playlist).unwrap();
    assert!(text.matches("#EXTINF").count() >= 2 && text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    // ffmpeg reads the byte ranges as a player does, and finds all frames of the file.
    assert_eq!(complaints(&playlist), "");
    assert_eq!(video_times(&playlist).len(), video_times(&files(&folder, "mp4")[0]).len());
}

#[test]
fn what_was_written_before_a_kill_is_playable() {
    for format in ["mp4", "mkv"] {
        let nginx = open().start();
        let mut sidecar = Sidecar::start(&nginx, &rule(format, ""));
        let publisher = publish(&nginx, "show");
        let ffmpeg = sidecar.wait_running("live/show/record", 20.0);
        let folder = sidecar.media();
        let grown = |nth: usize| {
            files(&folder, format)
                .get(nth)
                .is_some_and(|file| std::fs::metadata(file).unwrap().len() > 20_000)
        };
        until("something is written", 20.0, || grown(0));
        ffmpeg.signal(Signal::SIGKILL);
        wait_ended(&folder, 1);
        until("the next file is written", 20.0, || grown(1));
        assert_good(&files(&folder, format)[0]);
        sidecar.kill();
        // The last fragment of the file may be incomplete.
        let cut_off = files(&folder, format)[1].clone();
        assert!(video_times(&cut_off).len() >= 10, "{cut_off:?}");
        assert!(entries(&folder)[1]["ended"].is_null());
        let before = video_times(&cut_off);
        // A machine that stops may leave half a fragment.
        let whole = std::fs::read(&cut_off).unwrap();
        let half: &[u8] = if format == "mp4" { b"\0\0\x20\0moof" } else { b"\x1f\x43\xb6\x75\x50\0" };
        std::fs::write(&cut_off, [&whole[..], half, &[0; 500]].concat()).unwrap();
        sidecar.start_again();
        wait_ended(&folder, 2);
        sidecar.wait_log("recording was cut off");
        // No complete fragment is lost, and the event describes the file as it is now.
        let told = sidecar.told("recording.finished");
        assert_eq!((&told["file"], &told["cut_off"]), (&cut_off.to_str().into(), &true.into()), "{told}");
        let length = cut_off.metadata().unwrap().len();
        assert!(told["bytes"] == length && length <= whole.len() as u64, "{told}: {length}");
        let after = video_times(&cut_off);
        assert!(before.starts_with(&after) && before.len() - after.len() <= 10, "{before:?} {after:?}");
        assert_good(&cut_off);
        until("a third file is written", 20.0, || grown(2));
        publisher.close();
        wait_ended(&folder, 3);
        assert_good(&files(&folder, format)[2]);
    }
}

#[test]
fn what_is_too_old_goes_and_what_nobody_recorded_stays() {
    let nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, &rule("mp4", "keep = \"60s\"\n"));
    let folder = sidecar.media();
    sidecar.kill();
    std::fs::create_dir_all(folder.join(".recordings")).unwrap();
    std::fs::create_dir_all(folder.join("live/show/2020-01-01")).unwrap();
    for (number, name, ended) in [
        (1, "live/show/2020-01-01/old.mp4", "2020-01-01T00:00:00Z"),
        (2, "live/show/new.mp4", "2999-01-01T00:00:00Z"),
    ] {
        std::fs::write(folder.join(name), "x").unwrap();
        let entry = serde_json::json!({ "file": name, "app": "live", "stream": "show", "session": "s1",
            "started": "2020-01-01T00:00:00Z", "ended": ended, "bytes": 1, "upload": null });
        std::fs::write(folder.join(format!(".recordings/{number:020}.json")), entry.to_string()).unwrap();
    }
    std::fs::write(folder.join("live/show/mine.mp4"), "x").unwrap();
    sidecar.start_again();
    until("the old one is gone", 15.0, || !folder.join("live/show/2020-01-01").exists());
    assert!(folder.join("live/show/new.mp4").exists() && folder.join("live/show/mine.mp4").exists());
    assert_eq!(entries(&folder).len(), 1);
}
