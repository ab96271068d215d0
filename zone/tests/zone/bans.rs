//! Bans: the last word on a key counts, in one row, and in a full table the ban that ends first is replaced.

use weir_model::KeyId;

use super::{NOW, PID, heap};

/// Rows of the table.
const ROWS: u64 = 64;

#[test]
fn a_new_ban_replaces_the_one_that_ends_first() {
    let heap = heap();
    let zone = heap.zone();
    let zone = zone.lock(PID);
    // Neither the first row nor the last one holds the ban that ends first.
    let until = |id: u64| NOW.plus_seconds(100 + (id + 20) % ROWS);
    (0..ROWS).for_each(|id| zone.ban_key(KeyId(id + 1), until(id)));
    let first = (0..ROWS).min_by_key(|id| until(*id)).unwrap();
    zone.ban_key(KeyId(1000), NOW.plus_seconds(1));
    assert_eq!(zone.banned_until(KeyId(1000)), Some(NOW.plus_seconds(1)));
    for id in 0..ROWS {
        let kept = (id != first).then(|| until(id));
        assert_eq!(zone.banned_until(KeyId(id + 1)), kept, "ban {id}");
    }
}

#[test]
fn a_second_ban_of_a_key_takes_no_second_row() {
    let heap = heap();
    let zone = heap.zone();
    let zone = zone.lock(PID);
    for seconds in [60, 300, 10] {
        zone.ban_key(KeyId(1), NOW.plus_seconds(seconds));
        assert_eq!(zone.banned_until(KeyId(1)), Some(NOW.plus_seconds(seconds)));
    }
    (2..=ROWS).for_each(|id| zone.ban_key(KeyId(id), NOW.plus_seconds(5)));
    assert!((1..=ROWS).all(|id| zone.banned_until(KeyId(id)).is_some()));
}
