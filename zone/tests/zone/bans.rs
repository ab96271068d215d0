//! The last ban of a key counts, in one row. In a full table a new ban replaces the one that ends first.

use weir_model::KeyId;
use weir_zone::MAX_BANS;

use super::{NOW, PID, heap};

/// Rows of the table.
const ROWS: u64 = 2 * MAX_BANS as u64;

#[test]
fn a_new_ban_replaces_the_one_that_ends_first() {
    let heap = heap();
    let zone = heap.zone();
    let zone = zone.lock(PID);
    // Neither the first row nor the last one holds the ban that ends first.
    let until = |id: u64| NOW.plus_seconds(100 + (id + 20) % ROWS);
    (0..ROWS).for_each(|id| zone.ban_key(KeyId(id + 1), until(id)));
    let first = (0..ROWS).min_by_key(|id| until(*id)).unwrap();
    zone.ban_key(KeyId(10_000), NOW.plus_seconds(1));
    assert_eq!(zone.banned_until(KeyId(10_000)), Some(NOW.plus_seconds(1)));
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

#[test]
fn half_of_the_table_is_for_the_other_node_of_a_pair() {
    let heap = heap();
    let zone = heap.zone();
    let zone = zone.lock(PID);
    let most = MAX_BANS as u64;
    let until = NOW.plus_seconds(60);
    (1..most).for_each(|id| zone.ban_key(KeyId(id), until));
    assert!(zone.can_ban(&[KeyId(most)], NOW) && !zone.can_ban(&[KeyId(most), KeyId(most + 1)], NOW));
    (most..=ROWS).for_each(|id| zone.ban_key(KeyId(id), until));
    assert!(!zone.can_ban(&[KeyId(ROWS + 1)], NOW) && zone.bans(NOW).len() as u64 == ROWS);
    assert!(zone.can_ban(&[KeyId(1)], until), "they are over");
}
