//! The pieces of a recording, in any container: a head, then parts that can follow each other in any file with that
//! head.

use std::time::Duration;

pub mod mkv;
pub mod mp4;

/// Why bytes are not in the expected format of ffmpeg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An impossible size.
    #[error("an element of an impossible size")]
    Size,
    /// A required element is missing or too short.
    #[error("no usable {0}")]
    Missing(&'static str),
}

/// The next piece of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The beginning of each file.
    Head(Vec<u8>),
    /// A part with media.
    Part(Part),
}

/// At most half a second of media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The bytes to write.
    pub bytes: Vec<u8>,
    /// Whether a file may begin with it.
    pub key: bool,
    /// Playback time of its first frame.
    pub start: Duration,
    /// The positions of the times in it.
    pub stamps: Vec<Stamp>,
}

/// A time inside a part: a big-endian number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Offset in the part.
    pub at: usize,
    /// Length of the number in bytes.
    pub width: usize,
    /// Units per second of the number.
    pub per_second: u64,
}

impl Stamp {
    /// Returns the number.
    pub fn read(&self, bytes: &[u8]) -> u64 {
        let bytes = bytes.get(self.at..self.at + self.width).unwrap_or_default();
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Returns the number as a time.
    pub fn time(&self, bytes: &[u8]) -> Duration {
        let (number, scale) = (self.read(bytes), self.per_second.max(1));
        let nanos = u128::from(number % scale) * 1_000_000_000 / u128::from(scale);
        Duration::from_secs(number / scale) + Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
    }

    fn write(&self, bytes: &mut [u8], number: u64) {
        let number = number.to_be_bytes();
        if let (Some(to), Some(from)) =
            (bytes.get_mut(self.at..self.at + self.width), number.get(number.len() - self.width.min(8)..))
        {
            to.copy_from_slice(from);
        }
    }
}

impl Part {
    /// Moves all times so that `origin` becomes 0.
    pub fn rebase(&mut self, origin: Duration) {
        for stamp in &self.stamps {
            let scale = u128::from(stamp.per_second);
            let units = u64::try_from(origin.as_nanos() * scale / 1_000_000_000).unwrap_or(u64::MAX);
            let number = stamp.read(&self.bytes).saturating_sub(units);
            stamp.write(&mut self.bytes, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moved_where_they_stand() {
        let stamps = vec![
            Stamp { at: 1, width: 4, per_second: 1000 },
            Stamp { at: 5, width: 8, per_second: 48_000 },
            Stamp { at: 13, width: 2, per_second: 1000 },
        ];
        let mut bytes = vec![0xaa];
        bytes.extend(90_500_u32.to_be_bytes());
        bytes.extend((48_000_u64 * 100).to_be_bytes());
        bytes.extend(7_u16.to_be_bytes());
        let mut part = Part { bytes, key: true, start: Duration::from_secs(90), stamps };
        assert_eq!(part.stamps[0].time(&part.bytes), Duration::from_millis(90_500));
        part.rebase(Duration::from_secs(90));
        let numbers: Vec<u64> = part.stamps.iter().map(|stamp| stamp.read(&part.bytes)).collect();
        // A time before the origin becomes the origin.
        assert_eq!(numbers, [500, 480_000, 0]);
        assert_eq!(part.bytes[0], 0xaa);
    }
}
