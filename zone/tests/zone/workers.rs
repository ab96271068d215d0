//! Workers have one row each, which differs from the row of an earlier worker in the same place or with the same
//! process id.

use weir_model::{Server, ServerAddr};
use weir_zone::{Door, MAX_DOORS, WorkerFacts, WorkerId, ZoneFull};

use super::{NOW, PID, TestZone, bucket, claim, heap, names, register, stream, used};

fn listed(zone: &TestZone<'_>) -> Vec<WorkerFacts> {
    zone.lock(PID).workers()
}

#[test]
fn a_worker_is_listed_as_it_said() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, 10);
    register(&zone, 11);
    let fresh =
        WorkerFacts { pid: 10, master: None, since: NOW, heartbeat: NOW, draining: false, doors: Vec::new() };
    assert_eq!(listed(&zone), [fresh.clone(), WorkerFacts { pid: 11, ..fresh.clone() }]);
    zone.heartbeat(worker, NOW.plus_seconds(1), true);
    let draining = WorkerFacts { heartbeat: NOW.plus_seconds(1), draining: true, ..fresh };
    assert_eq!(listed(&zone)[0], draining);
    zone.set_master(worker, u32::MAX);
    assert_eq!(listed(&zone)[0], WorkerFacts { master: Some(u32::MAX), ..draining });
    assert_eq!(listed(&zone)[1].master, None);
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
    assert_eq!(listed(&zone).len(), 1);
    // Twice is once.
    zone.lock(10).unregister(one, NOW);
    assert_eq!((listed(&zone).len(), names(&zone)), (1, vec!["b".to_owned()]));
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
    let all = listed(&zone);
    assert_eq!((all.len(), all[0].pid, all[0].draining, all[0].heartbeat), (1, 12, false, NOW));
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
    assert_eq!((listed(&zone).len(), names(&zone).len()), (1, 0));
}

/// Old workers that drain keep their rows: what a worker finds is bounded by the memory alone.
#[test]
fn three_hundred_workers_have_rows_and_give_them_back() {
    let heap = heap();
    let zone = heap.zone();
    for pid in 1..=300 {
        register(&zone, pid);
    }
    let all = listed(&zone);
    assert!(all.iter().map(|worker| worker.pid).eq(1..=300));
    assert!(zone.lock(PID).register(301, NOW, |pid| pid % 2 == 0).is_ok());
    assert_eq!(listed(&zone).len(), 151);
    for pid in (2..=300).step_by(2) {
        assert!(listed(&zone).iter().any(|worker| worker.pid == pid), "{pid}");
    }
    zone.lock(PID).reclaim(NOW, |_| false);
    assert_eq!((listed(&zone), used(&zone)), (vec![], 0));
}

#[test]
fn a_full_zone_has_rows_for_64_workers() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, 1);
    let claims = |n: &u32| {
        let name = n.to_string();
        zone.lock(PID).claim(&stream(&name, worker), NOW, |_| true).is_ok()
    };
    assert!((0..).take_while(claims).count() > 100);
    let full = used(&zone);
    for pid in 2..=64 {
        register(&zone, pid);
    }
    assert_eq!(used(&zone), full, "the rows were kept for them");
    let odd = zone.usage().1 - full;
    let more = (0..).take_while(|n| zone.lock(PID).register(65 + n, NOW, |_| true).is_ok()).count();
    assert_eq!(more, odd, "the others take what is left");
    assert_eq!(zone.lock(PID).register(999, NOW, |_| true), Err(ZoneFull));
    // As soon as one is gone, another finds its row.
    assert!(zone.lock(PID).register(999, NOW, |pid| pid != 2).is_ok());
}

/// Each finds its own row among many, whichever order they leave in; the table of connections knows them too.
#[test]
fn many_workers_keep_apart() {
    let heap = heap();
    let zone = heap.zone();
    let workers: Vec<WorkerId> = (1..=300).map(|pid| register(&zone, pid)).collect();
    for (nth, worker) in workers.iter().enumerate() {
        zone.heartbeat(*worker, NOW.plus_seconds(nth as u64), nth % 2 == 0);
    }
    let late = workers[299];
    assert!(zone.lock(PID).connection_opened(late, bucket(1), 1, NOW));
    assert!(!zone.lock(PID).connection_opened(workers[43], bucket(1), 1, NOW));
    for (nth, facts) in listed(&zone).into_iter().enumerate() {
        assert_eq!((facts.heartbeat, facts.draining), (NOW.plus_seconds(nth as u64), nth % 2 == 0));
    }
    for nth in [299, 0, 150] {
        zone.lock(PID).unregister(workers[nth], NOW);
    }
    let left = (1..=300).filter(|pid| ![300, 1, 151].contains(pid));
    assert!(listed(&zone).into_iter().map(|facts| facts.pid).eq(left));
    assert!(zone.lock(PID).connection_opened(workers[43], bucket(1), 1, NOW), "the other has gone");
}

#[test]
fn a_death_inside_leaves_the_workers_in_order() {
    let heap = heap();
    let zone = heap.zone();
    for pid in 10..20 {
        register(&zone, pid);
    }
    let before = listed(&zone);
    std::mem::forget(zone.lock(PID));
    heap.break_lock();
    assert_eq!(listed(&zone), before);
    register(&zone, 20);
    assert_eq!(listed(&zone).len(), 11);
}

#[test]
fn a_workers_doors_are_its_own() {
    let heap = heap();
    let zone = heap.zone();
    let workers = [10, 11].map(|pid| register(&zone, pid));
    let addresses: Vec<ServerAddr> =
        (0..MAX_DOORS).map(|nth| (1935 + nth).to_string().parse().unwrap()).collect();
    let most: Vec<Door> = addresses.iter().map(|addr| Door::new((1 << 20) - 1, Some(addr))).collect();
    zone.set_doors(workers[0], &most);
    zone.set_doors(workers[1], &[Door::new(0, None)]);
    let doors = || listed(&zone).into_iter().map(|worker| worker.doors).collect::<Vec<_>>();
    assert_eq!(doors(), [most.clone(), vec![Door::new(0, None)]]);
    zone.lock(10).unregister(workers[0], NOW);
    register(&zone, 12);
    assert_eq!(doors(), [vec![Door::new(0, None)], vec![]]);
    // A door is for its own block, whichever of its addresses that has.
    for (at, addr) in addresses.iter().enumerate() {
        let server = Server::new(["1".parse().unwrap(), addr.clone()]);
        let fits: Vec<usize> = (0..MAX_DOORS).filter(|nth| most[*nth].is_for(&server)).collect();
        assert_eq!(fits, [at]);
    }
    assert!(Door::new(0, None).is_for(&Server::nowhere()) && !most[0].is_for(&Server::nowhere()));
}
