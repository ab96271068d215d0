//! Workers: a row each, told from an earlier worker of the same row or of the same process id.

use weir_zone::{MAX_DOORS, WorkerFacts, ZoneFull};

use super::{NOW, PID, claim, heap, names, register, stream, used};

#[test]
fn a_worker_is_listed_as_it_said() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, 10);
    register(&zone, 11);
    let fresh = WorkerFacts { pid: 10, since: NOW, heartbeat: NOW, draining: false, doors: Vec::new() };
    assert_eq!(zone.workers(), [fresh.clone(), WorkerFacts { pid: 11, ..fresh.clone() }]);
    zone.heartbeat(worker, NOW.plus_seconds(1), true);
    let draining = WorkerFacts { heartbeat: NOW.plus_seconds(1), draining: true, ..fresh };
    assert_eq!(zone.workers()[0], draining);
}

#[test]
fn a_worker_that_exits_takes_its_streams_along() {
    let heap = heap();
    let zone = heap.zone();
    let (one, other) = (register(&zone, 10), register(&zone, 11));
    claim(&zone, &stream("a", one));
    claim(&zone, &stream("b", other));
    zone.lock(10).unregister(one, NOW);
    assert_eq!(names(&zone), ["b"]);
    assert_eq!(zone.workers().len(), 1);
    // Twice is once.
    zone.lock(10).unregister(one, NOW);
    assert_eq!((zone.workers().len(), names(&zone)), (1, vec!["b".to_owned()]));
}

#[test]
fn a_new_worker_inherits_nothing_of_its_row() {
    let heap = heap();
    let zone = heap.zone();
    let dead = register(&zone, 10);
    claim(&zone, &stream("a", dead));
    let new = zone.lock(12).register(12, NOW, |pid| pid != 10).unwrap();
    assert!(names(&zone).is_empty());
    assert_eq!(used(&zone), 0);
    // What the dead one still says counts for nobody.
    zone.heartbeat(dead, NOW.plus_seconds(9), true);
    zone.lock(10).unregister(dead, NOW);
    let listed = zone.workers();
    assert_eq!((listed.len(), listed[0].pid, listed[0].draining, listed[0].heartbeat), (1, 12, false, NOW));
    claim(&zone, &stream("a", new));
}

#[test]
fn a_process_id_may_come_again() {
    let heap = heap();
    let zone = heap.zone();
    let before = register(&zone, 10);
    claim(&zone, &stream("a", before));
    let after = register(&zone, 10);
    assert_ne!(before, after);
    assert_eq!((zone.workers().len(), names(&zone).len()), (1, 0));
}

#[test]
fn there_is_room_for_128_and_for_more_once_some_are_dead() {
    let heap = heap();
    let zone = heap.zone();
    for pid in 1..=128 {
        register(&zone, pid);
    }
    assert_eq!(zone.lock(PID).register(129, NOW, |_| true), Err(ZoneFull));
    assert!(zone.lock(PID).register(129, NOW, |pid| pid % 2 == 0).is_ok());
    assert_eq!(zone.workers().len(), 65);
}

#[test]
fn a_workers_doors_are_its_own() {
    let heap = heap();
    let zone = heap.zone();
    let workers = [10, 11].map(|pid| register(&zone, pid));
    let most: Vec<u32> = (0..MAX_DOORS as u32).map(|nth| (1 << 20) - 1 - nth).collect();
    zone.set_doors(workers[0], &most);
    zone.set_doors(workers[1], &[0]);
    let doors = || zone.workers().into_iter().map(|worker| worker.doors).collect::<Vec<_>>();
    assert_eq!(doors(), [most, vec![0]]);
    zone.lock(10).unregister(workers[0], NOW);
    register(&zone, 12);
    assert_eq!(doors(), [vec![], vec![0]]);
}
