//! The guard disconnects a client that is silent for too long: in the handshake, without a publish, without media, after media, or because
//! of a pulled cable.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use weir_rtmp::message::{Message, MessageKind};
use weir_tests::harness::{Netns, Nginx, Publisher, until, until_ok};

use super::{Bystanders, Stranger, assert_refused, refusals, server};

const SHORT: &str = "weir_session_timeout 1s; weir_idle_publisher 1s;";
/// The same settings without the guard.
const OFF: &str = "weir_guard off; weir_session_timeout 1s; weir_idle_publisher 1s;";

fn publishes(nginx: &Nginx) -> Stranger {
    let mut stranger = Stranger::connects(nginx).publishes(b"show");
    until("it is published", 5.0, || !stranger.statuses().is_empty());
    stranger
}

fn media(kind: MessageKind, payload: &[u8]) -> Message {
    Message { kind, stream_id: 1, timestamp: 0, payload: payload.to_vec() }
}

fn publishes_a_frame(nginx: &Nginx) -> Stranger {
    publishes(nginx).says(6, &media(MessageKind::VIDEO, &[0x27, 1, 0, 0, 0, 0]))
}

/// Sends a message again and again, until the server closes the connection.
fn repeats(mut stranger: Stranger, message: &Message) {
    until("the server ends the connection", 10.0, || {
        stranger.send(4, message);
        stranger.is_closed()
    });
}

#[test]
fn who_connects_and_is_silent_is_sent_away() {
    assert_refused(
        server(SHORT),
        "session_timeout",
        "neither published nor played in time",
        Stranger::connects,
    );
}

#[test]
fn who_shakes_hands_and_is_silent_is_sent_away() {
    assert_refused(
        server(SHORT),
        "session_timeout",
        "neither published nor played in time",
        Stranger::arrives,
    );
}

#[test]
fn who_publishes_and_sends_no_media_is_sent_away() {
    assert_refused(server(SHORT), "no_media", "published without audio or video", publishes);
}

#[test]
fn who_stops_to_send_media_is_sent_away() {
    assert_refused(server(SHORT), "idle_publisher", "publisher idle", publishes_a_frame);
}

/// Some encoders send empty audio while they are paused. Empty audio does not count as media, nor does a repeated codec header.
#[test]
fn empty_messages_and_codec_headers_are_no_media() {
    let silent: [(MessageKind, &[u8]); 4] = [
        (MessageKind::AUDIO, b""),
        (MessageKind::AUDIO, &[0xaf, 1]),
        (MessageKind::AUDIO, &[0xaf, 0, 0x12, 0x10]),
        (MessageKind::VIDEO, &[0x27, 1, 0, 0, 0]),
    ];
    let nginx = server(SHORT).start();
    for (nth, (kind, payload)) in silent.into_iter().enumerate() {
        let message = media(kind, payload);
        repeats(publishes_a_frame(&nginx), &message);
        until("it is counted as idle", 5.0, || refusals(&nginx, "idle_publisher") == nth as u64 + 1);
        repeats(publishes(&nginx), &message);
        until("it is counted as without media", 5.0, || refusals(&nginx, "no_media") == nth as u64 + 1);
    }
}

/// A default of Weir does not override nginx-rtmp's own directives.
#[test]
fn what_the_admin_allows_is_no_longer_than_that() {
    assert_refused(
        server("drop_idle_publisher 1s;"),
        "no_media",
        "published without audio or video",
        publishes,
    );
}

/// Publishes one frame to this application, and nothing more.
fn idles_in(nginx: &Nginx, app: &str) -> Stranger {
    let stranger = Stranger::connects_to(nginx, app).publishes(b"show");
    stranger.says(6, &media(MessageKind::VIDEO, &[0x27, 1, 0, 0, 0, 0]))
}

/// nginx-rtmp stores the same value for `off` and for no directive.
#[test]
fn off_is_no_limit_and_nothing_is_the_default() {
    let nginx = server("").app("off", "drop_idle_publisher off;").start();
    let mut patient = idles_in(&nginx, "off");
    let mut usual = idles_in(&nginx, "live");
    assert!(until_ok(20.0, || usual.is_closed()).is_some());
    assert!(!patient.is_closed());
    let inherited = server("drop_idle_publisher off;").app("short", "drop_idle_publisher 1s;").start();
    let mut patient = idles_in(&inherited, "live");
    idles_in(&inherited, "short").wait_sent_away();
    assert!(!patient.is_closed());
}

#[test]
fn what_the_admin_allows_wins_over_the_defaults() {
    let allowed = server("timeout 120s; drop_idle_publisher 60s;")
        .app("patient", "drop_idle_publisher 120s;")
        .app("for-ever", "drop_idle_publisher off;")
        .app("zero", "drop_idle_publisher 0;")
        .start();
    // A reload reads the directives again.
    allowed.reload();
    let explicit =
        server("timeout 120s; drop_idle_publisher 120s; weir_session_timeout 1s; weir_idle_publisher 1s;")
            .start();
    let acts: [fn(&Nginx) -> Stranger; 4] = [
        Stranger::connects,
        |nginx| idles_in(nginx, "patient"),
        |nginx| idles_in(nginx, "for-ever"),
        |nginx| idles_in(nginx, "zero"),
    ];
    let mut patient: Vec<_> = acts.iter().map(|act| act(&allowed)).collect();
    // An explicit directive of Weir is in force.
    Stranger::connects(&explicit).wait_sent_away();
    publishes_a_frame(&explicit).wait_sent_away();
    assert!(until_ok(12.0, || patient.iter_mut().any(Stranger::is_closed)).is_none());
}

#[test]
fn without_the_guard_the_silent_stay() {
    let nginx = server(OFF).start();
    let acts: [fn(&Nginx) -> Stranger; 4] =
        [Stranger::arrives, Stranger::connects, publishes, publishes_a_frame];
    let mut strangers: Vec<_> = acts.iter().map(|act| act(&nginx)).collect();
    assert!(until_ok(3.0, || strangers.iter_mut().any(Stranger::is_closed)).is_none());
}

/// Sends a byte now and then for `seconds`; returns false if the server closes the connection earlier.
fn crawls(nginx: &Nginx, seconds: u64) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", nginx.rtmp())).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(seconds) {
        let sent = stream.write(&[3]).is_ok();
        let read = stream.read(&mut [0; 16]);
        if !sent || read.is_ok_and(|count| count == 0) {
            return false;
        }
    }
    true
}

#[test]
fn a_handshake_that_crawls_is_ended() {
    let nginx = server(SHORT).start();
    let bystanders = Bystanders::of(&nginx);
    assert!(!crawls(&nginx, 6));
    until("it is counted", 5.0, || refusals(&nginx, "session_timeout") == 1);
    bystanders.are_undisturbed(&nginx);
    assert!(crawls(&server(OFF).start(), 3));
}

#[test]
fn zero_is_for_ever() {
    let nginx = server("weir_session_timeout 0; weir_idle_publisher 0;").start();
    let acts: [fn(&Nginx) -> Stranger; 3] = [Stranger::connects, publishes, publishes_a_frame];
    let mut strangers: Vec<_> = acts[..2].iter().map(|act| act(&nginx)).collect();
    assert!(until_ok(3.0, || strangers.iter_mut().any(Stranger::is_closed)).is_none());
}

/// The defaults leave encoders enough time to begin.
#[test]
fn nobody_is_hurried() {
    let nginx = server("").start();
    let silent = publishes(&nginx);
    let mut strangers = [Stranger::connects(&nginx), silent];
    assert!(until_ok(5.0, || strangers.iter_mut().any(Stranger::is_closed)).is_none());
}

#[test]
fn a_pulled_cable_frees_the_name_and_does_not_steal_it_back() {
    let net = Netns::create();
    let nginx = server(SHORT).app("keyed", "weir_publish key;").reached_from(&net).start();
    let key = nginx.api().create_key("keyed", "show").key;
    let path = format!("keyed/{key}");
    let first = Publisher::to(nginx.rtmp(), &path).across(&net, 7).start().started();
    first.send_more(300);
    net.pull();
    let second = until("the name is free", 10.0, || {
        let publisher = Publisher::to(nginx.rtmp(), &path).start();
        (publisher.outcome() == weir_tests::harness::Outcome::Started).then_some(publisher)
    });
    net.plug();
    first.wait_closed(20.0);
    second.send_more(500);
    assert!(!second.is_closed());
}

#[test]
fn without_the_guard_a_pulled_cable_keeps_the_name() {
    let net = Netns::create();
    let nginx = server(OFF).reached_from(&net).start();
    let first = Publisher::to(nginx.rtmp(), "live/show").across(&net, 7).start().started();
    first.send_more(300);
    net.pull();
    let begin = Instant::now();
    until("three seconds have passed", 5.0, || {
        let second = Publisher::to(nginx.rtmp(), "live/show").start();
        assert_ne!(second.outcome(), weir_tests::harness::Outcome::Started);
        begin.elapsed() > Duration::from_secs(3)
    });
}
