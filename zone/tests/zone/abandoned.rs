//! If a holder of the lock dies, the next holder repairs the zone, and no record and no block is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};

use weir_model::{KeyId, StreamKey};
use weir_zone::{Stage, heap::Heap};

use super::{PID, claim, digest, heap, insert, key, names, opens, register, shown, stream, used};

fn filled() -> Heap {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    for id in 1..=40 {
        let note = "n".repeat(5 * id as usize);
        insert(&zone, &StreamKey { note, ..key(id) }, Stage::Valid);
        claim(&zone, &stream(&format!("s{id:02}"), worker));
    }
    heap
}

#[test]
fn killed_between_two_changes() {
    let heap = filled();
    let zone = heap.zone();
    let keys = zone.keys(PID);
    let (streams, before) = (names(&zone), used(&zone));
    let held = zone.lock(PID);
    held.revoke_key(KeyId(40));
    std::mem::forget(held);
    heap.break_lock();
    let other = heap.zone();
    assert_eq!(other.keys(11), keys[..39]);
    assert_eq!((names(&other), used(&other)), (streams, before));
    assert!((1..40).all(|id| opens(&other, id)) && !opens(&other, 40));
    other.lock(11).forget_revoked(KeyId(40));
    assert_eq!(used(&other), before - 3);
}

#[test]
fn a_panic_inside_frees_the_lock() {
    let heap = filled();
    let zone = heap.zone();
    let (keys, before) = (zone.keys(PID), used(&zone));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let held = zone.lock(PID);
        held.set_shown(&shown(9));
        std::panic::resume_unwind(Box::new(held.revoked_keys().len()));
    }));
    assert!(panicked.is_err());
    assert_eq!((zone.keys(PID), used(&zone), zone.generation()), (keys, before, 9));
}

#[test]
fn what_was_repaired_can_be_changed() {
    let heap = filled();
    let zone = heap.zone();
    let before = used(&zone);
    for round in 0..5 {
        std::mem::forget(zone.lock(PID));
        heap.break_lock();
        insert(&zone, &key(100 + round), Stage::Valid);
        let found = zone.lock(PID).find_key(&digest(100 + round)).unwrap();
        zone.lock(PID).revoke_key(found.id);
        std::mem::forget(zone.lock(PID));
        heap.break_lock();
        zone.lock(PID).forget_revoked(found.id);
    }
    assert_eq!(used(&zone), before);
}

#[test]
fn a_second_view_finds_everything() {
    let heap = filled();
    let (here, there) = (heap.zone(), heap.zone());
    let keys = here.keys(10);
    assert_eq!(there.keys(11), keys);
    here.lock(10).revoke_key(KeyId(1));
    assert!(!opens(&there, 1));
}
