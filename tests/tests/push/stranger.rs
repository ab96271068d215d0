//! The far end of nginx's own connections is not trusted: nginx ignores client commands from it, closes the connection with a reason if the
//! far end sends something harmful, and keeps no connection longer than its target or its stream.

use weir_rtmp::amf0::Writer;
use weir_rtmp::chunk::{Format, Header, Writer as Chunks};
use weir_rtmp::flv::TagKind;
use weir_rtmp::message::{Message, MessageKind, user_control};
use weir_tests::harness::media::sample;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::peer::assert_unbroken;
use weir_tests::harness::{Manners, Nginx, Peer, Player, Publisher, until};

use super::{Stage, add, remove, source, wait_state};

fn command(name: &str, arguments: impl FnOnce(&mut Writer) -> &mut Writer) -> Message {
    Message::command(1, name, 1.0, arguments)
}

fn of_kind(kind: u8, payload: Vec<u8>) -> Message {
    Message { kind: MessageKind(kind), stream_id: 1, timestamp: 0, payload }
}

/// Returns the messages with which a client would get another stream, end this stream, or publish.
fn intrusion() -> Vec<Message> {
    let commands = vec![
        command("closeStream", |w| w.null().number(1.0)),
        command("CLOSESTREAM", |w| w.null().number(1.0)),
        command("deleteStream", |w| w.null().number(1.0)),
        command("connect", |w| {
            w.begin_object().key("app").string(b"private").key("tcUrl").string(b"rtmp://x/private").end()
        }),
        command("createStream", |w| w.null()),
        command("play", |w| w.null().string(b"board").number(-2000.0)),
        command("play2", |w| w.null().begin_object().key("streamName").string(b"board").end()),
        command("pause", |w| w.null().boolean(true).number(0.0)),
        command("seek", |w| w.null().number(0.0)),
        command("publish", |w| w.null().string(b"injected").string(b"live")),
        // A repetition of the answers, which would start the exchange again.
        command("_result", |w| w.null().null()),
        Message::command(0, "_result", 2.0, |w| w.null().number(1.0)),
    ];
    // The commands come in every kind of message in which nginx-rtmp looks for a command.
    let others = [15, 17, 18].into_iter().flat_map(|kind| {
        let prefix: &[u8] = if kind == 18 { &[] } else { &[0] };
        commands
            .iter()
            .map(move |command| of_kind(kind, [prefix, &command.payload].concat()))
            .collect::<Vec<_>>()
    });
    let media = sample().headers.iter().map(|tag| {
        let kind = match tag.kind {
            TagKind::Audio => 8,
            TagKind::Video => 9,
            TagKind::Script => 18,
        };
        of_kind(kind, tag.payload.clone())
    });
    let shared = of_kind(19, [&[0, 11][..], b"closeStream", &[0; 9], &[5]].concat());
    let aggregate = of_kind(22, [&[9, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0x17, 0][..], &[0, 0, 0, 13]].concat());
    let control = Message::user_control(user_control::SET_BUFFER_LENGTH, &[1, 0]);
    others.chain(commands.clone()).chain(media).chain([shared, aggregate, control]).collect()
}

fn names(nginx: &Nginx) -> Vec<String> {
    let name = |stream: &serde_json::Value| {
        format!("{}/{}", stream["app"].as_str().unwrap(), stream["name"].as_str().unwrap())
    };
    nginx.api().streams().iter().map(name).collect()
}

/// Publishes a stream that nobody may play.
#[track_caller]
fn publish_board(nginx: &Nginx) -> Publisher {
    Publisher::to(nginx.rtmp(), "private/board").start().started()
}

#[track_caller]
fn assert_untouched(nginx: &Nginx, expected: &[&str]) {
    let mut streams = names(nginx);
    streams.sort();
    assert_eq!(streams, expected);
    let board = nginx.api().stream("private", "board").unwrap();
    assert_eq!((&board["viewers"]["rtmp"], &board["bytes_out"]), (&0.into(), &0.into()), "{board}");
}

#[test]
fn a_target_that_speaks_as_a_client_is_not_heard() {
    is_not_heard("");
}

/// `weir_guard off` applies only to clients of this server.
#[test]
fn nor_is_it_where_the_guard_is_off() {
    is_not_heard("weir_guard off;");
}

#[track_caller]
fn is_not_heard(rtmp: &str) {
    let private = "weir_publish open; deny play all;";
    let stage = Stage::set(source("deny play all;").rtmp(rtmp).app("private", private));
    let _board = publish_board(&stage.nginx);
    let peer = Peer::start(Manners::Says(intrusion()));
    let id = stage.add(&peer.url("app/key"));
    stage.wait_state(&id, "live");
    let call = peer.wait_frames("key", 100);
    assert_unbroken(&call.frames);
    assert_eq!(call.commands, ["connect", "createStream", "publish"]);
    let session = stage.session(&id);
    assert_eq!((&session["state"], &session["reconnects"]), (&"live".into(), &0.into()), "{session}");
    assert_untouched(&stage.nginx, &["live/show", "private/board"]);
    stage.is_undisturbed();
    // The connection still belongs to the target, and closes when the target is removed.
    remove(&stage.api, &id);
    peer.wait_closed("key");
    assert_eq!(peer.calls().len(), 1);
}

#[test]
fn its_connection_ends_with_the_publisher() {
    let stage = Stage::set(source(""));
    let peer = Peer::start(Manners::Says(intrusion()));
    let id = stage.add(&peer.url("app/key"));
    stage.wait_state(&id, "live");
    peer.wait_frames("key", 20);
    let Stage { publisher, nginx: _nginx, .. } = stage;
    publisher.close();
    peer.wait_closed("key");
    assert_eq!(peer.calls().len(), 1);
}

#[test]
fn the_same_of_a_push_of_nginx_rtmps_own() {
    let peer = Peer::start(Manners::Says(intrusion()));
    let nginx = Config::weir()
        .with_api()
        .app("live", &format!("weir_publish open; push {}; deny play all;", peer.url("app/key")))
        .app("private", "weir_publish open; deny play all;")
        .start();
    let _board = publish_board(&nginx);
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let call = peer.wait_frames("key", 100);
    assert_unbroken(&call.frames);
    assert_eq!(call.commands, ["connect", "createStream", "publish"]);
    assert_untouched(&nginx, &["live/show", "private/board"]);
    publisher.close();
    peer.wait_closed("key");
    assert_eq!(peer.calls().len(), 1);
}

#[test]
fn where_a_stream_is_pulled_from_it_may_send_that_and_nothing_else() {
    let tags = sample().headers.iter().chain(&sample().frames);
    let media = tags.map(|tag| {
        let kind = match tag.kind {
            TagKind::Audio => 8,
            TagKind::Video => 9,
            TagKind::Script => 18,
        };
        Message { timestamp: tag.timestamp, ..of_kind(kind, tag.payload.clone()) }
    });
    let commands = intrusion().into_iter().filter(|message| ![8, 9].contains(&message.kind.0));
    let peer = Peer::start(Manners::Says(commands.chain(media).collect()));
    let nginx = Config::weir()
        .with_api()
        .app("pulled", &format!("weir_publish open; pull {} name=show;", peer.url("app/key")))
        .app("private", "weir_publish open; deny play all;")
        .start();
    let _board = publish_board(&nginx);
    let player = Player::start(nginx.rtmp(), "pulled/show");
    player.wait_video(20);
    assert_untouched(&nginx, &["private/board", "pulled/show"]);
    drop(player);
    until("the pull ends with its player", 10.0, || peer.open("key").is_empty());
    let [call] = peer.calls().try_into().unwrap();
    // Another server on this machine gets no ticket.
    assert_eq!(call.name, "key");
}

/// Returns the header of a chunk, on a chunk stream of its own.
fn header(length: u32, format: Format) -> Header {
    Header { format, chunk_stream: 6, time: 0, length, kind: MessageKind::VIDEO, stream_id: 1 }
}

fn chunk(header: &Header, bytes: &[u8]) -> Vec<u8> {
    let mut chunk = Vec::new();
    header.encode(&mut chunk);
    chunk.extend(bytes);
    chunk
}

/// Asserts that the target waits for this reason with its connection closed, and gets streams again once it behaves.
#[track_caller]
fn assert_closed_for(bytes: Vec<u8>, reason: &str) {
    assert_closed_with("", bytes, reason);
}

#[track_caller]
fn assert_closed_with(rtmp: &str, bytes: Vec<u8>, reason: &str) {
    let stage = Stage::set(source("").rtmp(rtmp));
    let peer = Peer::start(Manners::Sends(bytes));
    let id = stage.add(&peer.url("app/key"));
    let session = stage.wait_error(&id, reason);
    assert_eq!(session["last_error"], reason);
    peer.wait_closed("key");
    peer.becomes(Manners::Takes);
    stage.wait_state(&id, "live");
    stage.is_undisturbed();
}

#[test]
fn a_message_of_a_target_that_shrinks_ends_the_connection() {
    let full = header(10_000, Format::Full);
    let bytes = [chunk(&full, &[0; 4096]), chunk(&header(1, Format::Full), &[0; 4096])].concat();
    for rtmp in ["", "weir_guard off;"] {
        assert_closed_with(rtmp, bytes.clone(), "closed by weir: length changed within a message");
    }
}

#[test]
fn a_long_message_of_a_target_ends_the_connection() {
    let bytes = chunk(&header(100_000, Format::Full), &[0; 4096]);
    assert_closed_for(bytes, "closed by weir: more than answers from the target of a push");
}

#[test]
fn more_than_answers_from_a_target_ends_the_connection() {
    let (mut writer, mut bytes) = (Chunks::new(), Vec::new());
    for _ in 0..60_000 {
        writer.write(2, &Message::number(MessageKind::ACKNOWLEDGEMENT, 1), &mut bytes);
    }
    assert_closed_for(bytes, "closed by weir: more than answers from the target of a push");
}

#[test]
fn a_target_that_sets_its_chunk_size_again_and_again_is_closed() {
    let (mut writer, mut bytes) = (Chunks::new(), Vec::new());
    for nth in 0..20 {
        writer.write(2, &Message::number(MessageKind::SET_CHUNK_SIZE, 4096 + nth), &mut bytes);
    }
    assert_closed_for(bytes, "closed by weir: more than 8 chunk sizes");
}

#[test]
fn what_is_not_rtmp_is_told_as_that() {
    // A chunk stream id that is too high for nginx-rtmp.
    assert_closed_for(vec![0x3f; 64], "closed by weir: what it sent is not rtmp");
}

/// nginx-rtmp itself would wait for ever.
#[test]
fn a_push_of_nginx_rtmps_own_is_tried_again_when_nobody_answers() {
    let peer = Peer::start(Manners::Mute);
    let nginx = Config::weir()
        .with_api()
        .rtmp("weir_session_timeout 2s;")
        .app("live", &format!("weir_publish open; push {};", peer.url("app/key")))
        .start();
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    until("it is tried again", 20.0, || peer.calls().len() >= 2);
    nginx.wait_log("connection closed by the guard: neither published nor played in time");
    peer.becomes(Manners::Takes);
    assert_unbroken(&peer.wait_frames("key", 50).frames);
    assert!(!publisher.is_closed());
}

/// Each retry of a target that sends client commands uses one connection, and no connection is left when the target is removed.
#[test]
fn no_connection_is_left_over() {
    let nginx = source("").start();
    let (api, peer) = (nginx.api(), Peer::start(Manners::Says(intrusion())));
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    for _ in 0..3 {
        let id = add(&api, "show", &peer.url("app/key"));
        wait_state(&api, &id, "live");
        remove(&api, &id);
        until("the connection is closed", 2.0, || peer.open("key").is_empty());
        assert!(session_gone(&api, &id));
    }
    assert_eq!(peer.calls().len(), 3);
}

fn session_gone(api: &weir_tests::harness::Api, id: &str) -> bool {
    api.get(&format!("/v1/targets/{id}")).status == 404
}
