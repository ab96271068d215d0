//! `rtmp_auto_push on;`: a player on any worker gets any stream, during reloads and after the death of a worker. The relay between workers
//! is not listed as a stream, ends with the publisher, and admits nobody else.

use std::collections::HashSet;
use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Nginx, Outcome, Player, Publisher, ffmpeg, files, until, until_ok};

use super::{BAD_NAME, keyed, wait_gone, wait_live, worker_of};

fn everywhere() -> Config {
    keyed().workers(4).main("rtmp_auto_push on;")
}

#[track_caller]
fn publish_on(nginx: &Nginx, worker: Process, path: &str) -> Publisher {
    nginx.on_worker(worker, || Publisher::to(nginx.rtmp(), path).start().started())
}

#[track_caller]
fn play_on(nginx: &Nginx, worker: Process, path: &str) -> Player {
    nginx.on_worker(worker, || {
        let player = Player::start(nginx.rtmp(), path);
        player.wait_playing();
        player
    })
}

/// Starts a player on each worker, and waits until all of them get media.
#[track_caller]
fn play_everywhere(nginx: &Nginx, path: &str) -> Vec<Player> {
    let players: Vec<_> = nginx.workers().into_iter().map(|worker| play_on(nginx, worker, path)).collect();
    for player in &players {
        player.wait_video(3);
    }
    players
}

/// Returns the workers that have the listed players of `live/show`.
fn players_workers(nginx: &Nginx) -> HashSet<i32> {
    let answer = nginx.api().get("/v1/streams/live/show/players").expect(200);
    let pid = |player: &Value| player["worker_pid"].as_i64().unwrap() as i32;
    answer["players"].as_array().unwrap().iter().map(pid).collect()
}

fn pids(workers: &[Process]) -> HashSet<i32> {
    workers.iter().map(|worker| worker.0).collect()
}

fn path(nginx: &Nginx) -> String {
    format!("live/{}", nginx.api().create_key("live", "show").key)
}

#[test]
fn a_stream_is_played_from_every_worker_and_listed_once() {
    let nginx = everywhere().app("open", "weir_publish open;").app("plain", "").start();
    let workers = nginx.workers();
    let path = path(&nginx);
    let _publishers = [&*path, "open/show", "plain/show"].map(|path| publish_on(&nginx, workers[1], path));
    for app in ["live", "open", "plain"] {
        let _players = play_everywhere(&nginx, &format!("{app}/show"));
        let stream = until("all players are counted", 5.0, || {
            nginx.api().stream(app, "show").filter(|stream| stream["viewers"]["rtmp"] == 4)
        });
        assert_eq!(stream["publisher"]["worker_pid"], workers[1].0, "{app}");
        if app == "live" {
            assert_eq!(players_workers(&nginx), pids(&workers));
        }
    }
    let streams = nginx.api().streams();
    assert_eq!(streams.len(), 3, "{streams:?}");
    // The name is taken in every worker.
    for worker in workers {
        let refused = nginx.on_worker(worker, || {
            let publisher = Publisher::to(nginx.rtmp(), &path).start();
            publisher.outcome();
            publisher
        });
        refused.refused(BAD_NAME);
    }
}

#[test]
fn who_plays_before_the_publish_sees_it_too() {
    let nginx = everywhere().start();
    let workers = nginx.workers();
    let path = path(&nginx);
    let players = workers.iter().map(|worker| play_on(&nginx, *worker, "live/show")).collect::<Vec<_>>();
    let _publisher = publish_on(&nginx, workers[2], &path);
    for player in &players {
        player.wait_video(3);
    }
}

#[test]
fn after_a_reload_new_workers_have_it_from_the_old() {
    let nginx = everywhere().start();
    let path = path(&nginx);
    let publisher = publish_on(&nginx, nginx.workers()[0], &path);
    play_everywhere(&nginx, "live/show");
    for _ in 0..2 {
        nginx.reload();
        let players = play_everywhere(&nginx, "live/show");
        assert_eq!(players.len(), 4);
        let old = worker_of(&nginx, "show");
        assert!(nginx.draining().contains(&Process(old)), "{old} is not draining");
        assert!(!publisher.is_closed());
        assert_eq!(nginx.api().streams().len(), 1);
        drop(players);
    }
    until("only the publisher's old worker is left", 10.0, || nginx.draining().len() == 1);
    publisher.close();
    wait_gone(&nginx.api(), "live", "show");
    until("the old worker ends", 10.0, || nginx.draining().is_empty());
    // The next stream comes from a new worker.
    let _publisher = publish_on(&nginx, nginx.workers()[3], &path);
    play_everywhere(&nginx, "live/show");
}

#[test]
fn five_reloads_end_no_worker_with_a_publisher() {
    let nginx = everywhere().start();
    let api = nginx.api();
    let publishers: Vec<_> = (0..4)
        .map(|n| {
            let key = api.create_key("live", &format!("show{n}")).key;
            publish_on(&nginx, nginx.workers()[n], &format!("live/{key}"))
        })
        .collect();
    let first = pids(&nginx.workers());
    for round in 0..5 {
        nginx.reload();
        let show = format!("live/show{}", round % 4);
        play_on(&nginx, nginx.workers()[round % 4], &show).wait_video(3);
    }
    assert!(publishers.iter().all(|publisher| !publisher.is_closed()));
    until("only the first workers are left", 10.0, || pids(&nginx.draining()) == first);
    assert_eq!(api.streams().len(), 4);
    for publisher in publishers {
        publisher.close();
    }
    until("the old workers end", 10.0, || nginx.draining().is_empty());
}

#[test]
fn a_worker_in_a_dead_ones_place_has_it() {
    let mut nginx = everywhere().start();
    let path = path(&nginx);
    let before = nginx.workers();
    let publisher = publish_on(&nginx, before[0], &path);
    let stays = play_on(&nginx, before[1], "live/show");
    let goes = play_on(&nginx, before[2], "live/show");
    for victim in [before[2], before[3]] {
        nginx.kill_worker(victim);
    }
    goes.wait_closed(5.0);
    play_everywhere(&nginx, "live/show");
    stays.wait_video(3);
    assert!(!publisher.is_closed());
    // The killed worker has the publisher: its stream ends, and the name is free in every worker.
    nginx.kill_worker(before[0]);
    publisher.wait_closed(5.0);
    let _again = publish_on(&nginx, nginx.workers()[2], &path);
    play_everywhere(&nginx, "live/show");
    stays.wait_video(3);
}

#[test]
fn with_its_publisher_a_stream_ends_everywhere() {
    let nginx = everywhere().start();
    let path = path(&nginx);
    let workers = nginx.workers();
    let stays = play_on(&nginx, workers[3], "live/show");
    for round in 0..6 {
        let publisher = publish_on(&nginx, workers[round % 4], &path);
        let player = play_on(&nginx, workers[(round + 1) % 4], "live/show");
        player.wait_video(3);
        stays.wait_video(3);
        if round % 2 == 0 {
            publisher.close();
        } else {
            publisher.kill();
        }
        // The next publisher comes immediately, to another worker, which has received the stream from this one.
        wait_gone(&nginx.api(), "live", "show");
    }
    assert!(nginx.log_lines("already publishing").is_empty());
}

#[test]
fn dropped_in_one_worker_it_ends_in_all() {
    let nginx = everywhere().start();
    let path = path(&nginx);
    let workers = nginx.workers();
    let publisher = publish_on(&nginx, workers[0], &path);
    let players = play_everywhere(&nginx, "live/show");
    let answer = nginx.on_worker(workers[2], || nginx.api().delete("/v1/streams/live/show"));
    assert_eq!(answer.expect(200)["dropped"], 1);
    publisher.wait_closed(1.0);
    wait_gone(&nginx.api(), "live", "show");
    let still = || players.iter().map(|player| player.seen().video).sum::<usize>();
    until("no media comes any more", 5.0, || {
        let before = still();
        until_ok(0.3, || still() > before).is_none()
    });
}

#[test]
fn hls_is_written_by_the_publishers_worker_alone() {
    let hls = "hls on; hls_path @DIR@/hls; hls_fragment 1s; hls_playlist_length 3s; hls_cleanup off;";
    let nginx = everywhere().app("hls", &format!("weir_publish open; {hls}")).start();
    let publisher = publish_on(&nginx, nginx.workers()[1], "hls/show");
    let _players = play_everywhere(&nginx, "hls/show");
    let (folder, playlist) = (nginx.path("hls"), nginx.path("hls/show.m3u8"));
    let sequence = || -> Option<u64> {
        let text = files::text(&playlist);
        text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")?.parse().ok())
    };
    let mut writers = HashSet::new();
    let in_folder = |file: &String| file.starts_with(&*folder.to_string_lossy());
    until("the playlist has moved on", 15.0, || {
        writers
            .extend(nginx.workers().into_iter().filter(|worker| worker.open_files().iter().any(in_folder)));
        sequence() >= Some(2)
    });
    assert_eq!(writers, HashSet::from([nginx.workers()[1]]));
    assert!(!publisher.is_closed());
    let listed: Vec<u64> = files::segments(&playlist)
        .iter()
        .map(|(name, seconds)| {
            assert!((0.4..1.6).contains(seconds), "{name} of {seconds} s");
            name.trim_start_matches("show-").trim_end_matches(".ts").parse().unwrap()
        })
        .collect();
    assert!(listed.windows(2).all(|pair| pair[1] == pair[0] + 1), "{listed:?}");
    // The fragments follow each other without a gap, and no frame appears twice.
    let times: Vec<f64> = (0..listed[0] + listed.len() as u64)
        .flat_map(|n| ffmpeg::video_times(&folder.join(format!("show-{n}.ts"))))
        .collect();
    assert!(times.len() >= 60, "{times:?}");
    for pair in times.windows(2) {
        assert!((0.02..0.12).contains(&(pair[1] - pair[0])), "{pair:?} in {times:?}");
    }
}

/// Returns the abstract names of the sockets that a worker listens on.
fn doors(worker: Process) -> Vec<Vec<u8>> {
    let sockets: HashSet<_> = worker.open_files().into_iter().collect();
    let listed = fs::read_to_string("/proc/net/unix").unwrap();
    listed
        .lines()
        .filter_map(|line| {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let name = fields.get(7)?.strip_prefix('@').filter(|name| name.len() == 5)?;
            // The flag `__SO_ACCEPTCON` means that the socket listens.
            (fields[3] == "00010000" && sockets.contains(&format!("socket:[{}]", fields[6])))
                .then(|| name.as_bytes().to_vec())
        })
        .collect()
}

#[test]
fn a_stranger_at_a_workers_socket_is_sent_away() {
    let nginx = everywhere().start();
    let path = path(&nginx);
    let _publisher = publish_on(&nginx, nginx.workers()[0], &path);
    let players = play_everywhere(&nginx, "live/show");
    for worker in nginx.workers() {
        let names = doors(worker);
        assert_eq!(names.len(), 1, "{names:?}");
        for path in [path.as_str(), "live/stranger", "live/show"] {
            let stranger = Publisher::to(nginx.rtmp(), path).over_abstract(&names[0]).hasty().start();
            assert_eq!(stranger.outcome(), Outcome::Closed);
            stranger.wait_closed(1.0);
        }
    }
    assert_eq!(nginx.api().streams().len(), 1);
    for player in &players {
        player.wait_video(3);
    }
}

#[test]
fn without_the_directive_workers_keep_to_themselves() {
    let nginx = keyed().workers(2).start();
    let workers = nginx.workers();
    let publisher = publish_on(&nginx, workers[0], &path(&nginx));
    let (here, there) = (play_on(&nginx, workers[0], "live/show"), play_on(&nginx, workers[1], "live/show"));
    here.wait_video(3);
    publisher.send_more(1500);
    assert_eq!(there.seen().video, 0);
    assert!(workers.into_iter().all(|worker| doors(worker).is_empty()));
}

#[test]
fn after_quit_workers_end_with_their_publishers() {
    let nginx = everywhere().start();
    let path = path(&nginx);
    let workers = nginx.workers();
    let publisher = publish_on(&nginx, workers[2], &path);
    drop(play_everywhere(&nginx, "live/show"));
    nginx.master().signal(Signal::SIGQUIT);
    until("the workers without a publisher end", 10.0, || nginx.draining() == [workers[2]]);
    publisher.send_more(300);
    assert!(!publisher.is_closed());
    publisher.close();
    until("nginx ends", 10.0, || !nginx.master().is_alive() && !workers[2].is_alive());
}

#[test]
fn a_stream_of_no_key_is_found_at_once() {
    let nginx = everywhere().app("plain", "").start();
    let _publisher = publish_on(&nginx, nginx.workers()[0], "plain/show");
    play_everywhere(&nginx, "plain/show");
    let stream = wait_live(&nginx.api(), "plain", "show");
    assert_eq!(stream["publisher"]["worker_pid"], nginx.workers()[0].0);
    assert_eq!(nginx.api().streams().len(), 1);
}
