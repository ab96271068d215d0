//! Refusals of the guard are counted by reason, and logged once per minute, address and reason.

use weir_model::throttle::LogLine;
use weir_zone::{GUARD_REASONS, PUBLISH_REASONS, Summary};

use super::{NOW, PID, bucket, heap, register};

#[test]
fn refusals_are_counted_by_reason() {
    let heap = heap();
    let (here, there) = (heap.zone(), heap.zone());
    register(&here, PID);
    here.count_guard(0);
    there.count_guard(0);
    there.count_guard(GUARD_REASONS - 1);
    // No reason has this index: nothing else is counted in its place.
    here.count_guard(GUARD_REASONS);
    let counts = there.guard_counts();
    assert_eq!((counts[0], counts[GUARD_REASONS - 1]), (2, 1));
    assert_eq!(counts.iter().sum::<u64>(), 3);
}

#[test]
fn a_minute_has_one_line_an_address_and_reason() {
    let heap = heap();
    let zone = heap.zone();
    let refuse = |address, reason| zone.lock(PID).guard_refusal(bucket(address), reason, NOW);
    assert_eq!(refuse(1, 0), LogLine::Each);
    assert_eq!([refuse(1, 0), refuse(1, 0)], [LogLine::Silent; 2]);
    assert_eq!([refuse(1, 1), refuse(2, 0)], [LogLine::Each; 2]);
    // A wrong key is another matter.
    assert_eq!(zone.lock(PID).refusal(bucket(1), 0, NOW), LogLine::Each);
    let later = NOW.plus_seconds(60);
    assert_eq!(zone.lock(PID).guard_refusal(bucket(1), 0, later), LogLine::Summary { unlogged: 2 });
}

#[test]
fn what_was_not_logged_is_summed_up_once() {
    let heap = heap();
    let zone = heap.zone();
    for _ in 0..25 {
        zone.lock(PID).guard_refusal(bucket(1), 3, NOW);
        zone.lock(PID).refusal(bucket(1), 0, NOW);
    }
    let summaries = |seconds| zone.lock(PID).guard_refused_since(NOW.plus_seconds(seconds));
    assert_eq!(summaries(59), []);
    assert_eq!(summaries(60), [Summary { bucket: bucket(1), reason: 3, unlogged: 24 }]);
    assert_eq!(summaries(60), []);
    // The summary was this minute's line.
    assert_eq!(zone.lock(PID).guard_refusal(bucket(1), 3, NOW.plus_seconds(61)), LogLine::Silent);
    assert_eq!(
        zone.lock(PID).refused_since(NOW.plus_seconds(61)),
        [Summary { bucket: bucket(1), reason: 0, unlogged: 15 }]
    );
}

#[test]
fn refused_publishes_are_counted_by_reason() {
    let heap = heap();
    let (here, there) = (heap.zone(), heap.zone());
    [0, 0, PUBLISH_REASONS - 1, PUBLISH_REASONS].into_iter().for_each(|index| here.count_refusal(index));
    let counts = there.refusal_counts();
    assert_eq!((counts[0], counts[PUBLISH_REASONS - 1], counts.iter().sum::<u64>()), (2, 1, 3));
}
