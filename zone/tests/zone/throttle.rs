//! Wrong keys per address: a table of fixed size that drops the entry that began first.

use weir_model::{Timestamp, refusal::Topic, throttle::LogLine};
use weir_zone::Summary;

use super::{NOW, PID, TestZone, after, bucket, heap, used};

fn wrong(zone: &TestZone<'_>, address: u32, now: Timestamp) -> LogLine {
    zone.lock(PID).refusal(bucket(address), 0, now)
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
    assert_eq!(zone.lock(PID).refused_since(NOW.plus_seconds(59)), []);
    assert_eq!(
        zone.lock(PID).refused_since(NOW.plus_seconds(60)),
        [Summary { bucket: bucket(1), reason: 0, unlogged: 15 }]
    );
    assert_eq!(zone.lock(PID).refused_since(NOW.plus_seconds(60)), []);
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
    let known = zone.lock(PID).refused_since(after(80_000));
    assert!((128..=256).contains(&known.len()), "{} are known", known.len());
    let newest = known.iter().filter(|known| known.bucket >= bucket(9_000)).count();
    assert!(newest > known.len() * 9 / 10, "{newest} of {} are new", known.len());
}

#[test]
fn each_topic_of_an_address_is_another_matter() {
    let heap = heap();
    let zone = heap.zone();
    let refuse = |topic| zone.lock(PID).refusal(bucket(1), topic, NOW);
    for topic in [0, 1, Topic::COUNT - 1] {
        let lines: Vec<_> = (0..12).map(|_| refuse(topic)).collect();
        assert_eq!(lines, [vec![LogLine::Each; 10], vec![LogLine::Silent; 2]].concat(), "{topic}");
    }
    // Nothing is beyond the last one, and the guard's reasons are not the same.
    assert_eq!(refuse(usize::MAX), LogLine::Silent);
    assert_eq!(zone.lock(PID).guard_refusal(bucket(1), 1, NOW), LogLine::Each);
    let mut summaries = zone.lock(PID).refused_since(NOW.plus_seconds(60));
    summaries.sort_by_key(|summary| summary.reason);
    let told: Vec<_> = summaries.iter().map(|summary| (summary.reason, summary.unlogged)).collect();
    assert_eq!(told, [(0, 2), (1, 2), (Topic::COUNT - 1, 3)]);
}
