//! If an address guesses keys, each attempt is refused, the log does not fill up, and publishers with a valid key are not locked out,
//! however fast it guesses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use weir_tests::harness::nginx::Config;
use weir_tests::harness::publisher::Builder;
use weir_tests::harness::{Api, Flood, Netns, Player, Publisher, metrics, took, until};

use super::{BAD_NAME, keyed, wait_gone};

#[test]
fn wrong_keys_are_logged_ten_times_a_minute_and_then_counted() {
    let nginx = keyed().workers(2).start();
    let key = nginx.api().create_key("live", "show").key;
    for n in 0..25 {
        Publisher::to(nginx.rtmp(), &format!("live/wk_guess{n}")).from("127.0.0.9").start().refused(BAD_NAME);
    }
    let lines = |nginx: &weir_tests::harness::Nginx| nginx.log_lines("publish refused: unknown key").len();
    assert_eq!(lines(&nginx), 10);
    // Other addresses are not affected.
    Publisher::to(nginx.rtmp(), "live/wk_guess").from("127.0.0.10").start().refused(BAD_NAME);
    assert_eq!(lines(&nginx), 11);
    // A valid key is always accepted, and a refusal for another reason is still logged.
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).from("127.0.0.9").start().started();
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).from("127.0.0.9").start().refused(BAD_NAME);
    assert_eq!(nginx.log_lines("publish refused: already publishing").len(), 1);
    publisher.send_more(200);
    let summary = "publish refused: unknown key, 15 more times, client: 127.0.0.9";
    until("the minute's summary", 75.0, || nginx.log().contains(summary));
    assert_eq!(lines(&nginx), 12);
}

/// Checks the log lines, the events and the counter when one address is refused again and again.
#[test]
fn each_reason_is_told_ten_times_a_minute_and_counted_always() {
    let nginx = keyed().http("location /metrics { weir_stat prometheus; }").start();
    let reasons = [("bad_argument", "a?addr=1"), ("not_text", "caf\u{e9}"), ("too_long", &"n".repeat(256))];
    for (reason, name) in reasons {
        for _ in 0..14 {
            Publisher::to(nginx.rtmp(), "live/x")
                .name(name.as_bytes())
                .from("127.0.0.9")
                .start()
                .refused(BAD_NAME);
        }
        let series =
            ("weir_publish_refused_total".to_owned(), vec![("reason".to_owned(), reason.to_owned())]);
        let counted = metrics::read(&Api::new(&nginx.url("")).get("/metrics").text)[&series];
        assert_eq!(counted as u64, 14, "{reason}");
    }
    // Each reason has ten lines and no more; the last one shows that another address has its own limit.
    assert_eq!(nginx.log_lines("publish refused").len(), 30);
    Publisher::to(nginx.rtmp(), "live/a?addr=1").from("127.0.0.10").start().refused(BAD_NAME);
    assert_eq!(nginx.log_lines("publish refused: argument \"addr\" is reserved").len(), 11);
}

/// nginx-rtmp logs an error for each player whose stream does not exist, and for each connection above the limit.
#[test]
fn error_lines_of_nginx_rtmp_are_told_ten_times_a_minute() {
    let nginx = keyed().rtmp("max_connections 4;").app("strict", "idle_streams off;").start();
    let _publisher = Publisher::to(nginx.rtmp(), "strict/show").start().started();
    let play = |from: &str| {
        let player = Player::start_from(from, nginx.rtmp(), "strict/none");
        until("the player is sent away", 5.0, || player.seen().closed);
    };
    (0..14).for_each(|_| play("127.0.0.9"));
    assert_eq!(nginx.log_lines("live: stream not found").len(), 10);
    play("127.0.0.10");
    assert_eq!(nginx.log_lines("live: stream not found").len(), 11);
    let held: Vec<_> = (0..3)
        .map(|_| {
            let publisher = Publisher::to(nginx.rtmp(), "strict/none").unconnected().start();
            publisher.wait_handshaken();
            publisher
        })
        .collect();
    for _ in 0..14 {
        let more = Publisher::to(nginx.rtmp(), "strict/none").from("127.0.0.11").unconnected().start();
        more.wait_closed(5.0);
    }
    assert_eq!(nginx.log_lines("limit: too many connections").len(), 10);
    drop(held);
}

#[test]
fn many_addresses_do_not_fill_the_table() {
    let nginx = keyed().start();
    let key = nginx.api().create_key("live", "show").key;
    let used = nginx.api().get("/v1/health").expect(200)["zone"]["used"].clone();
    for n in 1..=120 {
        Publisher::to(nginx.rtmp(), "live/wk_guess").from(&format!("127.0.1.{n}")).start().refused(BAD_NAME);
    }
    assert_eq!(nginx.api().get("/v1/health").expect(200)["zone"]["used"], used);
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).from("127.0.1.1").start().started();
}

/// Returns a configuration with the log level of nginx's default `error_log`.
fn logging_errors() -> Config {
    Config { log_level: "error".to_owned(), ..keyed() }
}

/// While many keys are tried, a publisher with a valid key starts five times over `seconds`. `way` selects the address that it connects
/// from or to.
#[track_caller]
fn five_starts(
    config: Config,
    flood: impl FnOnce(u16) -> Flood,
    way: impl Fn(Builder) -> Builder,
    seconds: u32,
) {
    const STARTS: u32 = 5;
    let nginx = config.start();
    let path = format!("live/{}", nginx.api().create_key("live", "show").key);
    let memory = || nginx.workers().iter().map(|worker| worker.memory()).sum::<u64>();
    let flood = flood(nginx.rtmp());
    until("keys are tried", 10.0, || flood.refused() > 500);
    let counts = || [flood.connected(), flood.refused()];
    let (begin, before, memory_before) = (Instant::now(), counts(), memory());
    for _ in 0..STARTS {
        let asked = Instant::now();
        let publisher = way(Publisher::to(nginx.rtmp(), &path)).start().started();
        took("a publish begins", asked, 2.0);
        publisher.send_more(seconds * 1000 / STARTS);
        assert!(!publisher.is_closed());
        publisher.close();
        wait_gone(&nginx.api(), "live", "show");
    }
    let after = counts();
    let [connected, refused] =
        [0, 1].map(|it| (after[it] - before[it]) as f64 / begin.elapsed().as_secs_f64());
    let grown = memory().saturating_sub(memory_before);
    drop(flood);
    let log = nginx.log();
    println!(
        "a second: {connected:.0} connections, {refused:.0} keys; {grown} bytes of memory, {} of log",
        log.len()
    );
    assert!(refused > 100.0, "only {refused} keys a second");
    assert!(grown < 20 << 20, "{grown} bytes more memory");
    assert!(log.len() < 1_000_000, "{} bytes of log", log.len());
    assert!(log.contains("publish refused: unknown key"), "{log}");
}

fn five_starts_beside_another_address(seconds: u32) {
    let net = Netns::create();
    let flood = |port| {
        let (from, to) = (net.address(1), SocketAddr::from((net.host(), port)));
        net.inside(|| Flood::start(IpAddr::V4(from), to))
    };
    five_starts(logging_errors().reached_from(&net), flood, |publisher| publisher.across(&net, 2), seconds);
}

fn five_starts_beside_loopback(seconds: u32) {
    let flood = |port| Flood::start([127, 0, 0, 9].into(), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    five_starts(logging_errors(), flood, |publisher| publisher.from("127.0.0.10"), seconds);
}

#[test]
fn wrong_keys_as_fast_as_they_come_hold_up_nobody() {
    five_starts_beside_another_address(5);
}

#[test]
fn wrong_keys_over_loopback_hold_up_nobody() {
    five_starts_beside_loopback(5);
}

#[test]
#[ignore = "make test-long: a minute with both cores busy"]
fn wrong_keys_for_half_a_minute_hold_up_nobody() {
    five_starts_beside_another_address(30);
    five_starts_beside_loopback(30);
}
