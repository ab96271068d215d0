//! The refusals of the guard. With the guard, each attack is refused, logged once and counted, and nobody else is disturbed. Without the
//! guard, the same attack does harm; if it does none, the guard needs no rule against it. `WEIR_SANITIZED=1` runs the tests with a
//! sanitized nginx.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod before_connect;
mod connections;
mod depth;
mod disk;
mod fuzz;
mod guests;
mod lengths;
mod publishes;
mod reloads;
mod silence;
mod stranger;

use weir_tests::harness::nginx::Config;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Api, Nginx, Player, Publisher, metrics, until};

use stranger::{Events, Stranger};

/// Returns a server with an application `live` that needs no key, so every refusal there comes from the guard.
fn server(rtmp: &str) -> Config {
    Config::weir().with_api().rtmp(rtmp).http("location /metrics { weir_stat prometheus; }").app("live", "")
}

/// Returns the same server without the guard.
fn unguarded() -> Config {
    server("weir_guard off;")
}

/// Clients that have nothing to do with the attack: a publisher and a player.
struct Bystanders {
    publisher: Publisher,
    player: Player,
    worker: Process,
}

impl Bystanders {
    #[track_caller]
    fn of(nginx: &Nginx) -> Self {
        let publisher = Publisher::to(nginx.rtmp(), "live/bystander").start().started();
        let player = Player::start(nginx.rtmp(), "live/bystander");
        player.wait_video(5);
        Self { publisher, player, worker: nginx.workers()[0] }
    }

    #[track_caller]
    fn are_undisturbed(&self, nginx: &Nginx) {
        self.player.wait_video(10);
        assert!(!self.publisher.is_closed());
        assert!(self.player.seen().gap().as_secs_f64() < 2.0, "{:?}", self.player.seen().gap());
        assert_eq!(nginx.workers(), [self.worker]);
    }
}

/// Asserts that `act`, done twice, is refused each time for `reason`, which the log calls `text`, and that the refusal is counted, logged
/// once and reported as an event, while other clients continue.
#[track_caller]
fn assert_refused(config: Config, reason: &str, text: &str, act: impl Fn(&Nginx) -> Stranger) {
    let nginx = config.start();
    let bystanders = Bystanders::of(&nginx);
    let mut events = Events::open(&nginx);
    for count in 1..=2 {
        act(&nginx).wait_sent_away();
        until("it is counted", 5.0, || refusals(&nginx, reason) == count);
    }
    let event = events.next_of("guard.refused");
    assert_eq!((&event["reason"], &event["addr"]), (&reason.into(), &"127.0.0.1".into()), "{event}");
    let lines = nginx.log_lines(&format!("connection closed by the guard: {text}"));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("client: 127.0.0.1"), "{}", lines[0]);
    bystanders.are_undisturbed(&nginx);
}

/// Returns how often the guard refused something for this reason.
#[track_caller]
fn refusals(nginx: &Nginx, reason: &str) -> u64 {
    let text = Api::new(&nginx.url("")).get("/metrics").text;
    let series = ("weir_guard_refused_total".to_owned(), vec![("reason".to_owned(), reason.to_owned())]);
    metrics::read(&text)[&series] as u64
}

/// Allows the death of a worker without a failure of the test.
fn allow_death(nginx: &mut Nginx) {
    // The last two are reports of the sanitized nginx.
    ["exited on signal", "Sanitizer", "runtime error"].iter().for_each(|part| nginx.allow(part));
}

/// Asserts that, without the guard, `act` kills a worker.
#[track_caller]
fn assert_fatal(act: impl Fn(&Nginx) -> Stranger) {
    let mut nginx = unguarded().start();
    allow_death(&mut nginx);
    let bystanders = Bystanders::of(&nginx);
    let _stranger = act(&nginx);
    nginx.wait_log("exited on signal");
    bystanders.publisher.wait_closed(5.0);
}
