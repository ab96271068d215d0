//! The capacity of a zone; a full zone refuses new records without losing or leaking anything.

use weir_model::{KeyId, StreamKey, key::KeySecret};
use weir_zone::{KeyRecord, MIN_SIZE, Plan, Stage, ZoneFull, heap::Heap};

use super::{NOW, PID, TestZone, claim, digest, heap, insert, key, register, stream, used};

/// What nginx's slab pool leaves of 1 MB: the pool itself and a descriptor for each page of 4096 bytes go.
pub(crate) const MEGABYTE: usize = 253 * 4096;

fn with_long_name(id: u64) -> StreamKey {
    StreamKey { stream: format!("{id:032}").parse().unwrap(), ..key(id) }
}

fn insert_until_full(zone: &TestZone<'_>, shape: impl Fn(u64) -> StreamKey) -> u64 {
    let fits = |id: &u64| {
        KeyRecord::of(&shape(*id), Stage::Valid).all(|record| zone.lock(PID).insert_key(&record).is_ok())
    };
    (1..).take_while(fits).count() as u64
}

#[test]
fn a_megabyte_holds_4000_keys_and_100_streams() {
    let heap = Heap::new(1 << 20, MEGABYTE).unwrap();
    let zone = heap.zone();
    let count = insert_until_full(&zone, with_long_name);
    assert!(count >= 4000, "{count} keys");
    let worker = register(&zone, PID);
    for n in 0..100 {
        let name = format!("{n:0128}");
        claim(&zone, &stream(&name, worker));
    }
    for id in 1..=count {
        assert_eq!(zone.lock(PID).find_key(&digest(id)).unwrap().id, KeyId(id));
    }
    assert!(zone.used_bytes() < zone.size() && zone.size() == 1 << 20);
}

#[test]
fn the_smallest_zone_is_of_use() {
    // The pool takes up to three pages of so small a zone.
    let heap = Heap::new(MIN_SIZE, MIN_SIZE - 4 * 4096).unwrap();
    let zone = heap.zone();
    assert!(insert_until_full(&zone, with_long_name) >= 400);
    let worker = register(&zone, PID);
    for n in 0..10 {
        claim(&zone, &stream(&n.to_string(), worker));
    }
    assert_eq!(Plan::for_bytes(4096), None);
    assert!(Heap::new(4096, 4096).is_none());
}

#[test]
fn a_full_zone_refuses_keys_and_keeps_what_it_has() {
    let heap = heap();
    let zone = heap.zone();
    let count = insert_until_full(&zone, key);
    let full = used(&zone);
    let refused = KeyRecord::of(&key(count + 1), Stage::Valid).next().unwrap();
    assert_eq!(zone.lock(PID).insert_key(&refused), Err(ZoneFull));
    assert_eq!(used(&zone), full);
    assert_eq!(zone.keys(PID).len() as u64, count);
    for id in 1..=count {
        zone.lock(PID).revoke_key(KeyId(id));
        zone.lock(PID).forget_revoked(KeyId(id));
    }
    assert_eq!(used(&zone), 0);
    assert_eq!(insert_until_full(&zone, key), count);
}

/// A record of six blocks where fewer are left takes none of them.
#[test]
fn a_record_that_does_not_fit_takes_no_block() {
    let heap = heap();
    let zone = heap.zone();
    let long =
        |id| StreamKey { note: "n".repeat(200), publish_from: vec!["::/0".parse().unwrap(); 16], ..key(id) };
    insert_until_full(&zone, key);
    for room in 1..=5 {
        zone.lock(PID).revoke_key(KeyId(room));
        zone.lock(PID).forget_revoked(KeyId(room));
        let before = used(&zone);
        let record = KeyRecord::of(&long(100_000), Stage::Valid).next().unwrap();
        assert_eq!(zone.lock(PID).insert_key(&record), Err(ZoneFull), "{room}");
        assert_eq!(used(&zone), before);
    }
}

#[test]
fn streams_may_use_what_keys_must_leave() {
    let heap = heap();
    let zone = heap.zone();
    insert_until_full(&zone, key);
    let worker = register(&zone, PID);
    let before = used(&zone);
    let mut ids = Vec::new();
    let refused = (0..).find_map(|n| {
        let name = format!("s{n}");
        match zone.lock(PID).claim(&stream(&name, worker), NOW, |_| true) {
            Ok(weir_zone::Claim::Taken(id)) => ids.push(id),
            Ok(weir_zone::Claim::Live(live)) => panic!("{live:?}"),
            Err(full) => return Some(full),
        }
        None
    });
    assert_eq!(refused, Some(ZoneFull));
    let (in_use, all) = zone.usage();
    // A stream with a short name takes two blocks.
    assert!(all - in_use < 2);
    assert!(ids.len() >= all / 8 / 2, "{} streams", ids.len());
    ids.into_iter().for_each(|id| zone.lock(PID).release(id, NOW));
    assert_eq!(used(&zone), before);
}

#[test]
fn a_rotation_in_a_full_zone_is_refused_and_the_key_stays() {
    let heap = heap();
    let zone = heap.zone();
    insert_until_full(&zone, key);
    let next = StreamKey { secrets: vec![KeySecret { digest: digest(0), expires_at: None }], ..key(1) };
    let record = KeyRecord::of(&next, Stage::Pending { pid: PID }).next().unwrap();
    assert_eq!(zone.lock(PID).insert_key(&record), Err(ZoneFull));
    assert_eq!(zone.lock(PID).key(KeyId(1)).unwrap().digest, digest(1));
    zone.lock(PID).revoke_key(KeyId(2));
    zone.lock(PID).forget_revoked(KeyId(2));
    insert(&zone, &next, Stage::Pending { pid: PID });
}
