//! A ffmpeg that dies or hangs is replaced, one that cannot run is retried less and less often, and none is left behind.

use std::time::Instant;

use nix::sys::signal::Signal;
use weir_tests::harness::{Sidecar, took, until};

use super::{open, publish, rule};

const JOB: &str = "live/show/ladder";

#[test]
fn a_killed_ffmpeg_is_back_within_three_seconds_with_a_discontinuity() {
    let nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, &rule("[\"source\", \"low\"]"));
    let _publisher = publish(&nginx, "show");
    sidecar.wait_ready("live/show");
    let first = sidecar.wait_running(JOB, 10.0);
    let killed = Instant::now();
    first.signal(Signal::SIGKILL);
    let second =
        until("another ffmpeg runs", 3.0, || sidecar.ffmpegs().into_iter().find(|process| *process != first));
    took("another ffmpeg runs", killed, 3.0);
    for track in ["source", "low", "sound"] {
        let playlist = sidecar.file("show", &format!("{track}/index.m3u8"));
        until("the break is marked", 15.0, || {
            let text = std::fs::read_to_string(&playlist).unwrap();
            let (_, after) = text.split_once("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-")?;
            Some(after.contains("EXTINF"))
        });
    }
    assert_eq!(sidecar.wait_running(JOB, 10.0), second);
    let job = sidecar.find(JOB).unwrap();
    assert_eq!((&job["restarts"], job["last_exit"].as_str().unwrap()), (&1.into(), "signal: 9 (SIGKILL)"));
}

#[test]
fn a_hung_ffmpeg_is_replaced() {
    let nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, &format!("[jobs]\nstall = \"3s\"\n{}", rule("[\"source\"]")));
    let _publisher = publish(&nginx, "show");
    sidecar.wait_ready("live/show");
    let first = sidecar.wait_running(JOB, 10.0);
    first.signal(Signal::SIGSTOP);
    until("the hung one is gone", 15.0, || !first.is_alive());
    sidecar.wait_log("ffmpeg killed: no progress");
    assert_ne!(sidecar.wait_running(JOB, 15.0), first);
}

#[test]
fn what_cannot_run_is_tried_less_and_less_often() {
    let nginx = open().start();
    let sidecar =
        Sidecar::start(&nginx, &format!("[jobs]\nffmpeg = \"/bin/false\"\n{}", rule("[\"source\"]")));
    let _publisher = publish(&nginx, "show");
    let restarts = || sidecar.find(JOB).map_or(0, |job| job["restarts"].as_u64().unwrap());
    let begin = Instant::now();
    until("it was tried four times", 30.0, || restarts() >= 4);
    // The delays are 0.5, 1, 2 and 4 s, each up to a quarter shorter.
    assert!(begin.elapsed().as_secs_f64() > 7.5 * 0.75 - 1.0, "{:?}", begin.elapsed());
    // The fifth attempt has begun, and may not have ended yet.
    until("it waits again", 5.0, || {
        let job = sidecar.find(JOB)?;
        (job["state"] == "waiting" && job["last_exit"] == "exit status: 1").then_some(())
    });
    assert!(nginx.api().stream("live", "show").is_some());
}

#[test]
fn a_publisher_that_is_gone_leaves_no_process() {
    let nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, &rule("[\"source\", \"low\", \"audio\"]"));
    let publisher = publish(&nginx, "show");
    let process = sidecar.wait_running(JOB, 20.0);
    publisher.kill();
    until("no process is left", 15.0, || !process.is_alive() && sidecar.process().children().is_empty());
    until("no job is left", 5.0, || sidecar.jobs().is_empty());
    until("no socket is left", 5.0, || std::fs::read_dir(sidecar.sockets()).unwrap().count() == 0);
}

#[test]
fn a_killed_daemon_leaves_no_ffmpeg_and_comes_back_to_the_same_state() {
    let nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, &rule("[\"source\", \"low\"]"));
    let _publisher = publish(&nginx, "show");
    let other = publish(&nginx, "other");
    sidecar.wait_ready("live/show");
    sidecar.wait_ready("live/other");
    let processes = [sidecar.wait_running(JOB, 10.0), sidecar.wait_running("live/other/ladder", 10.0)];
    let sequence = || {
        let text = std::fs::read_to_string(sidecar_playlist(&sidecar)).unwrap_or_default();
        let line =
            text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:").map(str::to_owned));
        line.and_then(|number| number.parse::<u64>().ok())
    };
    let before = sequence().unwrap();
    let other_folder = sidecar.media().join("live/other");
    sidecar.kill();
    for process in processes {
        until("ffmpeg dies with the daemon", 3.0, || !process.is_alive());
    }
    other.close();
    until("the other stream is gone", 5.0, || nginx.api().stream("live", "other").is_none());
    sidecar.start_again();
    sidecar.wait_running(JOB, 20.0);
    until("what is no longer live is cleared away", 10.0, || !other_folder.exists());
    let playlist = sidecar_playlist(&sidecar);
    until("the playlist goes on with higher numbers", 15.0, || {
        let text = std::fs::read_to_string(&playlist).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"))?;
        Some(line.parse::<u64>().unwrap() > before)
    });
    assert_eq!(sidecar.jobs().len(), 1);
}

#[test]
fn a_restarted_daemon_keeps_its_viewers() {
    let nginx = open().start();
    let config = rule("[\"source\", \"low\"]").replace("linger = \"0s\"", "linger = \"1m\"");
    let mut sidecar = Sidecar::start(&nginx, &config);
    let _publisher = publish(&nginx, "show");
    sidecar.wait_ready("live/show");
    let playlist = sidecar_playlist(&sidecar);
    // Asserts that the playlist and each file that it names exist, because a player may request them at any moment.
    let numbers = || {
        let text = std::fs::read_to_string(&playlist).unwrap();
        let names = text.lines().filter_map(|line| match line.strip_prefix("#EXT-X-MAP:URI=\"") {
            Some(init) => init.strip_suffix('"'),
            None => line.ends_with(".m4s").then_some(line),
        });
        let mut numbers = Vec::new();
        for name in names {
            assert!(playlist.with_file_name(name).exists(), "{name} is not there:\n{text}");
            numbers.extend(name.strip_suffix(".m4s").map(|number| number.parse::<u64>().unwrap()));
        }
        numbers
    };
    let last = numbers().pop().unwrap();
    sidecar.kill();
    sidecar.start_again();
    until("what follows has higher numbers", 30.0, || numbers()[0] > last);
    until("the master playlist is there", 15.0, || {
        std::fs::read_to_string(sidecar.file("show", "master.m3u8")).unwrap().matches("STREAM-INF").count()
            == 2
    });
}

fn sidecar_playlist(sidecar: &Sidecar) -> std::path::PathBuf {
    sidecar.file("show", "source/index.m3u8")
}

#[test]
fn jobs_are_listed_read_and_restarted_from_the_command_line() {
    let nginx = open().start();
    let mut sidecar = Sidecar::start(&nginx, &rule("[\"source\"]"));
    let _publisher = publish(&nginx, "show");
    let first = sidecar.wait_running(JOB, 20.0);
    let (status, text, _) = sidecar.job(&["list"]);
    assert!(status == 0 && text.contains(JOB) && text.contains("running"), "{text}");
    assert_eq!(sidecar.job(&["restart", JOB]).0, 0);
    until("it was ended", 10.0, || !first.is_alive());
    assert_ne!(sidecar.wait_running(JOB, 15.0), first);
    let (status, text, _) = sidecar.job(&["logs", JOB, "--json"]);
    assert!(status == 0 && text.contains("\"lines\""), "{text}");
    let (status, _, errors) = sidecar.job(&["logs", "live/nobody/ladder"]);
    assert_eq!((status, errors.as_str()), (1, "weir: no such job\n"));
}

#[test]
fn twenty_streams_that_are_only_copied_take_little() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, &rule("[\"source\"]"));
    let _publishers: Vec<_> = (0..20).map(|nth| publish(&nginx, &format!("s{nth}"))).collect();
    for nth in 0..20 {
        sidecar.wait_ready(&format!("live/s{nth}\""));
    }
    let moves =
        |job: &serde_json::Value| job["state"] == "running" && job["progress"]["out_time_us"].is_i64();
    until("twenty jobs run", 60.0, || sidecar.jobs().iter().filter(|job| moves(job)).count() == 20);
    let status = std::fs::read_to_string(format!("/proc/{}/status", sidecar.process().0)).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: u64 = rss.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 40_000, "{kilobytes} kB");
    assert!(sidecar.jobs().iter().all(|job| job["restarts"] == 0));
}

#[test]
fn a_folder_that_cannot_be_written_is_told_and_tried_again() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, &rule("[\"source\"]").replace("@MEDIA@", "/proc/nowhere"));
    let _publisher = publish(&nginx, "show");
    sidecar.wait_log("job cannot run: ");
    until("the job says why", 5.0, || {
        Some(sidecar.find(JOB)?["last_error"].as_str()?.starts_with("job cannot run: "))
    });
    // The retries have delays, so the line appears at most twice.
    assert!(sidecar.log().matches("job cannot run: ").count() <= 2);
}

#[test]
fn an_encoder_that_does_not_work_here_is_replaced() {
    let nginx = open().start();
    let rule = rule("[\"source\", \"low\"]").replace("\"ultrafast\"", "\"p4\"\nencoder = \"h264_nvenc\"");
    let sidecar = Sidecar::start(&nginx, &rule);
    sidecar.wait_log("h264_nvenc does not work here: using libx264");
    let _publisher = publish(&nginx, "show");
    sidecar.wait_ready("live/show");
}
