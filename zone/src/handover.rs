//! The description of a zone that one master leaves for the next one, in an upgrade of nginx.
//!
//! The new master may be another nginx with another version of this module, so it reads the description before it maps
//! the zone.

use crate::layout::VERSION;

const MAGIC: u64 = u64::from_le_bytes(*b"weirhnd1");
const WORDS: usize = 5;

/// A zone, as a master describes it to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Where the zone starts in the memory of every process that maps it.
    pub address: usize,
    /// The size of the zone, in bytes.
    pub size: usize,
    /// Identifies the form of nginx's slab pool at the start of the zone.
    pub pool: u64,
}

/// Why a master cannot map the zone of the master before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is not a zone of this module.
    #[error("it is not a zone of this module")]
    Foreign,
    /// A module with another layout made the zone.
    #[error("the zone has layout {theirs}, this module has layout {VERSION}")]
    OtherLayout {
        /// The layout of the zone.
        theirs: u64,
    },
    /// The zone's nginx has another form of its slab pool.
    #[error("the old nginx arranges shared memory in another form")]
    OtherNginx,
    /// The configuration has another size.
    #[error("the zone has {} and the configuration {}", kilobytes(*theirs), kilobytes(*ours))]
    OtherSize {
        /// The size of the zone, in bytes.
        theirs: u64,
        /// The size in the configuration, in bytes.
        ours: u64,
    },
    /// The configuration has another state file.
    #[error("the configuration has another \"state=\"")]
    OtherStateFile,
    /// The content of the zone breaks the rules of its own layout.
    #[error("the zone is damaged")]
    Damaged,
}

fn kilobytes(bytes: u64) -> String {
    format!("{}k", bytes / 1024)
}

impl Description {
    /// The length of [`to_bytes`](Self::to_bytes).
    pub const LENGTH: usize = WORDS * size_of::<u64>();

    /// Returns the form in which the next master reads it.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let words = [MAGIC, VERSION, self.pool, self.size as u64, self.address as u64];
        let mut bytes = [0; Self::LENGTH];
        for (place, word) in bytes.chunks_exact_mut(size_of::<u64>()).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads the description of another master, for a configuration with a zone of `size` bytes and an nginx whose slab
    /// pool has the form `pool`.
    ///
    /// # Errors
    ///
    /// The zone does not fit.
    pub fn read(bytes: &[u8], size: usize, pool: u64) -> Result<Description, Unfit> {
        let mut words = bytes
            .chunks_exact(size_of::<u64>())
            .map(|word| word.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)));
        let mut next = || words.next().unwrap_or_default();
        if next() != MAGIC {
            return Err(Unfit::Foreign);
        }
        let (theirs, form, bytes) = (next(), next(), next());
        if theirs != VERSION {
            return Err(Unfit::OtherLayout { theirs });
        }
        if form != pool {
            return Err(Unfit::OtherNginx);
        }
        if bytes != size as u64 {
            return Err(Unfit::OtherSize { theirs: bytes, ours: size as u64 });
        }
        match usize::try_from(next()) {
            Ok(address) if address != 0 => Ok(Description { address, size, pool }),
            _ => Err(Unfit::Damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Description = Description { address: 0x7f00_0000_1000, size: 2 << 20, pool: 77 };

    fn read(bytes: &[u8]) -> Result<Description, Unfit> {
        Description::read(bytes, OURS.size, OURS.pool)
    }

    fn with_word(at: usize, word: u64) -> [u8; Description::LENGTH] {
        let mut bytes = OURS.to_bytes();
        bytes[8 * at..][..8].copy_from_slice(&word.to_le_bytes());
        bytes
    }

    #[test]
    fn the_next_master_of_the_same_version_reads_it() {
        assert_eq!(read(&OURS.to_bytes()), Ok(OURS));
    }

    #[test]
    fn another_layout_size_or_nginx_does_not_fit() {
        assert_eq!(read(&with_word(1, VERSION - 1)), Err(Unfit::OtherLayout { theirs: VERSION - 1 }));
        assert_eq!(Description::read(&OURS.to_bytes(), OURS.size, 78), Err(Unfit::OtherNginx));
        let other = Description::read(&OURS.to_bytes(), 4 << 20, OURS.pool);
        assert_eq!(other, Err(Unfit::OtherSize { theirs: 2 << 20, ours: 4 << 20 }));
        assert_eq!(other.unwrap_err().to_string(), "the zone has 2048k and the configuration 4096k");
    }

    #[test]
    fn what_is_no_description_does_not_fit() {
        assert_eq!(read(&[]), Err(Unfit::Foreign));
        assert_eq!(read(&[0; Description::LENGTH]), Err(Unfit::Foreign));
        assert_eq!(read(&with_word(0, u64::MAX)), Err(Unfit::Foreign));
        assert_eq!(read(&with_word(4, 0)), Err(Unfit::Damaged));
        let cut = OURS.to_bytes();
        assert!((0..cut.len()).all(|length| read(&cut[..length]).is_err()));
    }
}
