//! With four simultaneous workers, no name has two publishers, no count is lost, and no record is left.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_zone::{Claim, Stage, heap::Heap};

use super::{NOW, TestZone, digest, insert, key, register, stream, used};

const NAMES: usize = 8;
/// Miri is slow, so it gets fewer rounds.
const ROUNDS: usize = if cfg!(miri) { 20 } else { 5_000 };

/// Who is on air under each name, as the workers themselves believe; 0 is nobody.
type OnAir = [AtomicU64; NAMES];

fn work(zone: &TestZone<'_>, pid: u32, on_air: &OnAir) -> u64 {
    let worker = register(zone, pid);
    let mut taken = 0;
    for round in 0..ROUNDS {
        let at = (round * 7 + pid as usize) % NAMES;
        let secret = (round % 20) as u64 + 1;
        assert!(zone.lock(pid).find_key(&digest(secret)).is_some_and(|key| key.id.0 == secret));
        let name = format!("show-{at}");
        let claimed = zone.lock(pid).claim(&stream(&name, worker), NOW, |_| true).unwrap();
        match claimed {
            Claim::Taken(id) => {
                assert_eq!(on_air[at].swap(u64::from(pid), Relaxed), 0, "{name} has two publishers");
                let row = zone.row(id).unwrap();
                (0..10).for_each(|_| row.media(NOW, 100));
                let listed = zone.lock(pid).streams(|_| true);
                let own = listed.iter().find(|live| live.id == id).unwrap();
                assert_eq!((own.bytes_in, own.worker_pid), (1000, pid));
                assert_eq!(on_air[at].swap(0, Relaxed), u64::from(pid));
                zone.lock(pid).release(id, NOW);
                taken += 1;
            }
            Claim::Live(live) => assert_ne!(live.worker_pid, pid),
        }
        zone.heartbeat(worker, NOW.plus_seconds(round as u64), false);
    }
    taken
}

#[test]
fn four_workers_at_once() {
    let heap = Heap::new(1 << 20, 1 << 20).unwrap();
    (1..=20).for_each(|id| insert(&heap.zone(), &key(id), Stage::Valid));
    let on_air = OnAir::default();
    let taken: u64 = std::thread::scope(|scope| {
        let (heap, on_air) = (&heap, &on_air);
        let workers: Vec<_> =
            (1..=4).map(|pid| scope.spawn(move || work(&heap.zone(), pid, on_air))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(taken > 0);
    assert_eq!((used(&heap.zone()), heap.zone().lock(1).workers().len()), (20, 4));
}
