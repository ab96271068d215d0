//! Captures of each encoder with random mistakes in them: the worker survives, and other publishers and players are not affected.

use std::time::Duration;

use weir_tests::harness::recorder::replay;
use weir_tests::harness::{Make, Nginx, Player, Publisher, Random, Recorder, until};

use super::{keyed, url, wait_gone, wait_on_air};

/// Number of bytes of a capture: handshake, commands, headers, and the first seconds of media.
pub(super) const LENGTH: usize = 40_000;
/// Length of the client's part of the handshake: C0, C1 and C2 (RTMP specification, section 5.2).
const HANDSHAKE: usize = 1 + 1536 + 1536;
/// Commands and headers come before this position.
const COMMANDS: usize = HANDSHAKE + 3000;
/// No player waits longer.
const GAP: Duration = Duration::from_secs(2);

/// Returns the capture with one to eight mistakes, half of them in the commands.
fn with_mistakes(capture: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = capture.to_vec();
    for _ in 0..=random.below(8) {
        let part = match random.below(8) {
            0 => 0..HANDSHAKE,
            1..=4 => HANDSHAKE..COMMANDS,
            _ => HANDSHAKE..capture.len(),
        };
        let at = (part.start + random.below(part.len())).min(bytes.len() - 1);
        let length = (1 + random.below(16)).min(bytes.len() - at);
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.byte(),
            2 => bytes[at..at + length].fill_with(|| random.byte()),
            3 => bytes[at..at + length].fill(if random.below(2) == 0 { 0 } else { 0xff }),
            4 => drop(bytes.drain(at..at + length)),
            5 => {
                let again = bytes[at..at + length].to_vec();
                bytes.splice(at..at, again);
            }
            _ => bytes.truncate(at.max(HANDSHAKE)),
        }
    }
    bytes
}

/// Returns the first [`LENGTH`] bytes that an encoder sends while it publishes under its own name.
fn capture(nginx: &Nginx, make: Make) -> Vec<u8> {
    let recorder = Recorder::before(nginx.rtmp());
    let name = format!("{make:?}");
    let direct = url(nginx, &name);
    let url = direct.replace(&format!(":{}/", nginx.rtmp()), &format!(":{}/", recorder.port()));
    let encoder = make.publish(&url);
    wait_on_air(nginx, &name);
    until("enough to send again", 20.0, || recorder.recorded().len() >= LENGTH);
    encoder.stop();
    wait_gone(nginx, &name);
    recorder.recorded()[..LENGTH].to_vec()
}

/// Replays a capture with mistakes beside a live publisher and its player.
#[track_caller]
pub(super) fn disturb_nobody(nginx: &mut Nginx, what: &str, capture: &[u8], replays: u64) {
    // nginx-rtmp logs this for a chunk size that it refuses.
    nginx.allow("too big RTMP chunk size");
    let workers = nginx.workers();
    let beside = format!("beside-{what}");
    let key = nginx.api().create_key("live", &beside).key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let player = Player::start(nginx.rtmp(), &format!("live/{beside}"));
    player.wait_video(20);
    // Without mistakes, the capture is accepted.
    assert!(replay(nginx.rtmp(), capture));
    for seed in 0..replays {
        let bytes = with_mistakes(capture, &mut Random::new(seed));
        let closed = replay(nginx.rtmp(), &bytes);
        assert_eq!(nginx.workers(), workers, "{what}, seed {seed}");
        assert!(closed, "{what}, seed {seed}: the connection stays open");
    }
    player.wait_video(20);
    assert!(!publisher.is_closed() && player.seen().gap() < GAP, "{:?}", player.seen().gap());
}

#[test]
fn captures_with_mistakes_disturb_nobody() {
    let mut nginx = keyed().start();
    for make in Make::ALL {
        let capture = capture(&nginx, make);
        disturb_nobody(&mut nginx, &format!("{make:?}"), &capture, 150);
    }
}

#[test]
#[ignore = "make test-long: it takes minutes"]
fn thousands_of_captures_with_mistakes_disturb_nobody() {
    let mut nginx = keyed().start();
    for make in Make::ALL {
        let capture = capture(&nginx, make);
        disturb_nobody(&mut nginx, &format!("{make:?}"), &capture, 3000);
    }
}
