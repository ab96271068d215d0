//! Events are delivered once and in order. They are bounded, make space for all other records, and survive a death.

use weir_model::KeyId;
use weir_model::event::{By, Denied, Event, KeyChange, KeyChanged};
use weir_zone::{Resume, Stage, heap::Heap};

use crate::{NOW, PID, bucket, insert, key, register, stream};

fn heap() -> Heap {
    Heap::new(256 * 1024, 240 * 1024).unwrap()
}

fn changed(key: u64) -> Event {
    let (app, name) = (Some("live".into()), Some("show".into()));
    let (by, change, id) = (Some(By::Api), KeyChange::Added, KeyId(key));
    Event::KeyChanged(KeyChanged { app, by, change, id, name, overlap_s: None })
}

fn denied(reason: &str) -> Event {
    Event::PublishDenied(refused(reason))
}

fn guarded() -> Event {
    Event::GuardRefused(refused("depth"))
}

fn refused(reason: &str) -> Denied {
    let (addr, app) = ("192.0.2.1".into(), "live".into());
    Denied { addr, app, reason: reason.into(), server: String::new() }
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
    let long = denied(&"n".repeat(400));
    zone.lock(PID).push_event(&changed(1), NOW);
    zone.lock(PID).push_event(&long, NOW);
    let (events, missed) = zone.lock(PID).events_after(0, 10);
    assert_eq!(missed, 0);
    let told: Vec<_> =
        events.iter().map(|event| (event.id, event.kind.as_str(), event.fields.clone())).collect();
    assert_eq!(told, [(1, "key.changed", changed(1).fields()), (2, "publish.denied", long.fields())]);
    assert!(events.iter().all(|event| event.at == NOW));
    assert_eq!((zone.last_event(), after(&heap, 2)), (2, (vec![], 0)));
    assert_eq!(zone.lock(PID).events_after(0, 1).0.len(), 1);
}

#[test]
fn the_oldest_goes_and_is_missed() {
    let heap = heap();
    // In an empty zone, too much that is taken off would not be seen.
    (1..=20).for_each(|id| insert(&heap.zone(), &key(id), Stage::Valid));
    let before = heap.zone().usage();
    for _ in 0..500 {
        heap.zone().lock(PID).push_event(&changed(1), NOW);
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
        zone.lock(PID).push_event(&changed(1), NOW);
    }
    let worker = register(&zone, PID);
    let names: Vec<String> = (0..10_000).map(|n| format!("s{n}")).collect();
    let claim = |name: &&String| zone.lock(PID).claim(&stream(name, worker), NOW, |_| true).is_ok();
    let full = names.iter().take_while(claim).count();
    assert_eq!(2 * full, zone.usage().1 & !1, "streams have every block but an odd one");
    assert!(after(&heap, 0).0.is_empty());
    zone.lock(PID).push_event(&denied("expired"), NOW);
    assert_eq!(zone.last_event(), 51, "counted, though there is no room to keep it");
}

#[test]
fn a_death_inside_leaves_them_in_order() {
    let heap = heap();
    let zone = heap.zone();
    for _ in 0..20 {
        zone.lock(PID).push_event(&changed(1), NOW);
    }
    let before = after(&heap, 0);
    std::mem::forget(zone.lock(PID));
    heap.break_lock();
    assert_eq!(after(&heap, 0), before);
    zone.lock(PID).push_event(&changed(1), NOW);
    assert_eq!(after(&heap, 20), (vec![21], 0));
}

/// Refusals of one address push out neither what others were refused, nor anything else.
#[test]
fn refusals_make_room_for_each_other() {
    let heap = Heap::new(2 << 20, 2 << 20).unwrap();
    let zone = heap.zone();
    let kinds = |kind: &str| {
        let (events, _) = zone.lock(PID).events_after(0, 10_000);
        events.into_iter().filter(|event| event.kind == kind).map(|event| event.fields).collect::<Vec<_>>()
    };
    (0..5).for_each(|n| zone.lock(PID).push_event(&changed(n), NOW));
    zone.lock(PID).push_refusal(&denied("of 2"), bucket(2), NOW);
    for n in 0..5000 {
        zone.lock(PID).push_refusal(&denied(&format!("of 1: {n}")), bucket(1), NOW);
    }
    assert_eq!(kinds("key.changed").len(), 5);
    let kept = kinds("publish.denied");
    let [first, last] = [denied("of 2"), denied("of 1: 4999")].map(|event| event.fields());
    assert_eq!((&kept[0], kept.last().unwrap()), (&first, &last));
    assert!((2..50).contains(&kept.len()), "{}", kept.len());
    // The ids that are gone are told as missed, once each.
    let (events, missed) = zone.lock(PID).events_after(0, 10_000);
    assert_eq!(missed + events.len() as u64, 5006);
    assert!(events.windows(2).all(|pair| pair[0].id < pair[1].id));
    // Many addresses take the share of refusals, and no more.
    for address in 10..5000 {
        zone.lock(PID).push_refusal(&guarded(), bucket(address), NOW);
    }
    assert_eq!(kinds("key.changed").len(), 5);
    let refusals = kinds("guard.refused").len();
    for _ in 0..5000 {
        zone.lock(PID).push_event(&changed(1), NOW);
    }
    assert_eq!(kinds("guard.refused").len(), refusals);
    assert!(kinds("key.changed").len() > 2 * refusals);
}

#[test]
fn an_id_that_was_never_given_is_told_from_the_oldest_on() {
    let heap = heap();
    let resume = |id| heap.zone().lock(PID).resume_after(id);
    assert_eq!(
        (resume(0), resume(1), resume(u64::MAX)),
        (Resume::After(0), Resume::FromOldest(0), Resume::FromOldest(0))
    );
    for _ in 0..500 {
        heap.zone().lock(PID).push_event(&changed(1), NOW);
    }
    let oldest = after(&heap, 0).0[0];
    assert!(oldest > 1);
    assert_eq!((resume(500), resume(3)), (Resume::After(500), Resume::After(3)));
    assert_eq!(
        (resume(501), resume(u64::MAX)),
        (Resume::FromOldest(oldest - 1), Resume::FromOldest(oldest - 1))
    );
    assert_eq!(after(&heap, oldest - 1).1, 0, "nothing is missed twice");
    // No number makes the count wrap.
    assert_eq!(after(&heap, u64::MAX), (vec![], 0));
}
