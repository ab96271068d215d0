//! Hashes, for chains and for tables of a fixed size.

/// Makes chains and tables unpredictable for clients.
pub(crate) type Seed = u64;

/// Returns the FNV-1a hash of 64 bits. It is used only for chains; nothing secret depends on it.
pub(crate) fn hash_bytes(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.iter().chain(&[0xff])) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

/// Returns the preferred position in a table of fixed size, below 2^32.
pub(crate) fn place_of(seed: Seed, parts: &[&[u8]]) -> usize {
    mix(seed, hash_bytes(parts))
}

/// Mixes in the seed, so that clients cannot predict which hashes share a chain.
pub(crate) fn mix(seed: Seed, hash: u64) -> usize {
    ((hash ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}
