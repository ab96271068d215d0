//! Wrong keys an address: a table of fixed size, in which what began longest ago is forgotten first.

use weir_model::{Timestamp, throttle::LogLine};

use super::{NOW, PID, TestZone, after, bucket, heap, used};

fn wrong(zone: &TestZone<'_>, address: u32, now: Timestamp) -> LogLine {
    zone.lock(PID).wrong_key(bucket(address), now)
}

#[test]
fn an_address_is_logged_ten_times_a_minute() {
    let heap = heap();
    let zone = heap.zone();
    let lines: Vec<_> = (0..15).map(|_| wrong(&zone, 1, NOW)).collect();
    assert_eq!(lines, [vec![LogLine::Each; 10], vec![LogLine::Silent; 5]].concat());
    assert_eq!(wrong(&zone, 2, NOW), LogLine::Each);
    assert_eq!(wrong(&zone, 1, NOW.plus_seconds(60)), LogLine::Summary { unlogged: 5 });
}

#[test]
fn what_was_not_logged_is_summed_up_once() {
    let heap = heap();
    let zone = heap.zone();
    for nth in 0..25 {
        wrong(&zone, 1, NOW);
        assert!(nth >= 10 || wrong(&zone, 2, NOW) == LogLine::Each);
    }
    assert_eq!(zone.lock(PID).throttled_since(NOW.plus_seconds(59)), []);
    assert_eq!(zone.lock(PID).throttled_since(NOW.plus_seconds(60)), [(bucket(1), 15)]);
    assert_eq!(zone.lock(PID).throttled_since(NOW.plus_seconds(60)), []);
    assert_eq!(wrong(&zone, 1, NOW.plus_seconds(61)), LogLine::Each);
}

/// An entry has eight places; the oldest of them goes. So the newest seven are always known.
#[test]
fn the_newest_are_remembered_whoever_else_comes() {
    let heap = heap();
    let zone = heap.zone();
    for address in 0..5000_u32 {
        let now = after(u64::from(address));
        (0..10).for_each(|_| assert_eq!(wrong(&zone, address, now), LogLine::Each));
        for recent in address.saturating_sub(6)..=address {
            assert_eq!(wrong(&zone, recent, now), LogLine::Silent, "{recent} at {address}");
        }
    }
    assert_eq!(used(&zone), 0);
}

#[test]
fn the_table_is_bounded_and_the_oldest_go() {
    let heap = heap();
    let zone = heap.zone();
    for address in 0..10_000 {
        for _ in 0..11 {
            wrong(&zone, address, after(u64::from(address)));
        }
    }
    let known = zone.lock(PID).throttled_since(after(80_000));
    assert!((128..=256).contains(&known.len()), "{} are known", known.len());
    let newest = known.iter().filter(|(known, _)| *known >= bucket(9_000)).count();
    assert!(newest > known.len() * 9 / 10, "{newest} of {} are new", known.len());
}
