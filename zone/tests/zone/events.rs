//! Events are told in order and once; they are bounded, give way to everything else, and survive a death.

use weir_zone::heap::Heap;

use crate::{NOW, PID, register, stream};

fn heap() -> Heap {
    Heap::new(256 * 1024, 240 * 1024).unwrap()
}

/// Ids of the events after `id`, and how many were missed.
fn after(heap: &Heap, id: u64) -> (Vec<u64>, u64) {
    let (events, missed) = heap.zone().lock(PID).events_after(id, 1000);
    (events.iter().map(|event| event.id).collect(), missed)
}

#[test]
fn what_is_told_is_read_back() {
    let heap = heap();
    let zone = heap.zone();
    let long = format!("{{\"name\":\"{}\"}}", "n".repeat(400));
    zone.lock(PID).push_event("key.changed", "{}", NOW);
    zone.lock(PID).push_event("stream.started", &long, NOW);
    let (events, missed) = zone.lock(PID).events_after(0, 10);
    assert_eq!(missed, 0);
    let told: Vec<_> =
        events.iter().map(|event| (event.id, event.kind.as_str(), event.data.as_str())).collect();
    assert_eq!(told, [(1, "key.changed", "{}"), (2, "stream.started", long.as_str())]);
    assert!(events.iter().all(|event| event.at == NOW));
    assert_eq!((zone.last_event(), after(&heap, 2)), (2, (vec![], 0)));
    assert_eq!(zone.lock(PID).events_after(0, 1).0.len(), 1);
}

#[test]
fn the_oldest_goes_and_is_missed() {
    let heap = heap();
    let before = heap.zone().usage();
    for _ in 0..500 {
        heap.zone().lock(PID).push_event("key.changed", "{\"id\":\"k\"}", NOW);
    }
    let (ids, missed) = after(&heap, 0);
    assert!(ids.len() < 100, "{}", ids.len());
    assert_eq!((missed + ids.len() as u64, *ids.last().unwrap()), (500, 500));
    assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert_eq!(heap.zone().usage(), before, "events count as free");
}

#[test]
fn a_full_zone_takes_from_the_events() {
    let heap = heap();
    let zone = heap.zone();
    for _ in 0..50 {
        zone.lock(PID).push_event("key.changed", "{}", NOW);
    }
    let worker = register(&zone, PID);
    let names: Vec<String> = (0..10_000).map(|n| format!("s{n}")).collect();
    let claim = |name: &&String| zone.lock(PID).claim(&stream(name, worker), NOW, |_| true).is_ok();
    let full = names.iter().take_while(claim).count();
    assert_eq!(2 * full, zone.usage().1 & !1, "streams have every block but an odd one");
    assert!(after(&heap, 0).0.is_empty());
    zone.lock(PID).push_event("publish.denied", "{}", NOW);
    assert_eq!(zone.last_event(), 51, "counted, though there is no room to keep it");
}

#[test]
fn a_death_inside_leaves_them_in_order() {
    let heap = heap();
    let zone = heap.zone();
    for _ in 0..20 {
        zone.lock(PID).push_event("key.changed", "{}", NOW);
    }
    let before = after(&heap, 0);
    std::mem::forget(zone.lock(PID));
    heap.break_lock();
    assert_eq!(after(&heap, 0), before);
    zone.lock(PID).push_event("key.changed", "{}", NOW);
    assert_eq!(after(&heap, 20), (vec![21], 0));
}
