//! ffmpeg, librtmp and GStreamer publish with a key, are played, and reconnect with the same key after each kind of end; the guard refuses
//! nothing of them.

use std::process::{Child, Command};

use nix::sys::signal::Signal;
use tempfile::NamedTempFile;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Make, Nginx, Player, ffmpeg, files, products, until};

use super::{assert_nothing_refused, keyed, url, wait_gone, wait_on_air};

/// Returns the kinds of streams in a file or playlist, as ffprobe sees them.
#[track_caller]
fn kinds(path: &str) -> Vec<String> {
    let lines = ffmpeg::probe(path, &["-show_entries", "stream=codec_name"]);
    let mut kinds: Vec<_> = lines.lines().map(|line| line.trim_end_matches(',').to_owned()).collect();
    kinds.sort();
    kinds.dedup();
    kinds.retain(|kind| !kind.is_empty());
    kinds
}

/// rtmpdump, which uses librtmp, as a player; killed when dropped.
struct Rtmpdump {
    child: Child,
    file: NamedTempFile,
}

impl Rtmpdump {
    fn play(nginx: &Nginx, name: &str) -> Self {
        let file = NamedTempFile::new().unwrap();
        let url = format!("rtmp://127.0.0.1:{}/live/{name}", nginx.rtmp());
        let child = Command::new(products::tool("/usr/bin/rtmpdump"))
            .args(["--live", "--quiet", "--rtmp", &url, "--flv"])
            .arg(file.path())
            .spawn()
            .unwrap();
        Self { child, file }
    }
}

impl Drop for Rtmpdump {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays with rtmpdump for a second or two, and checks the recording.
#[track_caller]
fn play_with_rtmpdump(nginx: &Nginx, name: &str) {
    let mut rtmpdump = Rtmpdump::play(nginx, name);
    let length = || rtmpdump.file.as_file().metadata().unwrap().len();
    until("rtmpdump writes", 15.0, || length() > 20_000);
    // On SIGINT, rtmpdump completes its file.
    Process(rtmpdump.child.id() as i32).signal(Signal::SIGINT);
    until("rtmpdump ends", 5.0, || rtmpdump.child.try_wait().unwrap());
    let path = rtmpdump.file.path();
    assert_eq!(kinds(&path.to_string_lossy()), ["aac", "h264"]);
    let times = ffmpeg::video_times(path);
    assert!(times.len() >= 10, "{times:?}");
}

/// Asserts that a stream is live: a player gets it, rtmpdump gets it, and its HLS can be played.
#[track_caller]
pub(super) fn assert_on_air(nginx: &Nginx, name: &str) {
    wait_on_air(nginx, name);
    let player = Player::start(nginx.rtmp(), &format!("live/{name}"));
    player.wait_video(20);
    assert!(player.seen().audio > 10);
    play_with_rtmpdump(nginx, name);
    let playlist = nginx.path(&format!("hls/{name}.m3u8"));
    until("HLS", 15.0, || files::segments(&playlist).len() >= 2);
    assert_eq!(kinds(&playlist.to_string_lossy()), ["aac", "h264"]);
}

#[track_caller]
fn publish_play_and_end(make: Make) {
    let nginx = keyed().workers(2).main("rtmp_auto_push on;").start();
    let url = url(&nginx, "show");
    let encoder = make.publish(&url);
    assert_on_air(&nginx, "show");
    encoder.stop();
    wait_gone(&nginx, "show");
    // The encoder reconnects with the same key immediately, also after an end without a goodbye.
    for _ in 0..2 {
        let encoder = make.publish(&url);
        wait_on_air(&nginx, "show");
        encoder.kill();
        wait_gone(&nginx, "show");
    }
    // The key is an argument.
    let (server, key) = url.rsplit_once('/').unwrap();
    let encoder = make.publish(&format!("{server}/show?key={key}"));
    wait_on_air(&nginx, "show");
    encoder.stop();
    wait_gone(&nginx, "show");
    assert_nothing_refused(&nginx);
}

#[test]
fn ffmpeg_publishes_and_is_played() {
    publish_play_and_end(Make::Ffmpeg);
}

#[test]
fn gstreamers_rtmp2sink_publishes_and_is_played() {
    publish_play_and_end(Make::Rtmp2sink);
}

#[test]
fn librtmp_publishes_and_is_played() {
    publish_play_and_end(Make::Rtmpsink);
}

#[test]
fn all_beside_one_another_come_back_after_the_death_of_the_worker() {
    let mut nginx = keyed().start();
    let shows: Vec<_> = Make::ALL.into_iter().map(|make| (make, format!("{make:?}"))).collect();
    let urls: Vec<_> = shows.iter().map(|(_, name)| url(&nginx, name)).collect();
    let start = |urls: &[String]| -> Vec<_> {
        shows.iter().zip(urls).map(|((make, _), url)| make.publish(url)).collect()
    };
    let encoders = start(&urls);
    shows.iter().for_each(|(_, name)| drop(wait_on_air(&nginx, name)));
    nginx.kill_worker(nginx.workers()[0]);
    for mut encoder in encoders {
        encoder.wait_ended(15.0);
    }
    let encoders = start(&urls);
    for (_, name) in &shows {
        wait_on_air(&nginx, name);
        Player::start(nginx.rtmp(), &format!("live/{name}")).wait_video(5);
    }
    for (encoder, (_, name)) in encoders.into_iter().zip(&shows) {
        encoder.stop();
        wait_gone(&nginx, name);
    }
    assert_nothing_refused(&nginx);
}
