//! Two restream servers: the second one gets the address soon after nginx of the first one was killed or stopped answering; a publisher
//! that reconnects to the address is live there; keepalived's notification reaches the push targets; and neither a machine that returns
//! (from a fault or a partition) nor a drained machine interrupts more than it must.

use std::time::Duration;

use weir_model::Secret;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Outcome, Player, Publisher, files, until};

use crate::alone;
use crate::pair::{Machine, Pair, RTMP};

/// Returns a configuration with the same key on both machines; they push the stream of this key.
pub(crate) fn config() -> Config {
    let key = format!("show {}\n", Secret::new("wk_pair").digest().to_hex());
    Config::weir()
        .with_api()
        .app("live", "weir_publish key; weir_key_file @DIR@/keys; weir_push on;")
        .file("keys", key)
}

/// Longest time without the address, from the moment at which keepalived has noticed the fault.
struct Allowed {
    interval: &'static str,
    change: Duration,
}

#[test]
fn the_address_moves_within_three_seconds_with_an_interval_of_one() {
    the_address_moves(&Allowed { interval: "1", change: Duration::from_secs(3) });
}

#[test]
fn the_address_moves_within_a_second_with_an_interval_of_a_fifth() {
    the_address_moves(&Allowed { interval: "0.2", change: Duration::from_secs(1) });
}

fn the_address_moves(allowed: &Allowed) {
    let _alone = alone();
    let interval = format!("advert_int {}", allowed.interval);
    let pair = Pair::start("restream", |text| text.replace("advert_int 1", &interval), config);
    let (a, b) = (&pair.machines[0], &pair.machines[1]);
    let publisher = publish(&pair);
    wait_role(a, "active");
    wait_role(b, "standby");
    pair.wait_pushed(0);

    // nginx on a accepts connections and does not answer.
    let silent = a.silence_nginx();
    let took = pair.wait_change(0);
    assert_change("silent", took, allowed);
    drop(publisher);
    let publisher = publish(&pair);
    wait_role(b, "active");

    // Machine a works again, is notified of its new state, and lets b keep the address.
    drop(silent);
    wait_role(a, "standby");
    pair.wait_pushed(1);
    a.keepalived.wait_log("Entering BACKUP STATE", 2);
    assert_eq!(pair.who_answers(), "b");
    publisher.send_more(500);
    assert!(!publisher.is_closed());

    b.kill_nginx();
    let took = pair.wait_change(1);
    assert_change("killed", took, allowed);
    publisher.wait_closed(5.0);
    let _publisher = publish(&pair);
    wait_role(a, "active");
    pair.wait_pushed(0);
}

fn assert_change(what: &str, (seen, change): (Duration, Duration), allowed: &Allowed) {
    eprintln!(
        "advert_int {}, nginx {what}: seen after {seen:?}, moved after {change:?} more",
        allowed.interval
    );
    assert!(change < allowed.change, "{what}: the address moved after {change:?}");
}

/// Publishes to the address as often as an encoder would, and waits until a player there has video.
fn publish(pair: &Pair) -> Publisher {
    // After a silence, the machine may still have the former session of this publisher, which lost its connection: then the name is in use
    // for up to 3 s.
    let attempt = || {
        let publisher = Publisher::to(RTMP.port(), "live/wk_pair").at(RTMP).start();
        (publisher.outcome() == Outcome::Started).then_some(publisher)
    };
    let at_the_address = || {
        let publisher = until("the publisher is taken", 10.0, attempt);
        let player = Player::start_at(RTMP, "live/show");
        player.wait_video(5);
        publisher
    };
    pair.client().inside(at_the_address)
}

/// Waits until the last call of `weir notify` had this role, and was carried out.
fn wait_role(machine: &Machine, role: &str) {
    let said = || files::text(&machine.scripts.path("home/notify/instance-restream"));
    until(&format!("{} is told to be {role}", machine.name), 10.0, || {
        said().ends_with(&format!(" {role}\n"))
    });
    until("the push targets follow", 10.0, || machine.pushes() == Some(role == "active"));
}

#[test]
fn a_machine_that_is_cut_off_has_nothing_to_say_when_it_is_back() {
    let _alone = alone();
    let pair = Pair::start("restream", |text| text, config);
    pair.lan.cut_off(0);
    let change = pair.wait_answer("b", 10.0);
    eprintln!("advert_int 1, cut off: moved after {change:?}");
    assert!(change < Duration::from_secs(5), "{change:?}");
    wait_role(&pair.machines[1], "active");
    publish(&pair).close();
    // Until now, both machines consider themselves the owner of the address.
    pair.lan.reconnect(0);
    pair.machines[0].keepalived.wait_log("Entering BACKUP STATE", 2);
    wait_role(&pair.machines[0], "standby");
    pair.wait_answer("b", 3.0);
    publish(&pair);
}

#[test]
fn a_drained_machine_gives_the_address_away_and_does_not_ask_for_it_back() {
    let _alone = alone();
    let pair = Pair::start("restream", |text| text, config);
    let drain = |text: &str| std::fs::write(pair.machines[0].scripts.path("drain"), text).unwrap();
    drain("-20\n");
    pair.wait_answer("b", 10.0);
    drain("0\n");
    pair.machines[0].keepalived.wait_log("effective priority from 80 to 100", 1);
    assert_eq!(pair.who_answers(), "b");
    // The end of keepalived reaches the other machine, and the push targets.
    pair.machines[1].keepalived.stop();
    pair.wait_answer("a", 3.0);
    wait_role(&pair.machines[1], "standby");
}
