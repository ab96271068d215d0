//! What stands in the `moof` of a fragment: when it begins and how long it lasts.

use super::Error;
use super::boxes::{Cursor, children, descend, find};

/// A fragment's place in time, in units of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Decoding time of the first sample.
    pub start: u64,
    /// Of all samples.
    pub duration: u64,
    /// How many pictures or pieces of sound.
    pub samples: u32,
}

/// Reads `moof`.
pub fn parse(bytes: &[u8]) -> Result<Fragment, Error> {
    let track = descend(bytes, &["moof", "traf"])?;
    let mut time = Cursor::new(find(track, "tfdt")?, "tfdt");
    let (version, _) = time.full()?;
    let start = time.by_version(version)?;
    let default = default_duration(find(track, "tfhd")?)?;
    let (mut duration, mut samples) = (0_u64, 0_u32);
    for (_, run) in children(track).filter(|(kind, _)| kind == b"trun") {
        let (of_run, count) = run_duration(run, default)?;
        duration = duration.saturating_add(of_run);
        samples = samples.saturating_add(count);
    }
    Ok(Fragment { start, duration, samples })
}

/// Of a sample that has none of its own.
fn default_duration(header: &[u8]) -> Result<u32, Error> {
    let mut cursor = Cursor::new(header, "tfhd");
    let (_, flags) = cursor.full()?;
    cursor.u32()?;
    for (flag, length) in [(0x1, 8), (0x2, 4)] {
        if flags & flag != 0 {
            cursor.take(length)?;
        }
    }
    if flags & 0x8 != 0 { cursor.u32() } else { Ok(0) }
}

fn run_duration(run: &[u8], default: u32) -> Result<(u64, u32), Error> {
    let mut cursor = Cursor::new(run, "trun");
    let (_, flags) = cursor.full()?;
    let count = cursor.u32()?;
    for flag in [0x1, 0x4] {
        if flags & flag != 0 {
            cursor.u32()?;
        }
    }
    if flags & 0x100 == 0 {
        return Ok((u64::from(default) * u64::from(count), count));
    }
    let others = [0x200, 0x400, 0x800].into_iter().filter(|flag| flags & flag != 0).count() * 4;
    let mut sum = 0;
    for _ in 0..count {
        sum += u64::from(cursor.u32()?);
        cursor.take(others)?;
    }
    Ok((sum, count))
}
