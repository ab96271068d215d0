//! Hashes, for chains and for tables of a fixed size.

/// Keeps chains and tables unpredictable from outside.
pub(crate) type Seed = u64;

/// FNV-1a, 64 bits: chains only, nothing secret depends on it.
pub(crate) fn hash_bytes(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.iter().chain(&[0xff])) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

/// Where in a table of fixed size something stands first; below 2^32.
pub(crate) fn place_of(seed: Seed, parts: &[&[u8]]) -> usize {
    mix(seed, hash_bytes(parts))
}

/// Nobody outside can tell which hashes come together.
pub(crate) fn mix(seed: Seed, hash: u64) -> usize {
    ((hash ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}
