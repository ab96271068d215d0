//! A limit on connections per address that neither publish nor play: one stranger does not use up the server's connections.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

use weir_tests::harness::clients::Way;
use weir_tests::harness::{Netns, Outcome, Player, Publisher, until, until_ok};

use super::{Bystanders, Events, Stranger, refusals, server};

/// More connections than a worker accepts in these tests.
const MANY: usize = 100;

/// Opens `count` connections from address 7, and sends nothing.
fn idle(net: &Netns, port: u16, count: usize) -> Vec<TcpStream> {
    let streams: Vec<_> = (0..count).map(|_| net.connect(7, port).unwrap()).collect();
    streams.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    streams
}

/// Returns how many of them the server has not closed.
fn open(streams: &mut [TcpStream]) -> usize {
    let is_open = |stream: &mut TcpStream| {
        let read = stream.read(&mut [0; 1]);
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    streams.iter_mut().map(is_open).filter(|open| *open).count()
}

#[test]
fn more_idle_connections_than_allowed_are_refused() {
    let net = Netns::create();
    let nginx = server("").connections(80).reached_from(&net).start();
    let bystanders = Bystanders::of(&nginx);
    let mut events = Events::open(&nginx);
    let mut streams = idle(&net, nginx.rtmp(), MANY);
    until("all but 32 are refused", 5.0, || open(&mut streams) == 32);
    until("they are counted", 5.0, || refusals(&nginx, "too_many_connections") == MANY as u64 - 32);
    let event = events.next_of("guard.refused");
    assert_eq!(
        (&event["reason"], &event["addr"]),
        (&"too_many_connections".into(), &net.address(7).to_string().into())
    );
    assert_eq!(
        nginx.log_lines("connection closed by the guard: too many connections from this address").len(),
        1
    );
    // Other addresses are not affected.
    let publisher = Publisher::to(nginx.rtmp(), "live/show").across(&net, 8).start().started();
    Player::start_across(&net, 9, nginx.rtmp(), "live/show").wait_video(5);
    assert!(!publisher.is_closed());
    bystanders.are_undisturbed(&nginx);
    assert_eq!(open(&mut streams), 32);
}

#[test]
fn without_the_guard_idle_connections_keep_publishers_out() {
    let net = Netns::create();
    let mut nginx = server("weir_guard off;").connections(80).reached_from(&net).start();
    nginx.allow("worker_connections are not enough");
    let _streams = idle(&net, nginx.rtmp(), MANY);
    nginx.wait_log("worker_connections are not enough");
    let publisher = Publisher::to(nginx.rtmp(), "live/show").across(&net, 8).start();
    assert_eq!(publisher.outcome(), Outcome::Closed);
}

#[test]
fn who_publishes_or_plays_is_not_counted() {
    let net = Netns::create();
    let nginx = server("weir_limit_unauthenticated 3;").reached_from(&net).start();
    let publishers: Vec<_> = (0..6)
        .map(|nth| Publisher::to(nginx.rtmp(), &format!("live/s{nth}")).across(&net, 7).start().started())
        .collect();
    let players: Vec<_> = (0..6)
        .map(|nth| {
            let player = Player::start_across(&net, 7, nginx.rtmp(), &format!("live/s{nth}"));
            player.wait_video(1);
            player
        })
        .collect();
    players.iter().for_each(|player| player.wait_video(3));
    assert!(!publishers.iter().any(Publisher::is_closed));
    assert_eq!(refusals(&nginx, "too_many_connections"), 0);
}

#[test]
fn a_connection_that_ends_makes_room() {
    let net = Netns::create();
    let nginx = server("weir_limit_unauthenticated 3;").reached_from(&net).start();
    for _ in 0..5 {
        let mut streams = idle(&net, nginx.rtmp(), 5);
        until("two are refused", 5.0, || open(&mut streams) == 3);
        drop(streams);
        let way = || Way::Across(net.clone(), 7, nginx.rtmp());
        until("there is room again", 5.0, || {
            let mut streams = idle(&net, nginx.rtmp(), 1);
            until_ok(0.3, || open(&mut streams) == 0).is_none()
        });
        let _stranger = Stranger::over(way());
    }
}

#[test]
fn loopback_is_exempt() {
    let nginx = server("weir_limit_unauthenticated 3;").start();
    let mut streams: Vec<_> =
        (0..10).map(|_| TcpStream::connect(("127.0.0.1", nginx.rtmp())).unwrap()).collect();
    streams.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    assert!(until_ok(1.0, || open(&mut streams) < 10).is_none());
}
