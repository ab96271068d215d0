//! `weir_merge_write`: a player gets the same messages in the same order as without the directive, for each kind of stream and each setting
//! of nginx-rtmp that changes what players get. The worker needs fewer system calls, and delays no message for longer than the directive
//! allows.

use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use weir_rtmp::flv::{Tag, TagKind};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Nginx, Player, Publisher, files, products, trace, until};

use super::members::{Got, Member, all, assert_same, hevc, large, only, with_data};

/// Event in the middle of a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Middle {
    /// A second player joins.
    Join,
    /// The first player pauses, and resumes a while later.
    Pause,
    /// The first player requests the stream a second time.
    PlayAgain,
    /// The publisher leaves, and another publisher follows.
    Republish,
}

struct Kind {
    name: &'static str,
    /// Directives of the application.
    app: &'static str,
    /// Directives of the server.
    server: &'static str,
    /// The tags of the sample to send.
    tags: fn() -> Vec<Tag>,
    middle: Middle,
    /// The server to compare with: nginx-rtmp alone, or Weir with these directives.
    reference: Option<&'static str>,
}

fn kinds() -> Vec<Kind> {
    let kind = |name, app| Kind { name, app, server: "", tags: all, middle: Middle::Join, reference: None };
    vec![
        kind("H.264 and AAC", ""),
        Kind { tags: || only(TagKind::Audio), ..kind("audio only", "") },
        Kind { tags: || only(TagKind::Video), ..kind("video only", "") },
        Kind { tags: with_data, ..kind("data and changing metadata", "") },
        Kind { tags: with_data, ..kind("metadata as it came", "meta copy;") },
        Kind { tags: large, ..kind("large pictures", "") },
        Kind { server: "chunk_size 128;", ..kind("small chunks", "") },
        Kind { server: "chunk_size 65536;", tags: large, ..kind("large chunks", "") },
        kind("interleave", "interleave on;"),
        kind("wait_video", "wait_video on;"),
        kind("wait_key", "wait_key on;"),
        kind("wait_key and wait_video", "wait_key on; wait_video on;"),
        kind("sync", "sync 10ms;"),
        kind("publish_notify", "publish_notify on;"),
        kind("play_restart", "play_restart on;"),
        // nginx-rtmp alone finds no keyframe in these streams.
        Kind { tags: hevc, reference: Some(""), ..kind("Enhanced RTMP", "") },
        kind("on_play", "on_play http://127.0.0.1:@HTTP@/yes;"),
        Kind { middle: Middle::Pause, ..kind("pause", "") },
        Kind { middle: Middle::PlayAgain, ..kind("a second play", "") },
        Kind { middle: Middle::Republish, ..kind("another publisher", "") },
        Kind { middle: Middle::Republish, ..kind("another publisher, restart", "play_restart on;") },
    ]
}

/// Returns the messages that two players get with this directive, or from nginx-rtmp alone: a player from the beginning, and a player that joins, if the kind has
/// one.
#[track_caller]
fn play(kind: &Kind, directive: Option<&str>) -> [Vec<Got>; 2] {
    let config = match directive {
        None => Config::stock().app("live", kind.app),
        Some(directive) => Config::weir()
            .main("weir_zone 4m;")
            .app("live", &format!("weir_publish open; {} {directive}", kind.app)),
    };
    let nginx = config.server(kind.server).http("location = /yes { return 200; }").start();
    let player = || {
        let mut player = Member::player(&nginx);
        if kind.app.contains("on_play") {
            // It joins when the program has answered.
            player.wait_status("NetStream.Play.Start");
        }
        player
    };
    let mut first = player();
    let mut publisher = Member::publisher(&nginx, 4096);
    let tags = (kind.tags)();
    let (begin, mut end) = tags.split_at(tags.len() / 2);
    let last = |tags: &[Tag]| tags.iter().rfind(|tag| tag.kind != TagKind::Script).unwrap().clone();
    publisher.send(begin);
    first.wait_last(&last(begin));
    let mut second = None;
    match kind.middle {
        Middle::Join => second = Some(player()),
        Middle::Pause => {
            let witness = second.insert(Member::player(&nginx));
            first.pause(true);
            let (meanwhile, _) = end.split_at(end.len() / 2);
            publisher.send(meanwhile);
            witness.wait_last(&last(meanwhile));
            first.pause(false);
            end = &end[end.len() / 2..];
        }
        Middle::PlayAgain => {
            first.play_again(&nginx);
        }
        Middle::Republish => {
            publisher.connection.client.finish();
            publisher.wait_status("NetStream.Unpublish.Success");
            publisher = Member::publisher(&nginx, 4096);
        }
    }
    publisher.send(end);
    let marker = last(end);
    first.wait_last(&marker);
    if let Some(second) = &mut second {
        second.wait_last(&marker);
    }
    [first.got, second.map(|second| second.got).unwrap_or_default()]
}

#[test]
fn players_get_the_same_messages_in_the_same_order() {
    let kinds = kinds();
    std::thread::scope(|scope| {
        // Most of the time a test waits for its nginx, so five of them share a thread.
        for some in kinds.chunks(5) {
            scope.spawn(|| some.iter().for_each(compare));
        }
    });
}

fn compare(kind: &Kind) {
    let expected = play(kind, kind.reference);
    assert!(expected[0].len() > 30, "{}", kind.name);
    for merge in ["off", "0", "60ms", "1s"] {
        let got = play(kind, Some(&format!("weir_merge_write {merge};")));
        for (nth, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert_same(got, expected, &format!("{}, weir_merge_write {merge}, player {nth}", kind.name));
        }
    }
    // The cache makes no difference to a player that was there from the beginning.
    let [got, _] = play(kind, Some("weir_gop_cache 8m;"));
    assert_same(&got, &expected[0], &format!("{}, weir_gop_cache 8m", kind.name));
}

#[test]
fn players_of_all_workers_get_what_the_publisher_sends() {
    for merge in ["off", "0", "60ms"] {
        let app = format!("weir_publish open; weir_merge_write {merge};");
        let config = Config::weir().main("weir_zone 4m;").app("live", &app);
        let nginx = config.main("rtmp_auto_push on; rtmp_socket_dir @DIR@;").workers(4).start();
        let mut publisher = Member::publisher(&nginx, 4096);
        let workers = nginx.workers().into_iter();
        let mut players: Vec<_> =
            workers.map(|worker| nginx.on_worker(worker, || Member::player(&nginx))).collect();
        // The stream reaches another worker some time after it began.
        let (tags, mut ms) = (all(), 0);
        let next = |ms| {
            tags.iter().map(|tag| Tag { timestamp: tag.timestamp + ms, ..tag.clone() }).collect::<Vec<_>>()
        };
        until("all workers have the stream", 20.0, || {
            ms += 2000;
            publisher.send(&next(ms));
            players.iter_mut().all(|player| {
                player.turn();
                player.got.iter().any(|got| matches!(got, Got::Media(TagKind::Video, ..)))
            })
        });
        let sent = next(ms + 2000);
        publisher.send(&sent);
        for (nth, player) in players.iter_mut().enumerate() {
            player.wait_last(sent.last().unwrap());
            let media = |tag: &&Tag| tag.kind != TagKind::Script;
            let expected: Vec<_> = sent
                .iter()
                .filter(media)
                .map(|tag| Got::Media(tag.kind, tag.timestamp, tag.payload.clone()))
                .collect();
            let is_new = |got: &&Got| matches!(got, Got::Media(kind, at, _) if *kind != TagKind::Script && *at >= ms + 2000);
            let got: Vec<_> = player.got.iter().filter(is_new).cloned().collect();
            assert_same(&got, &expected, &format!("weir_merge_write {merge}, worker {nth}"));
        }
    }
}

/// Starts players in real time, and a publisher of 20 frames per second.
fn watched(app: &str, workers: usize) -> (Nginx, Publisher, Vec<Player>) {
    let config = Config::weir().main("weir_zone 4m;").workers(workers);
    let config = if workers > 1 { config.main("rtmp_auto_push on;") } else { config };
    let nginx = config.app("live", &format!("weir_publish open; {app}")).start();
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let players: Vec<_> = (0..8).map(|_| Player::start(nginx.rtmp(), "live/show")).collect();
    players.iter().for_each(|player| player.wait_video(10));
    (nginx, publisher, players)
}

#[test]
fn players_in_all_workers_are_served_in_time() {
    for app in ["weir_merge_write 0;", "weir_merge_write 200ms;"] {
        let (_nginx, publisher, players) = watched(app, 3);
        until("two seconds of video", 5.0, || players.iter().all(|player| player.seen().video > 50));
        for player in &players {
            let seen = player.seen();
            assert!(seen.gap() < Duration::from_millis(900), "{app} {:?}", seen.gap());
            assert!(seen.audio > 40, "{app}");
            let behind = publisher.sent_ms().saturating_sub(seen.last_video.unwrap());
            assert!(behind < 1000, "{app} {behind} ms");
        }
    }
}

/// Returns the number of system calls per second with which the worker writes to its 8 players.
fn writes(merge: &str) -> f64 {
    const SECONDS: u64 = 3;
    let (nginx, _publisher, _players) = watched(&format!("weir_merge_write {merge};"), 1);
    let file = nginx.path("strace");
    let mut strace = Command::new("timeout");
    strace.args(["--signal=INT", &SECONDS.to_string()]).arg(products::tool("/usr/bin/strace"));
    strace
        .args(["-qq", "-e", "trace=sendto,writev", "-p", &nginx.workers()[0].0.to_string(), "-o"])
        .arg(&file);
    strace.output().unwrap();
    written(&files::text(&file)) as f64 / SECONDS as f64 / 8.0
}

fn written(trace: &str) -> usize {
    trace.lines().filter(|line| line.contains("sendto(") || line.contains("writev(")).count()
}

/// Returns the system calls of the worker while a player gets large pictures in small chunks, in two plays of one connection: the writes,
/// and the changes of TCP_NODELAY.
fn calls_of_two_plays(config: Config) -> (usize, Vec<String>) {
    let nginx = config.start();
    let file = nginx.path("strace");
    let mut strace = Command::new(products::tool("/usr/bin/strace"))
        .args(["-e", "trace=sendto,writev,setsockopt", "-p", &nginx.workers()[0].0.to_string(), "-o"])
        .arg(&file)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("strace watches", 10.0, || nginx.workers()[0].is_traced());
    let mut player = Member::player(&nginx);
    let mut publisher = Member::publisher(&nginx, 65_536);
    let tags = large();
    let (begin, end) = tags.split_at(tags.len() / 2);
    for half in [begin, end] {
        let before = written(&files::text(&file));
        publisher.send(half);
        player.wait_last(half.last().unwrap());
        until("strace has seen it", 10.0, || written(&files::text(&file)) > before);
        player.play_again(&nginx);
    }
    publisher.send(&tags[..3]);
    Process(strace.id() as i32).signal(Signal::SIGINT);
    strace.wait().unwrap();
    let trace = files::text(&file);
    let delays = trace.lines().filter(|line| line.contains("TCP_NODELAY")).map(str::to_owned).collect();
    (written(&trace), delays)
}

/// Returns the number of writes of a worker while 3 messages at a time arrive for a player, 20 times.
fn writes_of_bursts(config: Config) -> usize {
    let nginx = config.start();
    let mut publisher = Member::publisher(&nginx, 4096);
    let mut player = Member::player(&nginx);
    let tags = all();
    let (begin, rest) = tags.split_at(10);
    publisher.send(begin);
    player.wait_last(begin.last().unwrap());
    let lines = trace::traced(&nginx, nginx.workers()[0], "sendto,writev", || {
        for burst in rest.chunks_exact(3).take(20) {
            publisher.send(burst);
            player.wait_last(burst.last().unwrap());
        }
    });
    written(&lines.join("\n"))
}

#[test]
fn what_arrives_together_leaves_together() {
    let weir = Config::weir().main("weir_zone 4m;").app("live", "weir_publish open;");
    let (stock, ours) = (writes_of_bursts(Config::stock().app("live", "")), writes_of_bursts(weir));
    assert!(stock >= 60, "{stock}");
    // A burst may arrive in two parts.
    assert!((20..=30).contains(&ours), "{ours}");
}

#[test]
fn each_message_leaves_whole_and_at_once() {
    let weir = Config::weir().main("weir_zone 4m;").app("live", "weir_publish open;");
    let (stock, _) = calls_of_two_plays(Config::stock().app("live", ""));
    let (ours, delays) = calls_of_two_plays(weir);
    // 40 pictures of 60 KB are 15 chunks each.
    assert!(stock > 500, "{stock}");
    assert!(ours * 3 < stock, "{ours} of {stock}");
    assert!(!delays.is_empty());
    for line in &delays {
        assert!(line.contains("[1]"), "TCP holds data back: {line}");
    }
}

#[test]
fn players_are_served_in_fewer_system_calls() {
    let (stock, with_video, rarely) = (writes("off"), writes("0"), writes("200ms"));
    // The sample has 20 video messages and 43 audio messages per second.
    assert!(stock > 40.0, "{stock}");
    assert!((10.0..35.0).contains(&with_video), "{with_video}");
    assert!((2.0..8.0).contains(&rarely), "{rarely}");
}

#[test]
fn a_player_that_does_not_read_or_dies_harms_nobody() {
    for merge in ["off", "0", "100ms"] {
        let app = format!("weir_publish open; weir_merge_write {merge};");
        let nginx = Config::weir().main("weir_zone 4m;").server("timeout 2s;").app("live", &app).start();
        let worker = nginx.workers();
        let mut publisher = Member::publisher(&nginx, 4096);
        let mut good = Member::player(&nginx);
        // These players read nothing: their sockets fill up, and nginx-rtmp drops messages and then closes the connections.
        let stuck: Vec<_> = (0..4).map(|_| Member::player(&nginx)).collect();
        let mut tags = large();
        for round in 0..12 {
            if round % 4 == 1 {
                drop(Member::player(&nginx));
            }
            publisher.send(&tags);
            good.wait_last(tags.last().unwrap());
            tags.iter_mut().for_each(|tag| tag.timestamp += 2000);
        }
        drop(stuck);
        publisher.send(&tags);
        good.wait_last(tags.last().unwrap());
        let count = good
            .got
            .iter()
            .filter(|got| matches!(got, Got::Media(TagKind::Video | TagKind::Audio, ..)))
            .count();
        let sent = tags.iter().filter(|tag| tag.kind != TagKind::Script).count() * 13;
        assert!(count >= sent, "weir_merge_write {merge}: {count} of {sent}");
        assert_eq!(nginx.workers(), worker, "a worker died");
    }
}

#[test]
fn what_waits_is_sent_before_a_stream_ends() {
    for merge in ["off", "0", "1s"] {
        let app = format!("weir_publish open; idle_streams off; weir_merge_write {merge};");
        let nginx = Config::weir().main("weir_zone 4m;").app("live", &app).start();
        let mut publisher = Member::publisher(&nginx, 4096);
        let tags = all();
        let (begin, end) = tags.split_at(tags.len() / 2);
        publisher.send(begin);
        let mut player = Member::player(&nginx);
        publisher.send(end);
        publisher.connection.client.finish();
        publisher.turn();
        // Without `idle_streams`, nginx-rtmp closes the players of a publisher that leaves.
        until("the player is closed", 10.0, || !player.turn());
        let last = end.last().unwrap();
        let Some(Got::Media(_, at, bytes)) = player.got.iter().rfind(|got| matches!(got, Got::Media(..)))
        else {
            panic!("no media")
        };
        assert_eq!((*at, bytes), (last.timestamp, &last.payload), "weir_merge_write {merge}");
    }
}

#[test]
fn wrong_times_are_refused() {
    for (argument, rest) in [("fast", "fast"), ("2s", "2s"), ("-1", "-1")] {
        let config =
            Config::weir().main("weir_zone 4m;").app("live", &format!("weir_merge_write {argument};"));
        let expected = format!(
            "\"weir_merge_write\": invalid time \"{rest}\", expected \"off\", or \"0\" to \"1s\", for example \"60ms\""
        );
        let message = config.rejected();
        assert!(message.contains(&expected), "{message}");
    }
}
