//! The wait after a failure.

/// The shortest and the longest wait, in milliseconds.
pub(super) const MIN_MS: u64 = 1_000;
pub(super) const MAX_MS: u64 = 60_000;

/// Returns the wait before the next try, after this many failures in a row (from 1), in milliseconds: 1 to 1.5 s, then
/// twice as long each time, up to 40 to 60 s.
pub(super) fn wait_ms(failures: u32, random: u64) -> u64 {
    let doublings = failures.saturating_sub(1).min(16);
    let longest = (MIN_MS + MIN_MS / 2).saturating_mul(1 << doublings).min(MAX_MS);
    let shortest = longest / 3 * 2;
    shortest + random % (longest - shortest + 1)
}

/// Returns the next number of a random sequence (SplitMix64: Steele, Lea, Flood 2014).
pub(super) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
