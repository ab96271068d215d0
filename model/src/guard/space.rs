//! Decides how much of a file system must stay free while nginx-rtmp writes to it.

mod gauge;

pub use gauge::{Gauge, PATIENCE_MS};

/// Default of `weir_min_free` on a large file system, in bytes.
pub const DEFAULT_MIN_FREE: u64 = 64 << 20;

/// On a smaller file system, the default is one part of this many.
const SHARE: u64 = 8;

/// The highest assumed write rate of other programs, in bytes per millisecond. Weir checks the file system again before
/// it can be full.
const FILLS: u64 = 1 << 20;

/// The longest time between two checks, in milliseconds.
const LONGEST_MS: u64 = 1000;

/// The time between two checks of a file system that has too little free space, in milliseconds.
const STOPPED_MS: u64 = 200;

/// Why Weir writes nothing to a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The file system has too little free space.
    Full,
    /// The file system does not answer.
    Silent,
}

/// A file system's free space and its size, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// The space that users other than root may still write.
    pub free: u64,
    /// The whole size, used or not.
    pub total: u64,
}

impl Space {
    /// Returns how much must stay free, in bytes: `min_free`, or the default for a file system of this size.
    #[must_use]
    pub fn required(&self, min_free: Option<u64>) -> u64 {
        min_free.unwrap_or_else(|| DEFAULT_MIN_FREE.min(self.total / SHARE))
    }

    /// Returns whether too little space is free. After a stop (`stopped`), a margin of a sixteenth must be free as
    /// well, so that the next files do not cause another stop.
    #[must_use]
    pub fn is_short(&self, min_free: Option<u64>, stopped: bool) -> bool {
        let required = self.required(min_free);
        self.free < if stopped { required.saturating_add(required / 16) } else { required }
    }

    /// Returns the time until the next check, in milliseconds. Less free space means a shorter time.
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
