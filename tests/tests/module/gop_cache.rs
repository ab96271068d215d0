//! `weir_gop_cache`: a player that joins gets the headers, the last keyframe and all frames after it, without waiting for a new message.
//! From then on it gets exactly the same messages as every other player. Players that were there before, and players that must not get the
//! stream, see no difference from a server without the directive.

use weir_rtmp::client::{Client, Options};
use weir_rtmp::flv::{Tag, TagKind};
use weir_rtmp::media::{self, Content};
use weir_tests::harness::clients::{Connection, Way};
use weir_tests::harness::hook::{Answer, Hook};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Nginx, Peer, sanitized, until};

use super::members::{Got, Member, all, assert_same, hevc, large, only, with_data};

mod workers;

struct Kind {
    name: &'static str,
    /// Directives of the application. `server` has those of the server.
    app: &'static str,
    server: &'static str,
    tags: fn() -> Vec<Tag>,
}

fn kinds() -> Vec<Kind> {
    let kind = |name, app| Kind { name, app, server: "", tags: all };
    vec![
        kind("H.264 and AAC", ""),
        kind("merged writes", "weir_merge_write 60ms;"),
        Kind { tags: || only(TagKind::Video), ..kind("video only", "") },
        Kind { tags: hevc, ..kind("Enhanced RTMP", "") },
        Kind { tags: with_data, ..kind("changing metadata", "") },
        Kind { tags: with_data, ..kind("metadata as it came", "meta copy;") },
        Kind { tags: large, ..kind("large pictures", "") },
        Kind { server: "chunk_size 128;", ..kind("small chunks", "") },
        Kind { server: "chunk_size 65536;", tags: large, ..kind("large chunks", "") },
        Kind { tags: late_clock, ..kind("timestamps in extended form", "") },
        Kind { server: "play_time_fix off; chunk_size 128;", tags: late_clock, ..kind("not repeated", "") },
        kind("interleave", "interleave on;"),
        kind("interleave and wait_video", "interleave on; wait_video on;"),
        kind("wait_video", "wait_video on;"),
        kind("without wait_key", "wait_key off;"),
        kind("sync", "sync 10ms;"),
        kind("publish_notify", "publish_notify on;"),
        kind("play_restart", "play_restart on;"),
    ]
}

fn late_clock() -> Vec<Tag> {
    later(&all(), 0x0100_0000)
}

fn later(tags: &[Tag], ms: u32) -> Vec<Tag> {
    tags.iter().map(|tag| Tag { timestamp: tag.timestamp + ms, ..tag.clone() }).collect()
}

fn is_key(tag: &Tag) -> bool {
    let read =
        || media::video(&tag.payload).is_some_and(|read| read.content == Content::Frame && read.is_key);
    tag.kind == TagKind::Video && read()
}

/// Splits the tags into two parts; the first part ends between two keyframes.
fn parted(tags: &[Tag]) -> (&[Tag], &[Tag]) {
    let key = tags.iter().enumerate().filter(|(_, tag)| is_key(tag)).nth(2).unwrap().0;
    let part = &tags[key..];
    tags.split_at(key + part.iter().skip(1).position(is_key).unwrap() - 2)
}

/// Returns the last tag that nginx-rtmp sends immediately.
fn last(tags: &[Tag]) -> Tag {
    tags.iter().rfind(|tag| tag.kind != TagKind::Script).unwrap().clone()
}

fn server(app: &str) -> Config {
    Config::weir().main("weir_zone 4m;").app("live", &format!("weir_publish open; weir_gop_cache 8m; {app}"))
}

/// Returns media and metadata, without the messages that nginx-rtmp sends to each player (ngx_rtmp_send_sample_access).
fn tags_of(got: &[Got]) -> Vec<Tag> {
    let is_metadata = |payload: &[u8]| !payload.windows(6).any(|word| word == b"Sample");
    let tag = |got: &Got| match got {
        Got::Media(kind, timestamp, payload) if *kind != TagKind::Script || is_metadata(payload) => {
            Some(Tag { kind: *kind, timestamp: *timestamp, payload: payload.clone() })
        }
        _ => None,
    };
    got.iter().filter_map(tag).collect()
}

/// Returns the tags that a joining player must get, if an earlier player `other` has received the first `joined` tags by then.
fn expected(other: &[Tag], joined: usize, kind: &Kind) -> Vec<Tag> {
    let sent = (kind.tags)();
    let header = |of: TagKind| sent.iter().find(|tag| tag.kind == of && is_header(tag)).cloned();
    let (video, audio) = (header(TagKind::Video).unwrap(), header(TagKind::Audio));
    let key = other[..joined].iter().rposition(is_key).unwrap();
    let begin = other[key].timestamp;
    let mut tags: Vec<_> =
        other[..joined].iter().rfind(|tag| tag.kind == TagKind::Script).into_iter().cloned().collect();
    tags.push(Tag { timestamp: begin, ..video });
    let interleaves = kind.app.contains("interleave on");
    if interleaves {
        tags.extend(audio.clone().map(|audio| Tag { timestamp: begin, ..audio }));
    } else if kind.app.contains("wait_video on") {
        tags.push(Tag { kind: TagKind::Audio, timestamp: begin, payload: Vec::new() });
    }
    let mut has_audio = interleaves;
    for (nth, tag) in other.iter().enumerate().skip(key) {
        if tag.kind == TagKind::Script && nth < joined {
            continue;
        }
        if tag.kind == TagKind::Audio && !std::mem::replace(&mut has_audio, true) {
            tags.extend(audio.clone().map(|audio| Tag { timestamp: tag.timestamp, ..audio }));
        }
        tags.push(tag.clone());
    }
    tags
}

fn is_header(tag: &Tag) -> bool {
    let read = if tag.kind == TagKind::Video { media::video } else { media::audio };
    read(&tag.payload).is_some_and(|read| read.content == Content::Header)
}

#[track_caller]
fn assert_got(player: &Member, expected: &[Tag], what: &str) {
    let got = |tags: &[Tag]| -> Vec<Got> {
        tags.iter().map(|tag| Got::Media(tag.kind, tag.timestamp, tag.payload.clone())).collect()
    };
    let tags = tags_of(&player.got);
    assert_same(&got(&tags), &got(expected), what);
    // The headers, too, must not be later than the media.
    let mut times = tags.iter().filter(|tag| tag.kind != TagKind::Script).map(|tag| tag.timestamp);
    let first = times.next().unwrap();
    assert!(times.all(|time| time >= first), "{what}");
}

#[test]
fn a_player_begins_with_the_last_keyframe_and_gets_what_all_get() {
    let kinds = kinds();
    std::thread::scope(|scope| {
        // Most of the time a test waits for its nginx, so five of them share a thread.
        for some in kinds.chunks(5) {
            scope.spawn(|| some.iter().for_each(joins));
        }
    });
}

fn joins(kind: &Kind) {
    let nginx = server(kind.app).server(kind.server).start();
    let mut first = Member::player(&nginx);
    let mut publisher = Member::publisher(&nginx, 4096);
    let tags = (kind.tags)();
    let (begin, end) = parted(&tags);
    publisher.send(begin);
    first.wait_last(&last(begin));
    let joined = tags_of(&first.got).len();
    let mut second = Member::player(&nginx);
    // The publisher sends nothing in the meantime.
    second.wait_last(&last(begin));
    second.play_again(&nginx);
    publisher.send(end);
    first.wait_last(&last(end));
    second.wait_last(&last(end));
    let other = tags_of(&first.got);
    let wanted = expected(&other, joined, kind);
    assert_got(&second, &wanted, kind.name);
}

#[test]
fn a_stream_without_video_is_sent_as_without_the_cache() {
    let got = |cache: &str| {
        let nginx = Config::weir()
            .main("weir_zone 4m;")
            .app("live", &format!("weir_publish open; weir_gop_cache {cache};"))
            .start();
        let mut witness = Member::player(&nginx);
        let mut publisher = Member::publisher(&nginx, 4096);
        let tags = only(TagKind::Audio);
        let (begin, end) = tags.split_at(tags.len() / 2);
        publisher.send(begin);
        witness.wait_last(&last(begin));
        let mut player = Member::player(&nginx);
        publisher.send(end);
        player.wait_last(&last(end));
        player.got
    };
    assert_same(&got("8m"), &got("off"), "audio only");
}

#[test]
fn the_end_of_a_sequence_begins_nothing() {
    let nginx = server("").start();
    let mut witness = Member::player(&nginx);
    let mut publisher = Member::publisher(&nginx, 4096);
    let tags = all();
    let (begin, _) = parted(&tags);
    publisher.send(begin);
    // This message has the frame type of a keyframe.
    let end =
        Tag { kind: TagKind::Video, timestamp: last(begin).timestamp + 1, payload: vec![0x17, 2, 0, 0, 0] };
    publisher.send(std::slice::from_ref(&end));
    witness.wait_last(&end);
    let mut player = Member::player(&nginx);
    player.wait_last(&end);
    let other = tags_of(&witness.got);
    let kind = &kinds()[0];
    assert_got(&player, &expected(&other, other.len(), kind), "end of sequence");
}

#[test]
fn with_on_play_a_player_begins_at_the_next_message() {
    let hook = Hook::start(Answer::Late(300));
    let nginx = server(&format!("on_play {};", hook.url())).start();
    let mut publisher = Member::publisher(&nginx, 4096);
    let mut witness = Member::player(&nginx);
    witness.wait_status("NetStream.Play.Start");
    let tags = all();
    let (begin, end) = parted(&tags);
    publisher.send(begin);
    witness.wait_last(&last(begin));
    let joined = tags_of(&witness.got).len();
    let mut player = Member::player(&nginx);
    player.wait_status("NetStream.Play.Start");
    assert!(tags_of(&player.got).is_empty());
    publisher.send(&end[..1]);
    player.wait_last(&end[0]);
    publisher.send(&end[1..]);
    witness.wait_last(&last(end));
    player.wait_last(&last(end));
    assert_got(&player, &expected(&tags_of(&witness.got), joined, &kinds()[0]), "on_play");
}

#[test]
fn a_player_that_paused_waits_for_a_keyframe() {
    let nginx = server("").start();
    let mut witness = Member::player(&nginx);
    let mut publisher = Member::publisher(&nginx, 4096);
    let tags = all();
    let (begin, end) = parted(&tags);
    publisher.send(begin);
    witness.wait_last(&last(begin));
    let mut player = Member::player(&nginx);
    player.wait_last(&last(begin));
    player.pause(true);
    player.pause(false);
    player.play_again(&nginx);
    let before = tags_of(&player.got).len();
    publisher.send(end);
    player.wait_last(&last(end));
    let after = &tags_of(&player.got)[before..];
    let video: Vec<_> = after.iter().filter(|tag| tag.kind == TagKind::Video && !is_header(tag)).collect();
    assert!(is_key(video[0]));
    assert!(after.iter().all(|tag| tag.timestamp >= last(begin).timestamp), "nothing comes a second time");
}

#[test]
fn nothing_is_left_of_a_publisher_that_went() {
    for app in ["", "play_restart on;"] {
        let nginx = server(app).start();
        let mut witness = Member::player(&nginx);
        let tags = all();
        let (begin, end) = parted(&tags);
        let mut publisher = Member::publisher(&nginx, 4096);
        publisher.send(begin);
        witness.wait_last(&last(begin));
        publisher.connection.client.finish();
        publisher.wait_status("NetStream.Unpublish.Success");
        let mut idle = Member::player(&nginx);
        let mut publisher = Member::publisher(&nginx, 4096);
        let headers: Vec<_> = tags.iter().filter(|tag| tag.is_header()).cloned().collect();
        publisher.send(&headers);
        let (between, key) = end.split_at(end.iter().position(is_key).unwrap());
        publisher.send(between);
        witness.wait_last(&last(between));
        let mut player = Member::player(&nginx);
        publisher.send(key);
        for player in [&mut idle, &mut player, &mut witness] {
            player.wait_last(&last(key));
        }
        for player in [&idle, &player] {
            let got = tags_of(&player.got);
            let video: Vec<_> =
                got.iter().filter(|tag| tag.kind == TagKind::Video && !is_header(tag)).collect();
            assert_eq!(video[0], &key[0], "{app}");
        }
    }
}

#[test]
fn who_has_no_token_gets_nothing() {
    let nginx = Config::weir()
        .with_api()
        .main("weir_secret @DIR@/secret;")
        .file("secret", b"0123456789abcdef0123456789abcdef")
        .app("live", "weir_publish open; weir_play token; weir_gop_cache 8m;")
        .start();
    let mut publisher = Member::publisher(&nginx, 4096);
    let tags = all();
    let (begin, _) = parted(&tags);
    publisher.send(begin);
    let body = serde_json::json!({"app": "live", "stream": "show", "action": "play", "ttl_s": 60});
    let token = nginx.api().post("/v1/tokens", &body).expect(201)["token"].as_str().unwrap().to_owned();
    let mut player = Member::player_of(&nginx, &format!("live/show?token={token}"));
    player.wait_last(&last(begin));
    let mut stranger = Member::player_of(&nginx, "live/show");
    until("the stranger is closed", 10.0, || !stranger.turn());
    assert!(tags_of(&stranger.got).is_empty());
}

#[test]
fn more_than_the_size_is_not_kept() {
    let app = "weir_publish open; weir_gop_cache 512k;";
    let nginx = Config::weir().main("weir_zone 4m;").app("live", app).start();
    let mut witness = Member::player(&nginx);
    let mut publisher = Member::publisher(&nginx, 4096);
    // Ten frames of 60 KB each.
    let tags = large();
    let (begin, end) = parted(&tags);
    publisher.send(begin);
    witness.wait_last(&last(begin));
    let mut player = Member::player(&nginx);
    publisher.send(end);
    player.wait_last(&last(end));
    let got = tags_of(&player.got);
    let video = got.iter().find(|tag| tag.kind == TagKind::Video && !is_header(tag)).unwrap();
    assert!(end.contains(video) && is_key(video));
    let lines = nginx.log_lines("keyframes too far apart for weir_gop_cache");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("app: \"live\", stream: \"show\""), "{lines:?}");
}

#[test]
fn a_slow_player_loses_nothing_while_it_reads_the_beginning() {
    let nginx = Config::weir()
        .main("weir_zone 4m;")
        .server("max_message 4m; chunk_size 65536;")
        .app("live", "weir_publish open; weir_gop_cache 64m;")
        .start();
    let mut witness = Member::player(&nginx);
    let mut publisher = Member::publisher(&nginx, 65_536);
    let sample = all();
    let (begin, end) = parted(&sample);
    // The frames are larger than the socket's buffers.
    let mut begin = begin.to_vec();
    begin.iter_mut().filter(|tag| is_key(tag)).for_each(|tag| tag.payload.resize(3 << 20, 7));
    let at = begin.iter().rposition(is_key).unwrap();
    for _ in 0..4 {
        let between = Tag { payload: [&[0x27, 1, 0, 0, 0][..], &[7; 3 << 20]].concat(), ..begin[at].clone() };
        begin.insert(at + 1, between);
    }
    publisher.send(&begin);
    witness.wait_last(&last(&begin));
    let joined = tags_of(&witness.got).len();
    let mut player = Member::player(&nginx);
    // A small frame per millisecond; nginx-rtmp drops inter frames when half of a player's queue is in use.
    let small = end.iter().find(|tag| tag.kind == TagKind::Video && !is_key(tag)).unwrap();
    let time = last(&begin).timestamp;
    let pictures: Vec<_> = (1..300).map(|ms| Tag { timestamp: time + ms, ..small.clone() }).collect();
    publisher.send(&pictures);
    witness.wait_last(&last(&pictures));
    player.wait_last(&last(&pictures));
    assert_got(&player, &expected(&tags_of(&witness.got), joined, &kinds()[0]), "a slow player");
}

#[test]
fn a_new_target_begins_with_the_last_keyframe() {
    let nginx =
        Config::weir().with_api().app("live", "weir_publish open; weir_push on; weir_gop_cache 8m;").start();
    let mut witness = Member::player(&nginx);
    let mut publisher = Member::publisher(&nginx, 4096);
    let tags = all();
    let (begin, _) = parted(&tags);
    publisher.send(begin);
    witness.wait_last(&last(begin));
    let target = Peer::takes();
    let body = serde_json::json!({"app": "live", "stream": "show", "url": target.url("app/key")});
    nginx.api().post("/v1/targets", &body).expect(201);
    let other = tags_of(&witness.got);
    let key = other.iter().rposition(is_key).unwrap();
    let count = other.len() - key;
    until("all since the last keyframe is at the target", 10.0, || {
        target.calls().first().is_some_and(|call| call.frames.len() == count)
    });
    let call = target.calls().remove(0);
    let times: Vec<_> = call.frames.iter().map(|frame| (frame.kind, frame.timestamp)).collect();
    let wanted: Vec<_> = other[key..].iter().map(|tag| (tag.kind, tag.timestamp)).collect();
    assert_eq!(times, wanted);
}

#[test]
fn a_thousand_players_that_come_and_go_leave_nothing() {
    let nginx = server("").start();
    let mut witness = Member::player(&nginx);
    let mut publisher = Member::publisher(&nginx, 4096);
    let tags = all();
    let (begin, _) = parted(&tags);
    publisher.send(begin);
    witness.wait_last(&last(begin));
    let visit = |nth: usize, nginx: &Nginx| {
        let url = format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()).parse().unwrap();
        let client = Client::play(&url, Options::default());
        let mut connection = Connection::open(client, &Way::Port(nginx.rtmp(), None)).unwrap();
        let mut media = 0;
        // Some players leave before they have read everything.
        let enough = if nth.is_multiple_of(3) { 1 } else { 8 };
        until("the player has media", 10.0, || {
            let events = connection.turn();
            media += events
                .iter()
                .filter(|event| matches!(event, weir_rtmp::client::ClientEvent::Media(_)))
                .count();
            media >= enough
        });
    };
    let worker = nginx.workers()[0];
    let mut times = 0;
    let mut round = |nginx: &Nginx, publisher: &mut Member, visits: usize| {
        for nth in 0..visits {
            visit(nth, nginx);
            if nth % 10 == 9 {
                times += 1;
                let next = later(&tags, times * 2000);
                publisher.send(&next);
                witness.wait_last(&last(&next));
                witness.got.clear();
            }
        }
    };
    round(&nginx, &mut publisher, 100);
    let before = worker.memory();
    round(&nginx, &mut publisher, 1000);
    let after = worker.memory();
    assert_eq!(nginx.workers(), [worker]);
    // The sanitizer keeps freed memory for a while.
    if !sanitized::is_on() {
        assert!(after < before + (4 << 20), "{before} bytes, then {after}");
    }
}

#[test]
fn wrong_sizes_are_refused() {
    for size in ["on", "0", "1k", "1g", "-1"] {
        let message =
            Config::weir().main("weir_zone 4m;").app("live", &format!("weir_gop_cache {size};")).rejected();
        let expected = format!(
            "\"weir_gop_cache\": invalid size \"{size}\", expected \"off\", or \"64k\" to \"256m\", for example \"8m\""
        );
        assert!(message.contains(&expected), "{message}");
    }
}
