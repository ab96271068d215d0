//! Measures the work under one lock by the number of words that are read and written. With any number of keys, another
//! worker must wait only for a small part of them.

use std::collections::HashSet;

use weir_model::{Digest, KeyId, StreamKey, Timestamp, key::KeySecret};

use super::deaths::{NOW, small_heap, stream};
use super::seen::TestZone;
use crate::keys::list::KeyWalk;
use crate::state::{Adoption, Shown};
use crate::{Claim, KeyRecord, Stage, effort, heap::Heap};

/// Half a millisecond on a slow machine: all words of the records of 1000 keys.
const PART: usize = 1000 * 40;
/// Bound for a request about one key.
const ONE: usize = 1000;

fn digest(n: u64) -> Digest {
    Digest::of(&n.to_le_bytes())
}

/// Key number `n`; each tenth has a secret before a rotation.
fn key(n: u64) -> StreamKey {
    let mut secrets = vec![KeySecret { digest: digest(n), expires_at: None }];
    if n.is_multiple_of(10) {
        let expires_at = Some(NOW.plus_seconds(60 + n));
        secrets.push(KeySecret { digest: digest(n + (1 << 32)), expires_at });
    }
    StreamKey {
        id: KeyId(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        app: "live".parse().unwrap(),
        stream: format!("show-{n}").parse().unwrap(),
        server: None,
        note: "n".repeat((n % 40) as usize),
        created_at: Timestamp::from_millis(NOW.as_millis() + n / 3),
        publish_from: Vec::new(),
        secrets,
    }
}

fn with_keys(keys: u64) -> Heap {
    let heap = small_heap(keys as usize * 320 + (1 << 20));
    let zone = heap.zone();
    for n in 0..keys {
        KeyRecord::of(&key(n), Stage::Valid).for_each(|record| zone.lock(1).insert_key(&record).unwrap());
    }
    heap
}

/// Returns the most words under one lock, for each kind of request, with its bound.
fn efforts(zone: &TestZone<'_>, keys: u64) -> Vec<(&'static str, usize, usize)> {
    let middle = key(keys / 2);
    let page = (middle.created_at, middle.id);
    let mut all = Vec::new();
    let mut note = |what, bound, (words, ()): (usize, ())| all.push((what, bound, words));
    note("list all", PART, effort::of(|| assert_eq!(zone.keys(1).len() as u64, keys)));
    let listed = || assert_eq!(zone.key_places(1, Some(page), 100).len(), 100);
    note("a page", PART, effort::of(listed));
    note("one key", ONE, effort::of(|| assert_eq!(zone.lock(1).stream_key(middle.id).unwrap(), middle)));
    let is_current = |id| assert!(zone.lock(1).key(id).is_some());
    note("its current secret", ONE, effort::of(|| is_current(middle.id)));
    note("revoke", ONE, effort::of(|| assert!(zone.lock(1).revoke_key(middle.id))));
    note("what is revoked", ONE, effort::of(|| assert_eq!(zone.lock(1).revoked_keys(), [middle.id])));
    let closed = || assert_eq!(zone.order_close_keys(1, &HashSet::from([middle.id])), 0);
    note("close its publishers", PART, effort::of(closed));
    note("forget", ONE, effort::of(|| zone.lock(1).forget_revoked(middle.id)));
    note("rotate", ONE, effort::of(|| zone.lock(1).retire_secret(key(1).id, NOW.plus_seconds(5))));
    note("ended secrets", PART, effort::of(|| zone.forget_ended_secrets(1, NOW.plus_seconds(100))));
    note("ended secrets, known", ONE, effort::of(|| zone.forget_ended_secrets(1, NOW.plus_seconds(100))));
    note("verdict", ONE, effort::of(|| assert!(zone.lock(1).find_key(&digest(7)).is_some())));
    all
}

#[test]
fn the_work_under_one_lock_does_not_grow_with_the_keys() {
    for keys in [1_000, 20_000] {
        let heap = with_keys(keys);
        for (what, bound, words) in efforts(&heap.zone(), keys) {
            assert!(words <= bound, "{what}, {keys} keys: {words} words under one lock, {bound} at most");
        }
    }
}

#[test]
fn a_state_file_is_taken_over_in_steps() {
    let heap = with_keys(20_000);
    let zone = heap.zone();
    let keys: Vec<StreamKey> = (10_000..30_000).map(key).collect();
    let shown = Shown { content: Digest::of(b"file"), generation: 1, stamp: 1 };
    let mut adoption = Adoption::new(&keys, Vec::new(), shown);
    let (words, ()) = effort::of(|| {
        let gone = loop {
            if let Some(gone) = zone.lock(1).adopt_some(&mut adoption) {
                break gone.unwrap();
            }
        };
        assert_eq!(gone.len(), 10_000);
    });
    // The last step searches for targets and revocations: a few words of each block.
    let blocks = zone.lock(1).touched();
    assert!(words <= PART + 4 * blocks, "{words} words under one lock, {blocks} blocks");
    let mut wanted = keys;
    wanted.sort_by_key(|key| (key.created_at, key.id));
    assert!(zone.keys(1) == wanted, "the keys are others than those of the file");
}

/// A second worker publishes, and creates and revokes keys, between the steps of a list. Neither worker waits for the
/// whole list, and the list contains each key once that existed all the time.
#[test]
fn another_worker_has_its_turn_within_a_list() {
    const KEYS: u64 = 20_000;
    let heap = with_keys(KEYS);
    let (zone, other) = (heap.zone(), heap.zone());
    let worker = other.lock(2).register(2, NOW, |_| true).unwrap();
    let mut walk = KeyWalk::new(None, usize::MAX);
    let mut turns = 0;
    while !zone.lock(1).walk_keys(&mut walk) {
        let name = format!("live-{turns}");
        let (words, claimed) =
            effort::of(|| other.lock(2).claim(&stream(&name, worker), NOW, |_| true).unwrap());
        assert!(matches!(claimed, Claim::Taken(_)) && words <= ONE, "{words} words for a publish");
        let id = key(turns * 3).id;
        assert!(other.lock(2).revoke_key(id));
        other.lock(2).forget_revoked(id);
        KeyRecord::of(&key(KEYS + turns), Stage::Valid)
            .for_each(|record| other.lock(2).insert_key(&record).unwrap());
        turns += 1;
    }
    assert!(turns >= KEYS / 1000, "{turns} turns");
    let found: Vec<KeyId> = zone.lock(1).keys_at(&walk.places()).iter().map(|key| key.id).collect();
    assert_eq!(found.iter().collect::<HashSet<_>>().len(), found.len(), "a key is there twice");
    let found: HashSet<KeyId> = found.into_iter().collect();
    let all_the_time = (0..KEYS).filter(|n| !n.is_multiple_of(3) || *n >= turns * 3);
    assert!(all_the_time.map(|n| key(n).id).all(|id| found.contains(&id)), "a key is missing");
    assert!((0..turns).all(|n| !found.contains(&key(n * 3).id)), "a revoked key is listed");
}
