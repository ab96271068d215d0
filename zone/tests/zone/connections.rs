//! Connections per address that have not published or played are counted over all workers, bounded, and removed with
//! their worker.

use weir_zone::WorkerId;

use super::{NOW, PID, TestZone, after, bucket, heap, register, used};

const LIMIT: u32 = 32;

fn open(zone: &TestZone<'_>, worker: WorkerId, address: u32, limit: u32) -> bool {
    zone.lock(PID).connection_opened(worker, bucket(address), limit, NOW)
}

fn settle(zone: &TestZone<'_>, worker: WorkerId, address: u32) {
    zone.lock(PID).connection_settled(worker, bucket(address));
}

#[test]
fn an_address_has_its_limit_over_all_workers() {
    let heap = heap();
    let zone = heap.zone();
    let [one, other] = [10, 11].map(|pid| register(&zone, pid));
    for _ in 0..LIMIT / 2 {
        assert!(open(&zone, one, 1, LIMIT) && open(&zone, other, 1, LIMIT));
    }
    assert!(!open(&zone, one, 1, LIMIT) && !open(&zone, other, 1, LIMIT));
    // What was refused was not counted, and another address is another matter.
    assert_eq!(zone.lock(PID).connections_of(bucket(1)), u64::from(LIMIT));
    assert_eq!(zone.lock(PID).connections_of(bucket(2)), 0);
    assert_eq!(zone.unauthenticated(), u64::from(LIMIT));
    assert!(open(&zone, one, 2, LIMIT));
    settle(&zone, other, 1);
    assert!(open(&zone, one, 1, LIMIT) && !open(&zone, one, 1, LIMIT));
    assert!(!open(&zone, one, 3, 0));
    assert_eq!(used(&zone), 0);
}

#[test]
fn a_limit_that_was_lowered_holds_at_once() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, 10);
    assert!((0..5).all(|_| open(&zone, worker, 1, LIMIT)));
    assert!(!open(&zone, worker, 1, 3));
    (0..3).for_each(|_| settle(&zone, worker, 1));
    assert!(open(&zone, worker, 1, 3) && !open(&zone, worker, 1, 3));
}

#[test]
fn what_was_settled_twice_or_never_opened_counts_for_nobody() {
    let heap = heap();
    let zone = heap.zone();
    let [one, other] = [10, 11].map(|pid| register(&zone, pid));
    settle(&zone, one, 1);
    assert!(open(&zone, one, 1, 1));
    settle(&zone, other, 1);
    assert!(!open(&zone, other, 1, 1));
    settle(&zone, one, 1);
    settle(&zone, one, 1);
    assert_eq!(zone.unauthenticated(), 0);
    assert!(open(&zone, other, 1, 1) && !open(&zone, one, 1, 1));
}

#[test]
fn connections_go_with_their_worker() {
    let heap = heap();
    let zone = heap.zone();
    let [one, other] = [10, 11].map(|pid| register(&zone, pid));
    assert!(open(&zone, one, 1, 3) && open(&zone, one, 1, 3) && open(&zone, other, 1, 3));
    zone.lock(PID).reclaim(NOW, |pid| pid != 10);
    assert_eq!(zone.unauthenticated(), 1);
    // What the dead one had is not settled by its successor.
    let next = register(&zone, 12);
    settle(&zone, next, 1);
    assert_eq!(zone.unauthenticated(), 1);
    zone.lock(PID).unregister(other, NOW);
    assert_eq!(zone.unauthenticated(), 0);
}

#[test]
fn thirty_two_workers_have_one_connection_each() {
    let heap = heap();
    let zone = heap.zone();
    let workers: Vec<_> = (1..=40).map(|pid| register(&zone, pid)).collect();
    let accepted = workers.iter().filter(|worker| open(&zone, **worker, 1, LIMIT)).count();
    assert_eq!(accepted, 32);
}

/// The newest of a flood from many addresses are known; what is forgotten may open some more, and its worker's word about
/// it counts for nobody.
#[test]
fn the_table_is_bounded_and_the_oldest_go() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, 10);
    for address in 0..10_000 {
        let opened = |limit| {
            zone.lock(PID).connection_opened(worker, bucket(address), limit, after(u64::from(address)))
        };
        assert!(opened(2) && opened(2) && !opened(2), "{address}");
    }
    let known = zone.unauthenticated() / 2;
    assert!((256..=512).contains(&known), "{known} are known");
    let newest = (9_900..10_000).filter(|address| !open(&zone, worker, *address, 1)).count();
    assert!(newest > 90, "{newest} of the newest 100 are known");
    (0..10_000).for_each(|address| (0..3).for_each(|_| settle(&zone, worker, address)));
    assert_eq!(zone.unauthenticated(), 0);
}
