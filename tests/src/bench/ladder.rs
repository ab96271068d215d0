//! Compares one ffmpeg that decodes once for a ladder with `exec_push` and one ffmpeg per rung. Also measures how soon
//! a ladder can be played, and the processor time of the daemon itself.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::report::Report;
use super::table::{self, Arm, Table, Target, median};
use crate::harness::nginx::Config;
use crate::harness::process::Process;
use crate::harness::{Nginx, Publisher, Sidecar, ports, products, until};

const ROUNDS: usize = 3;
/// Duration of each measurement, after a time to settle.
const WINDOW: Duration = Duration::from_secs(10);
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Lines and bit/s of each rung.
const RUNGS: [(u32, u32); 3] = [(720, 2_800_000), (480, 1_400_000), (360, 800_000)];
const JOBS: usize = 20;

/// Returns ten seconds of 1080p30 with a keyframe per two seconds; made once.
fn source() -> PathBuf {
    let path = ports::shared_folder().join("ladder-1080p30.flv");
    if !path.exists() {
        let unfinished = path.with_extension("unfinished.flv");
        let status = Command::new(products::ffmpeg("ffmpeg"))
            .args(["-y", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=30:duration=10"])
            .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=10"])
            .args(["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-b:v", "5M", "-g", "60"])
            .args(["-sc_threshold", "0", "-c:a", "aac", "-b:a", "128k"])
            .arg(&unfinished)
            .status()
            .unwrap();
        assert!(status.success(), "ffmpeg could not make the source");
        std::fs::rename(unfinished, &path).unwrap();
    }
    path
}

/// Publishes the file repeatedly in real time; killed when dropped.
struct Encoder(Child);

impl Encoder {
    fn start(source: &Path, nginx: &Nginx) -> Self {
        let command = Command::new(products::ffmpeg("ffmpeg"))
            .args(["-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i"])
            .arg(source)
            .args(["-c", "copy", "-f", "flv", &format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Self(command.unwrap())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the processor time of a process so far, in seconds: utime and stime of `/proc/PID/stat`.
fn processor_time(process: Process) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.0)).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: f64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// Returns the processor seconds that the processes take per second of media.
fn rate(processes: &[Process]) -> f64 {
    let sum = || processes.iter().map(|process| processor_time(*process)).sum::<f64>();
    let (begin, before) = (Instant::now(), sum());
    until("the window is over", 60.0, || begin.elapsed() >= WINDOW);
    let took = (sum() - before) / begin.elapsed().as_secs_f64();
    assert!(processes.iter().all(|process| process.is_alive()), "one of {processes:?} has ended");
    took
}

/// Starts nginx-rtmp with one ffmpeg per rung.
fn with_exec_push() -> Nginx {
    let mut pushes = String::new();
    for (height, bitrate) in RUNGS {
        let (most, buffer) = (bitrate * 11 / 10, bitrate * 3 / 2);
        write!(
            pushes,
            "exec_push {} -nostdin -v error -i rtmp://127.0.0.1:@RTMP@/live/$name -vf scale=-2:{height},format=yuv420p
             -c:v libx264 -preset veryfast -b:v {bitrate} -maxrate {most} -bufsize {buffer} -g 60 -keyint_min 60
             -sc_threshold 0 -c:a copy -f flv rtmp://127.0.0.1:@RTMP@/ladder/${{name}}_{height}p;\n",
            products::ffmpeg("ffmpeg").display()
        )
        .unwrap();
    }
    let hls = "hls on; hls_path @DIR@/hls; hls_fragment 2s; hls_playlist_length 20s;";
    let mut nginx = Config::stock().app("live", &pushes).app("ladder", hls).start();
    // nginx-rtmp kills its ffmpegs, and nginx logs unknown children.
    nginx.allow("unknown process");
    nginx
}

/// The two applications for Weir.
fn with_weir() -> Nginx {
    Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .with_api()
        .app("live", "weir_publish open;")
        .app("ladder", "weir_publish key;")
        .start()
}

const LADDER: &str = "[ladder.l]\nrungs = [\"720p\", \"480p\", \"360p\"]\n[[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\n";

/// Waits until all renditions are live.
fn wait_renditions(nginx: &Nginx, count: usize) {
    until("all renditions are published", 60.0, || nginx.log_lines("publish: name='show_").len() >= count);
}

fn peer_round(source: &Path) -> f64 {
    let nginx = with_exec_push();
    let _encoder = Encoder::start(source, &nginx);
    wait_renditions(&nginx, RUNGS.len());
    let ffmpegs: Vec<Process> = nginx.master().descendants();
    let ffmpegs: Vec<Process> = ffmpegs
        .into_iter()
        .filter(|process| process.title().contains("exec") || process.title().contains("ffmpeg"))
        .collect();
    assert_eq!(ffmpegs.len(), RUNGS.len(), "{:?}", ffmpegs.iter().map(|p| p.title()).collect::<Vec<_>>());
    rate(&ffmpegs)
}

fn our_round(source: &Path) -> f64 {
    let nginx = with_weir();
    let rule = format!("{LADDER}deliver = \"rtmp\"\nto_app = \"ladder\"\nsecret_file = \"@DIR@/secret\"\n");
    let mut sidecar = Sidecar::start(&nginx, &rule);
    let _encoder = Encoder::start(source, &nginx);
    sidecar.wait_ready("live/show");
    let ffmpeg = sidecar.wait_running("live/show/ladder", 30.0);
    // The daemon publishes the output of ffmpeg, so its time counts too.
    rate(&[ffmpeg, sidecar.process()])
}

/// A source of 1080p30 to three rungs.
pub(super) fn cpu() -> Report {
    let source = source();
    let mut arms =
        vec![Arm::new("exec_push, an ffmpeg a rung"), Arm::new("the same once more"), Arm::new("weir serve")];
    table::take_turns(ROUNDS, &mut arms, &mut [false, false, true], |is_ours| {
        1e6 * if *is_ours { our_round(&source) } else { peer_round(&source) }
    });
    table::report(&Table { arms, targets: vec![Target::AtMost { ours: 2, peer: 0, ratio: 0.75 }] })
}

/// Measures the time from the publish until all renditions can be played, over HLS in both cases.
pub(super) fn ready() -> Report {
    let source = source();
    let mut arms = vec![Arm::new("exec_push, nginx-rtmp's HLS"), Arm::new("weir serve, files")];
    for _ in 0..ROUNDS {
        let nginx = with_exec_push();
        let playlist = |height: u32| nginx.path("hls").join(format!("show_{height}p.m3u8"));
        let encoder = Encoder::start(&source, &nginx);
        nginx.wait_log("publish: name='show'");
        let begin = Instant::now();
        until("all playlists are there", 60.0, || RUNGS.iter().all(|(height, _)| playlist(*height).exists()));
        arms[0].all.push(begin.elapsed().as_secs_f64() * 1e6);
        drop((encoder, nginx));

        let nginx = with_weir();
        let sidecar = Sidecar::start(&nginx, &format!("{LADDER}folder = \"@MEDIA@\"\n"));
        let _encoder = Encoder::start(&source, &nginx);
        nginx.wait_log("publish: name='show'");
        let begin = Instant::now();
        sidecar.wait_ready("live/show");
        arms[1].all.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    for arm in &mut arms {
        arm.rounds = arm.all.clone();
    }
    table::report(&Table { arms, targets: Vec::new() })
}

fn resident_kilobytes(process: Process) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.0)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Measures the daemon's processor time for a job in which ffmpeg only copies.
pub(super) fn daemon() -> Report {
    let nginx = Config::weir().with_api().app("live", "weir_publish open;").start();
    let rule = "[ladder.l]\nrungs = [\"source\"]\n[[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\nfolder = \"@MEDIA@\"\n";
    let sidecar = Sidecar::start(&nginx, rule);
    let empty = (resident_kilobytes(sidecar.process()), rate(&[sidecar.process()]));
    let publishers: Vec<Publisher> =
        (0..JOBS).map(|nth| Publisher::to(nginx.rtmp(), &format!("live/s{nth}")).start().started()).collect();
    for nth in 0..JOBS {
        sidecar.wait_ready(&format!("live/s{nth}\""));
    }
    let rates: Vec<f64> = (0..ROUNDS).map(|_| rate(&[sidecar.process()])).collect();
    let full = (resident_kilobytes(sidecar.process()), median(&rates));
    drop(publishers);
    let a_job = |full: f64, empty: f64| (full - empty) / JOBS as f64;
    Report::of(format!(
        "| weir serve | memory | processor, of a core |\n|---|---|---|\n| no job | {:.1} MB | {:.2} % |\n| {JOBS} jobs | {:.1} MB | {:.2} % |\n\
         | each job | {:.0} kB | {:.3} % |\n",
        empty.0 / 1024.0,
        empty.1 * 100.0,
        full.0 / 1024.0,
        full.1 * 100.0,
        a_job(full.0, empty.0),
        a_job(full.1, empty.1) * 100.0
    ))
}
