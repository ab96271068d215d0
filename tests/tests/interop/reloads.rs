//! `rtmp_auto_push on;` and ten reloads in a row with real encoders live: no worker dies, and players see no gap.

use std::time::Duration;

use weir_tests::harness::{Make, Player, until};

use super::{assert_nothing_refused, keyed, url, wait_gone, wait_on_air};

const RELOADS: usize = 10;
const GAP: Duration = Duration::from_secs(2);

#[test]
fn encoders_and_players_live_through_reloads() {
    let nginx = keyed().workers(2).main("rtmp_auto_push on;").start();
    let shows: Vec<_> = Make::ALL.into_iter().map(|make| (make, format!("{make:?}"))).collect();
    let mut encoders: Vec<_> = shows.iter().map(|(make, name)| make.publish(&url(&nginx, name))).collect();
    let players: Vec<_> = shows
        .iter()
        .map(|(_, name)| {
            wait_on_air(&nginx, name);
            let player = Player::start(nginx.rtmp(), &format!("live/{name}"));
            player.wait_video(10);
            player
        })
        .collect();
    for _ in 0..RELOADS {
        nginx.reload();
        for (_, name) in &shows {
            // The player is on a new worker, which gets the stream from an old one.
            Player::start(nginx.rtmp(), &format!("live/{name}")).wait_video(3);
        }
    }
    for ((player, encoder), (_, name)) in players.iter().zip(&mut encoders).zip(&shows) {
        player.wait_video(10);
        let seen = player.seen();
        assert!(!seen.closed && seen.gap() < GAP, "{name}: {seen:?}");
        assert!(!encoder.has_ended(), "{name}: {}", encoder.messages());
        let stream = nginx.api().stream("live", name).unwrap();
        assert!(stream["viewers"]["rtmp"].as_u64() >= Some(1), "{stream}");
    }
    drop(players);
    for (encoder, (_, name)) in encoders.into_iter().zip(&shows) {
        encoder.stop();
        wait_gone(&nginx, name);
    }
    until("the old workers end", 10.0, || nginx.draining().is_empty());
    assert_nothing_refused(&nginx);
}
