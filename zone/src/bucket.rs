//! Addresses in the form that the tables store.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The key under which an address is counted (`weir_model::network::attempt_bucket`).
pub(crate) type Bucket = [u8; 16];

/// Returns the address as two words of the zone.
pub(crate) fn words(bucket: Bucket) -> [u64; 2] {
    let mut halves = [[0; 8]; 2];
    halves[0].copy_from_slice(&bucket[..8]);
    halves[1].copy_from_slice(&bucket[8..]);
    halves.map(u64::from_le_bytes)
}

pub(crate) fn bytes(words: &[AtomicU64; 2]) -> Bucket {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&words[0].load(Relaxed).to_le_bytes());
    bytes[8..].copy_from_slice(&words[1].load(Relaxed).to_le_bytes());
    bytes
}

pub(crate) fn are(words: &[AtomicU64; 2], bucket: [u64; 2]) -> bool {
    words[0].load(Relaxed) == bucket[0] && words[1].load(Relaxed) == bucket[1]
}

pub(crate) fn store(words: &[AtomicU64; 2], bucket: [u64; 2]) {
    words[0].store(bucket[0], Relaxed);
    words[1].store(bucket[1], Relaxed);
}
