//! How much of a file system stays free of what nginx-rtmp writes.

mod gauge;

pub use gauge::{Gauge, PATIENCE_MS};

/// `weir_min_free` on a large file system, in bytes, when the configuration does not say.
pub const DEFAULT_MIN_FREE: u64 = 64 << 20;

/// On a smaller one, the default is one part of this many.
const SHARE: u64 = 8;

/// What others write at most to a file system, in bytes per millisecond: it is asked again before it can be full.
const FILLS: u64 = 1 << 20;

/// The longest time between two looks, in milliseconds.
const LONGEST_MS: u64 = 1000;

/// The time between two looks at a file system that has too little room, in milliseconds.
const STOPPED_MS: u64 = 200;

/// Why nothing is written to a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has too little room.
    Full,
    /// It does not answer.
    Silent,
}

/// A file system's free space and its size, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What others than root may still write.
    pub free: u64,
    /// All of it, used or not.
    pub total: u64,
}

impl Space {
    /// Returns what must stay free, in bytes: `min_free`, or the default for a file system of this size.
    #[must_use]
    pub fn required(&self, min_free: Option<u64>) -> u64 {
        min_free.unwrap_or_else(|| DEFAULT_MIN_FREE.min(self.total / SHARE))
    }

    /// Tells whether too little is free. Once `stopped`, a margin of a sixteenth must be free as well, so that what is
    /// written next does not stop it again.
    #[must_use]
    pub fn is_short(&self, min_free: Option<u64>, stopped: bool) -> bool {
        let required = self.required(min_free);
        self.free < if stopped { required.saturating_add(required / 16) } else { required }
    }

    /// Returns the time until the next look, in milliseconds: the less room there is, the sooner.
    #[must_use]
    pub fn next_look_ms(&self, min_free: Option<u64>, stopped: bool) -> u64 {
        let room = self.free.saturating_sub(self.required(min_free));
        if stopped { STOPPED_MS } else { (room / FILLS).clamp(1, LONGEST_MS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_small_file_system_keeps_an_eighth_free() {
        for (total, required) in [(16, 2), (64, 8), (128, 16), (512, 64), (100_000, 64)] {
            let space = Space { free: 0, total: total * MIB };
            assert_eq!(space.required(None), required * MIB, "{total} MiB");
            assert_eq!(space.required(Some(100 * MIB)), 100 * MIB, "what the admin says holds");
        }
    }

    #[test]
    fn the_less_room_the_sooner_the_next_look() {
        for (free, ms) in [(100_000, 1000), (564, 500), (128, 64), (72, 8), (64, 1), (0, 1)] {
            let space = Space { free: free * MIB, total: 100_000 * MIB };
            assert_eq!(space.next_look_ms(None, false), ms, "{free} MiB");
            assert_eq!(space.next_look_ms(None, true), 200);
        }
    }

    #[test]
    fn writing_goes_on_with_a_margin() {
        let space = |free| Space { free: free * MIB, total: 64 * MIB };
        assert!(!space(8).is_short(None, false));
        assert!(Space { free: 8 * MIB - 1, ..space(0) }.is_short(None, false));
        assert!(space(8).is_short(None, true));
        assert!(!Space { free: 8 * MIB + MIB / 2, ..space(0) }.is_short(None, true));
        assert!(Space { free: u64::MAX - 1, total: u64::MAX }.is_short(Some(u64::MAX), true));
    }
}
