//! Too little free space for HLS, DASH and record: they stop before the disk is full, and resume by themselves; live streams continue.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Nginx, Player, Publisher, Silent, Tmpfs, files, until, until_ok};

/// Size of the disk in kilobytes.
const DISK: usize = 16_384;

fn writing(disk: &Tmpfs, guard: &str, writer: &str) -> Config {
    let disk = disk.path().display();
    let app = match writer {
        "hls" => format!("hls on; hls_path {disk}/hls; hls_fragment 1s;"),
        "dash" => format!("dash on; dash_path {disk}/dash; dash_fragment 1s;"),
        _ => format!("record all; record_path {disk}; record_unique on; record_interval 2s;"),
    };
    Config::weir().with_api().rtmp(guard).app("live", &format!("{app} weir_min_free 8m;")).app("other", "")
}

fn written(disk: &Tmpfs) -> BTreeSet<(PathBuf, u64)> {
    let files = files::below(disk.path()).into_iter().filter(|path| !path.ends_with("filler"));
    files.filter_map(|path| Some((path.clone(), std::fs::metadata(&path).ok()?.len()))).collect()
}

fn written_of(disk: &Tmpfs, name: &str) -> Vec<(PathBuf, u64)> {
    written(disk).into_iter().filter(|(path, _)| path.to_string_lossy().contains(name)).collect()
}

#[track_caller]
fn wait_written(disk: &Tmpfs) {
    let before = written(disk);
    until("something is written", 15.0, || written(disk) != before);
}

/// Waits until nothing is written for two seconds.
#[track_caller]
fn wait_stopped(disk: &Tmpfs) {
    until("nothing is written", 15.0, || {
        let before = written(disk);
        until_ok(2.0, || written(disk) != before).is_none()
    });
}

#[track_caller]
fn stops_and_goes_on(writer: &str) {
    let disk = Tmpfs::mount(DISK);
    let nginx = writing(&disk, "", writer).start();
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let player = Player::start(nginx.rtmp(), "live/show");
    wait_written(&disk);
    for round in 1..=2 {
        disk.take(10_240);
        nginx.wait_log("HLS, DASH and record of application \"live\" stopped");
        wait_stopped(&disk);
        player.wait_video(10);
        // A new publisher is live as well, and its files are not written either.
        let name = format!("late-{round}");
        let late = Publisher::to(nginx.rtmp(), &format!("live/{name}")).start().started();
        late.send_more(1500);
        assert_eq!(written_of(&disk, &name), [] as [(PathBuf, u64); 0]);
        disk.empty();
        until("they go on", 10.0, || nginx.log_lines("of application \"live\" resumed").len() == round);
        wait_written(&disk);
        until("the late one is written, too", 15.0, || !written_of(&disk, &name).is_empty());
        assert_eq!(nginx.log_lines("of application \"live\" stopped").len(), round);
        late.close();
    }
    for error in ["No space left", "Bad file descriptor"] {
        assert_eq!(nginx.log_lines(error), [""; 0]);
    }
    assert!(!publisher.is_closed());
    assert!(player.seen().gap().as_secs_f64() < 2.0, "{:?}", player.seen().gap());
}

#[test]
fn hls_stops_and_goes_on() {
    stops_and_goes_on("hls");
}

#[test]
fn dash_stops_and_goes_on() {
    stops_and_goes_on("dash");
}

#[test]
fn record_stops_and_goes_on() {
    stops_and_goes_on("record");
}

/// The disk becomes full between two frames.
#[track_caller]
fn stops_at_once(writer: &str) {
    let disk = Tmpfs::mount(DISK);
    let nginx = writing(&disk, "", writer).start();
    let publishers =
        ["live/show", "live/short"].map(|path| Publisher::to(nginx.rtmp(), path).start().started());
    let player = Player::start(nginx.rtmp(), "live/show");
    wait_written(&disk);
    disk.fill();
    nginx.wait_log("HLS, DASH and record of application \"live\" stopped");
    wait_stopped(&disk);
    for error in ["No space left", "Bad file descriptor"] {
        assert_eq!(nginx.log_lines(error), [""; 0]);
    }
    // The worker survives the end of a stream even then.
    let [show, short] = publishers;
    short.close();
    player.wait_video(10);
    disk.empty();
    nginx.wait_log("of application \"live\" resumed");
    wait_written(&disk);
    player.wait_video(10);
    assert_eq!(nginx.log_lines("Bad file descriptor"), [""; 0]);
    assert!(!show.is_closed());
    assert!(player.seen().gap().as_secs_f64() < 2.0, "{:?}", player.seen().gap());
}

#[test]
fn hls_stops_where_a_disk_is_full_at_once() {
    stops_at_once("hls");
}

#[test]
fn dash_stops_where_a_disk_is_full_at_once() {
    stops_at_once("dash");
}

#[test]
fn record_stops_where_a_disk_is_full_at_once() {
    stops_at_once("record");
}

/// The application itself also continues, without its files.
#[test]
fn a_file_system_that_does_not_answer_stops_the_files_of_its_application_alone() {
    let disk = Tmpfs::mount(DISK);
    let folder = disk.path().join("live");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    let record = format!("record all; record_path {}; record_unique on;", folder.display());
    let nginx = Config::weir()
        .with_api()
        .app("live", &format!("{record} weir_min_free 1m;"))
        .app("other", "hls on; hls_path @DIR@/other; hls_fragment 1s;")
        .start();
    let publish = |path: &str| Publisher::to(nginx.rtmp(), path).start().started();
    let _publishers = ["live/show", "other/show"].map(publish);
    let players = ["live/show", "other/show"].map(|path| Player::start(nginx.rtmp(), path));
    wait_written(&disk);
    let silent = Silent::over(disk.path());
    let line = nginx.wait_log("HLS, DASH and record of application \"live\" stopped");
    assert!(line.contains(&format!("the file system of {} does not answer", folder.display())), "{line}");
    players.iter().for_each(|player| player.wait_video(60));
    let _late = publish("live/late");
    Player::start(nginx.rtmp(), "live/late").wait_video(10);
    let health = nginx.api().get("/v1/health").expect(200);
    assert_eq!(
        health["reasons"],
        serde_json::json!(["a file system does not answer: application \"live\" writes no files"])
    );
    let playlist = || std::fs::read_to_string(nginx.path("other/show.m3u8")).unwrap_or_default();
    let before = playlist();
    until("HLS of the other application goes on", 10.0, || playlist() != before);
    drop(silent);
    nginx.wait_log("of application \"live\" resumed");
    wait_written(&disk);
    until("the late one is recorded, too", 15.0, || !written_of(&disk, "late").is_empty());
    for player in &players {
        assert!(player.seen().gap().as_secs_f64() < 2.0, "{:?}", player.seen().gap());
    }
}

#[track_caller]
fn unguarded(disk: &Tmpfs, writer: &str) -> (Nginx, Publisher) {
    let nginx = writing(disk, "weir_guard off;", writer).start();
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    wait_written(disk);
    disk.fill();
    (nginx, publisher)
}

#[test]
fn without_the_guard_record_goes_on_with_a_closed_file() {
    let disk = Tmpfs::mount(DISK);
    let (nginx, _publisher) = unguarded(&disk, "record");
    nginx.wait_log("Bad file descriptor");
}

#[test]
fn without_the_guard_a_full_disk_fails_hls() {
    let disk = Tmpfs::mount(DISK);
    let (nginx, _publisher) = unguarded(&disk, "hls");
    nginx.wait_log("No space left");
}

#[test]
fn without_the_guard_a_full_disk_stops_the_worker_of_dash() {
    let disk = Tmpfs::mount(DISK);
    let (mut nginx, _publisher) = unguarded(&disk, "dash");
    let player = Player::start(nginx.rtmp(), "live/show");
    until("nothing comes any more", 20.0, || {
        let before = player.seen().video;
        until_ok(3.0, || player.seen().video > before).is_none()
    });
    // The worker is stuck and does not react to a quit signal.
    let worker = nginx.workers()[0];
    nginx.kill_worker(worker);
}

/// A container's `/dev/shm` has 64 MB, and the default leaves most of it to HLS.
#[test]
fn the_default_is_a_share_of_a_small_file_system() {
    let disk = Tmpfs::mount(65_536);
    let app = format!("hls on; hls_path {}/hls; hls_fragment 1s;", disk.path().display());
    let nginx = Config::weir().with_api().app("live", &app).start();
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    for _ in 0..3 {
        wait_written(&disk);
    }
    assert_eq!(nginx.log_lines("of application \"live\" stopped"), [""; 0]);
    disk.take(58_000);
    let line = nginx.wait_log("HLS, DASH and record of application \"live\" stopped");
    assert!(nginx.log().contains("\"weir_min_free\" asks for 8192 KB"), "{line:?}");
    wait_stopped(&disk);
    disk.empty();
    nginx.wait_log("of application \"live\" resumed");
    wait_written(&disk);
}
