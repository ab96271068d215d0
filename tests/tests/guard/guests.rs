//! A connection earns trust by an accepted publish or by media, not by a command: until then it counts against the limit of its address,
//! has a deadline, and may leave only little data unfinished.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use weir_rtmp::chunk::{Format, Header};
use weir_rtmp::message::{Message, MessageKind};
use weir_tests::harness::clients::Way;
use weir_tests::harness::{Netns, Nginx, Player, Publisher, until, until_ok};

use super::{Bystanders, Stranger, assert_refused, refusals, server};

const FEW: &str = "weir_limit_unauthenticated 3;";

fn frame(bytes: usize) -> Message {
    let payload = [&[0x17, 1, 0, 0, 0][..], &vec![0x41; bytes]].concat();
    Message { kind: MessageKind::VIDEO, stream_id: 1, timestamp: 0, payload }
}

fn close_stream() -> Message {
    Message::command(1, "closeStream", 5.0, |w| w.null())
}

/// Six strangers from one address do `act`; three of them stay connected.
#[track_caller]
fn three_of_six_stay(rtmp: &str, act: impl Fn(Stranger) -> Stranger) {
    let net = Netns::create();
    let nginx = server(&format!("{FEW} {rtmp}")).reached_from(&net).start();
    let mut all: Vec<_> =
        (0..6).map(|_| act(Stranger::over(Way::Across(net.clone(), 7, nginx.rtmp())).connect())).collect();
    let mut open = || all.iter_mut().map(|stranger| !stranger.is_closed()).filter(|open| *open).count();
    until("three are left", 10.0, || open() == 3);
    assert!(until_ok(1.0, || open() < 3).is_none());
    assert_eq!(refusals(&nginx, "too_many_connections"), 3);
    // Another address is not affected.
    Publisher::to(nginx.rtmp(), "live/show").across(&net, 8).start().started();
}

#[test]
fn players_that_wait_for_their_stream_are_counted() {
    three_of_six_stay("", |stranger| stranger.plays("nothing"));
}

#[test]
fn players_by_play2_are_counted() {
    let play2 = Message::command(1, "play2", 4.0, |w| {
        w.null().begin_object().key("streamName").string(b"nothing").end()
    });
    three_of_six_stay("", |stranger| stranger.says(8, &play2));
}

#[test]
fn publishers_without_media_are_counted() {
    let names = std::cell::Cell::new(0);
    three_of_six_stay("weir_idle_publisher 0;", |stranger| {
        names.set(names.get() + 1);
        stranger.publishes(format!("s{}", names.get()).as_bytes())
    });
}

#[test]
fn who_plays_and_closes_the_stream_is_counted() {
    three_of_six_stay("", |stranger| stranger.plays("nothing").says(8, &close_stream()));
}

#[test]
fn a_player_that_waits_may_stay_and_gets_its_stream() {
    let net = Netns::create();
    let nginx = server(&format!("{FEW} weir_session_timeout 1s;")).reached_from(&net).start();
    let players: Vec<_> = (0..3).map(|_| Player::start_across(&net, 7, nginx.rtmp(), "live/show")).collect();
    assert!(until_ok(3.0, || refusals(&nginx, "session_timeout") > 0).is_none());
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").across(&net, 8).start().started();
    players.iter().for_each(|player| player.wait_video(3));
    // A player that gets media no longer counts, so another player may connect.
    let one_more = |_| {
        let player = Player::start_across(&net, 7, nginx.rtmp(), "live/show");
        player.wait_video(3);
        player
    };
    let _more: Vec<_> = (0..4).map(one_more).collect();
    assert_eq!(refusals(&nginx, "too_many_connections"), 0);
}

#[test]
fn who_plays_and_closes_the_stream_has_a_deadline() {
    let text = "neither published nor played in time";
    assert_refused(server("weir_session_timeout 1s;"), "session_timeout", text, |nginx| {
        Stranger::connects(nginx).plays("nothing").says(8, &close_stream())
    });
}

#[test]
fn players_that_wait_have_a_deadline_where_connections_are_scarce() {
    let nginx = server("weir_session_timeout 1s;").connections(64).start();
    let bystanders = Bystanders::of(&nginx);
    let mut waiting: Vec<_> = (0..48).map(|_| Stranger::connects(&nginx).plays("nothing")).collect();
    let mut open = || waiting.iter_mut().map(|stranger| !stranger.is_closed()).filter(|open| *open).count();
    until("some make room", 10.0, || open() < 48);
    until("no more have to go", 10.0, || {
        let before = open();
        until_ok(2.0, || open() < before).is_none()
    });
    bystanders.are_undisturbed(&nginx);
}

#[test]
fn a_publish_on_a_connection_that_plays_is_refused() {
    let nginx = server("").start();
    let mut stranger = Stranger::connects(&nginx).plays("nothing").publishes(b"show");
    stranger.wait_status("NetStream.Publish.BadName");
    stranger.wait_sent_away();
    assert!(nginx.api().streams().is_empty());
    // After it has closed its stream the connection may publish, and the rules for publishers apply.
    let mut stranger =
        Stranger::connects(&nginx).plays("nothing").says(8, &close_stream()).publishes(b"show");
    stranger.wait_status("NetStream.Publish.Start");
}

#[test]
fn a_publisher_that_plays_as_well_has_its_deadline() {
    assert_refused(
        server("weir_idle_publisher 1s;"),
        "no_media",
        "published without audio or video",
        |nginx| Stranger::publishing(nginx).plays("nothing"),
    );
}

/// Begins messages on many chunk streams, and ends none of them.
fn begins_many(nginx: &Nginx) -> Stranger {
    (4..24).fold(Stranger::connects(nginx), |stranger, chunk_stream| {
        let header = Header {
            format: Format::Full,
            chunk_stream,
            time: 0,
            length: 900_000,
            kind: MessageKind::VIDEO,
            stream_id: 1,
        };
        // The chunks have the size that the client announced.
        (0..3).fold(stranger.sends_chunk(&header, &[0; 4096]), |stranger, _| {
            stranger.sends_chunk(&Header { format: Format::Nothing, ..header }, &[0; 4096])
        })
    })
}

#[test]
fn unfinished_messages_without_a_publish_are_refused() {
    let text = "more than 65536 bytes of unfinished messages";
    assert_refused(server(""), "unfinished", text, begins_many);
}

#[test]
fn a_large_message_without_a_publish_is_refused() {
    let text = "more than 65536 bytes of unfinished messages";
    let large = Message::command(0, "createStream", 1.0, |w| {
        w.null().string(&[b'x'; 60_000]).string(&[b'x'; 60_000])
    });
    for message in [large, frame(100_000)] {
        assert_refused(server(""), "unfinished", text, |nginx| Stranger::connects(nginx).says(3, &message));
        assert_refused(server(""), "unfinished", text, |nginx| {
            Stranger::connects(nginx).plays("nothing").says(3, &message)
        });
    }
}

#[test]
fn a_publisher_sends_large_frames() {
    let nginx = server("max_message 8m;").start();
    let mut stranger = Stranger::publishing(&nginx).says(6, &frame(1)).says(6, &frame(4 << 20));
    until("all of it came", 10.0, || {
        assert!(!stranger.is_closed());
        nginx.api().streams().iter().any(|stream| stream["bytes_in"].as_u64() > Some(4 << 20))
    });
}

/// An encoder may not wait for `NetStream.Publish.Start`: its data waits in the socket until `on_publish` has answered.
#[test]
fn large_frames_wait_for_the_answer_of_on_publish() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = format!("on_publish http://{}/;", listener.local_addr().unwrap());
    let (asked, is_asked) = mpsc::channel();
    let (answer, may_answer) = mpsc::channel::<()>();
    let backend = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let _ = connection.read(&mut [0; 4096]);
        asked.send(()).unwrap();
        may_answer.recv_timeout(Duration::from_secs(60)).unwrap();
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let nginx = server("").app("asked", &hook).start();
    let mut stranger = Stranger::connects_to(&nginx, "asked").publishes(b"show");
    until("the backend is asked", 10.0, || stranger.statuses().is_empty() && is_asked.try_recv().is_ok());
    stranger = (0..3).fold(stranger, |stranger, _| stranger.says(6, &frame(300_000)));
    assert!(until_ok(1.0, || stranger.is_closed()).is_none());
    answer.send(()).unwrap();
    backend.join().unwrap();
    until("all of it came", 10.0, || {
        assert!(!stranger.is_closed());
        nginx.api().streams().iter().any(|stream| stream["bytes_in"].as_u64() > Some(600_000))
    });
}

/// Cameras behind one address reconnect simultaneously: more of them than the limit, each about to publish.
fn come_at_once(net: &Netns, nginx: &Nginx, count: usize) -> bool {
    let all_there = Arc::new(Barrier::new(count));
    let cameras: Vec<_> = (0..count)
        .map(|nth| {
            let (way, all_there) = (Way::Across(net.clone(), 7, nginx.rtmp()), all_there.clone());
            thread::spawn(move || {
                let stranger = Stranger::over(way);
                all_there.wait();
                let mut stranger = stranger.connect().publishes(format!("camera{nth}").as_bytes());
                until_ok(10.0, || !stranger.statuses().is_empty() || stranger.is_closed());
                stranger.says(6, &frame(1))
            })
        })
        .collect();
    let mut cameras: Vec<_> = cameras.into_iter().map(|camera| camera.join().unwrap()).collect();
    cameras.iter_mut().all(|camera| !camera.is_closed() && !camera.statuses().is_empty())
}

#[test]
fn many_that_go_on_quickly_are_not_refused() {
    let net = Netns::create();
    let nginx = server(FEW).reached_from(&net).start();
    // On a busy machine a camera may be too slow, so the test retries.
    until("all are live", 60.0, || come_at_once(&net, &nginx, 10));
}
