//! Chains: the records that share a chain differ between zones, so that no client can fill a single chain.

use std::sync::atomic::Ordering::Relaxed;

use super::deaths::small_heap;

/// Returns the positions of names in a zone with this seed, among 64 positions.
fn places(seed: u64) -> Vec<usize> {
    let heap = small_heap(16 * 1024);
    let zone = heap.zone();
    zone.root.seed.store(seed, Relaxed);
    let locked = zone.lock(1);
    (0..64_u8).map(|name| crate::hash::place_of(locked.zone.seed(), &[b"live", &[name]]) % 64).collect()
}

#[test]
fn the_seed_decides_which_records_share_a_chain() {
    assert_eq!(places(1), places(1));
    let (one, other) = (places(1), places(0x5eed_5eed_5eed_5eed));
    let together = |places: &[usize]| -> Vec<(usize, usize)> {
        let pairs = (0..64).flat_map(|a| (a + 1..64).map(move |b| (a, b)));
        pairs.filter(|(a, b)| places[*a] == places[*b]).collect()
    };
    assert_ne!(together(&one), together(&other));
}
