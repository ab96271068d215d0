//! The zone identifies the state file by its content, adopts it as a whole or not at all, and restores nothing that was
//! revoked.

use weir_model::{KeyId, StreamKey};
use weir_zone::{Adoption, Misfit, Stage, heap::Heap};

use super::{NOW, PID, digest, heap, insert, key, keys, opens, shown, target, used};

#[test]
fn a_file_is_known_by_its_content_and_not_by_its_generation() {
    let heap = heap();
    let zone = heap.zone();
    let held = zone.lock(PID);
    assert!(held.set_state_file(b"/state") && !held.set_state_file(b"/state"));
    assert!(!held.shows(&digest(1)));
    held.adopt(&[key(1)], &[], &shown(1)).unwrap();
    assert!(held.shows(&digest(1)) && !held.shows(&digest(2)));
    assert_eq!((zone.generation(), zone.stamp()), (1, 1));
    held.set_stamp(7);
    assert!(held.shows(&digest(1)) && zone.stamp() == 7);
    // Every bit counts.
    for bit in 0..256 {
        let mut other = *digest(1).bytes();
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(!held.shows(&weir_model::Digest::from_bytes(other)), "bit {bit}");
    }
}

#[test]
fn another_path_is_another_file() {
    let heap = heap();
    let zone = heap.zone();
    let held = zone.lock(PID);
    held.set_state_file(b"/a");
    held.adopt(&[key(1)], &[], &shown(1)).unwrap();
    assert!(held.set_state_file(b"/b") && !held.shows(&digest(1)));
    assert_eq!((zone.generation(), zone.stamp(), keys(&held).len()), (0, 0, 1));
    assert!(zone.is_state_file(b"/b") && !zone.is_state_file(b"/a") && !zone.is_state_file(b""));
    assert!(held.set_state_file(b"") && zone.is_state_file(b""));
}

#[test]
fn keys_and_targets_are_taken_over_together_or_not_at_all() {
    let heap = heap();
    let zone = heap.zone();
    zone.lock(PID).adopt(&[key(1)], &[target(1)], &shown(1)).unwrap();
    let seen = || {
        let held = zone.lock(PID);
        (keys(&held), held.targets(), used(&zone), zone.targets_generation(), held.shows(&digest(1)))
    };
    let before = seen();
    // The keys alone would fit.
    let targets: Vec<_> = (1..3_000).map(target).collect();
    let refused = Err(Misfit::Targets { keys: 2, targets: 2_999 });
    assert_eq!(zone.lock(PID).adopt(&[key(2), key(3)], &targets, &shown(2)), refused);
    assert_eq!(zone.lock(PID).check_fit(&[key(2), key(3)], &targets).map(|()| Vec::new()), refused);
    assert_eq!(seen(), before);
    // What goes makes room for what comes, keys for targets too.
    let heap = Heap::new(128 * 1024, 96 * 1024).unwrap();
    let zone = heap.zone();
    let fits = |keys: usize| {
        let keys: Vec<_> = (1..=keys as u64).map(key).collect();
        zone.lock(PID).check_fit(&keys, &[]).is_ok()
    };
    let most = (1..).take_while(|keys| fits(*keys)).count();
    let full: Vec<_> = (1..=most as u64).map(key).collect();
    zone.lock(PID).adopt(&full, &[], &shown(1)).unwrap();
    let targets: Vec<_> = (1..=50).map(target).collect();
    let gone = zone.lock(PID).adopt(&full[..most / 2], &targets, &shown(2)).unwrap();
    assert_eq!(gone, full[most / 2..].iter().map(|key| key.id).collect::<Vec<_>>());
    let held = zone.lock(PID);
    assert_eq!((keys(&held).len(), held.targets()), (most / 2, targets));
}

#[test]
fn a_key_that_was_pending_is_valid_once() {
    let heap = heap();
    let zone = heap.zone();
    insert(&zone, &key(4), Stage::Pending { pid: PID });
    let held = zone.lock(PID);
    held.adopt(&[key(4)], &[], &shown(1)).unwrap();
    held.forget_secret(&digest(4));
    assert_eq!(keys(&held), [key(4)]);
    drop(held);
    assert!(opens(&zone, 4) && used(&zone) == 1);
}

#[test]
fn a_revocation_is_noted_until_it_is_written() {
    let heap = heap();
    let zone = heap.zone();
    zone.lock(PID).adopt(&[key(1), key(2)], &[], &shown(1)).unwrap();
    assert!(!zone.has_unsaved_revocations());
    zone.lock(PID).revoke_key(KeyId(1));
    assert!(zone.has_unsaved_revocations());
    // A file that still has it does not bring it back, and it stays noted.
    zone.lock(PID).adopt(&[key(1), key(2)], &[], &shown(2)).unwrap();
    assert!(zone.has_unsaved_revocations() && zone.keys(PID) == [key(2)] && !opens(&zone, 1));
    zone.lock(PID).forget_revoked(KeyId(1));
    zone.lock(PID).forget_revocations_note();
    assert!(!zone.has_unsaved_revocations());
}

#[test]
fn one_worker_in_a_period_looks() {
    let heap = heap();
    let (zone, other) = (heap.zone(), heap.zone());
    let at = |ms: u64| weir_model::Timestamp::from_millis(NOW.as_millis() + ms);
    assert!(zone.may_look(at(0), 200) && !other.may_look(at(0), 200) && !zone.may_look(at(199), 200));
    assert!(other.may_look(at(200), 200) && !zone.may_look(at(200), 200));
    // The clock was set back.
    assert!(zone.may_look(NOW, 200));
}

#[test]
fn who_must_not_wait_does_not() {
    let heap = heap();
    let zone = heap.zone();
    let held = zone.try_lock(PID);
    assert!(held.is_some() && heap.zone().try_lock(PID).is_none());
    drop(held);
    assert!(zone.try_lock(PID).is_some());
}

/// The lock is free between two steps, and a revocation waits for nobody.
#[test]
fn a_key_that_is_revoked_between_two_steps_stays_revoked() {
    let heap = heap();
    let zone = heap.zone();
    insert(&zone, &key(1), Stage::Valid);
    // The file says something else of it, so it is to be replaced.
    let wanted = StreamKey { note: "another".into(), ..key(1) };
    let mut adoption = Adoption::new(&[wanted, key(2)], Vec::new(), shown(1));
    assert!(zone.lock(PID).adopt_some(&mut adoption).is_none());
    assert!(zone.lock(PID).revoke_key(KeyId(1)));
    while zone.lock(PID).adopt_some(&mut adoption).is_none() {}
    assert!(!opens(&zone, 1) && opens(&zone, 2));
}
