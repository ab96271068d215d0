//! Players behind slow and long links: merged writes lose no picture that nginx-rtmp alone does not lose, and delay none for longer than the
//! directive allows.

use std::net::SocketAddr;
use std::time::Duration;

use weir_rtmp::flv::{Tag, TagKind};
use weir_tests::harness::line::Line;
use weir_tests::harness::netns::Netns;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Player, Publisher, until, wait};

/// Bytes of a picture: with 20 pictures per second, about 900 kbit/s.
const PICTURE: usize = 5_500;
/// Time of media for each link.
const SECONDS: f64 = 12.0;

/// What one player behind a link got.
#[derive(Debug)]
struct Seen {
    /// Pictures that a player without a link got, and that this player did not get.
    lost: usize,
    of: usize,
    gap: Duration,
}

fn watch(config: Config, kbit: u32, round_trip: u32) -> Seen {
    let net = Netns::create();
    let line = Line::lay(&net, kbit, round_trip);
    let nginx = config.server(&format!("listen {}:@RTMP@; timeout 60s;", line.here())).start();
    let grow = |mut tag: Tag| {
        if tag.kind == TagKind::Video && !tag.is_header() {
            tag.payload.resize(PICTURE, 7);
        }
        Some(tag)
    };
    let publisher = Publisher::to(nginx.rtmp(), "live/show").edited(grow).start().started();
    let near = Player::start(nginx.rtmp(), "live/show");
    let at = SocketAddr::from((line.here(), nginx.rtmp()));
    let far = net.inside(|| Player::start_at(at, "live/show"));
    far.wait_video(20);
    let (before, begun) = ((near.seen().video, far.seen().video), publisher.sent_ms());
    wait::until("the media are sent", SECONDS + 30.0, || {
        f64::from(publisher.sent_ms() - begun) > SECONDS * 1000.0
    });
    publisher.kill();
    let of = near.seen().video - before.0;
    // What is under way arrives.
    let mut last = (0, std::time::Instant::now());
    until("the last picture arrives", 60.0, || {
        let count = far.seen().video;
        if count != last.0 {
            last = (count, std::time::Instant::now());
        }
        last.1.elapsed() > Duration::from_secs(2)
    });
    let seen = far.seen();
    Seen { lost: of.saturating_sub(seen.video - before.1), of, gap: seen.longest_gap }
}

#[test]
#[ignore = "two minutes: make test-long"]
fn no_picture_is_lost_that_nginx_rtmp_does_not_lose() {
    for (kbit, round_trip) in [(500, 40), (1500, 40), (1500, 120), (4000, 120)] {
        let weir = |merge: &str| {
            Config::weir()
                .main("weir_zone 4m;")
                .app("live", &format!("weir_publish open; weir_merge_write {merge};"))
        };
        let servers = [
            ("nginx-rtmp alone", Config::stock().app("live", "")),
            ("off", weir("off")),
            ("0", weir("0")),
            ("60ms", weir("60ms")),
        ];
        let seen = std::thread::scope(|scope| {
            let start = |(name, config)| scope.spawn(move || (name, watch(config, kbit, round_trip)));
            let all: Vec<_> = servers.into_iter().map(start).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        println!("{kbit} kbit/s, {round_trip} ms: {seen:?}");
        let stock = &seen[0].1;
        for (name, ours) in &seen[1..] {
            // The link drops packets at other moments for each player: the tenth of a second is two pictures.
            let most = stock.lost + stock.of / 50;
            assert!(
                ours.lost <= most,
                "{kbit} kbit/s, {round_trip} ms: weir_merge_write {name} lost {ours:?}, stock {stock:?}"
            );
            if kbit > 1000 {
                assert!(
                    ours.gap < Duration::from_secs(1),
                    "{kbit} kbit/s, {round_trip} ms: {name}: {ours:?}"
                );
            }
        }
    }
}
