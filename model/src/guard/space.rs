//! How much of a file system stays free of what nginx-rtmp writes.

/// `weir_min_free` on a large file system, in bytes, when the configuration does not say.
pub const DEFAULT_MIN_FREE: u64 = 64 << 20;

/// On a smaller one, the default is one part of this many.
const SHARE: u64 = 8;

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
    fn writing_goes_on_with_a_margin() {
        let space = |free| Space { free: free * MIB, total: 64 * MIB };
        assert!(!space(8).is_short(None, false));
        assert!(Space { free: 8 * MIB - 1, ..space(0) }.is_short(None, false));
        assert!(space(8).is_short(None, true));
        assert!(!Space { free: 8 * MIB + MIB / 2, ..space(0) }.is_short(None, true));
        assert!(Space { free: u64::MAX - 1, total: u64::MAX }.is_short(Some(u64::MAX), true));
    }
}
