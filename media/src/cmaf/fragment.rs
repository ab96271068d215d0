//! Reads start and duration from the `moof` of a fragment.

use super::Error;
use super::boxes::{Cursor, children, descend, find};

/// Start and duration of a fragment, in units of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Presentation time of the first sample, which is a keyframe in a video track.
    pub start: u64,
    /// Duration of all samples.
    pub duration: u64,
    /// Number of video frames or audio frames.
    pub samples: u32,
}

/// Reads `moof`.
pub fn parse(bytes: &[u8]) -> Result<Fragment, Error> {
    let track = descend(bytes, &["moof", "traf"])?;
    let mut time = Cursor::new(find(track, "tfdt")?, "tfdt");
    let (version, _) = time.full()?;
    let decoded = time.by_version(version)?;
    let default = default_duration(find(track, "tfhd")?)?;
    let mut fragment = Fragment { start: decoded, duration: 0, samples: 0 };
    for (_, run) in children(track).filter(|(kind, _)| kind == b"trun") {
        let run = self::run(run, default)?;
        if fragment.samples == 0 {
            fragment.start = decoded.saturating_add_signed(run.delay);
        }
        fragment.duration = fragment.duration.saturating_add(run.duration);
        fragment.samples = fragment.samples.saturating_add(run.samples);
    }
    Ok(fragment)
}

/// Returns the duration of samples without a duration of their own.
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

/// The content of `trun`.
struct Run {
    /// Duration of all samples.
    duration: u64,
    samples: u32,
    /// Time from the decoding of the first sample to its presentation.
    delay: i64,
}

fn run(run: &[u8], default: u32) -> Result<Run, Error> {
    let mut cursor = Cursor::new(run, "trun");
    let (version, flags) = cursor.full()?;
    let samples = cursor.u32()?;
    for flag in [0x1, 0x4] {
        if flags & flag != 0 {
            cursor.u32()?;
        }
    }
    let (mut duration, mut delay) = (u64::from(default) * u64::from(samples), 0);
    let others = [0x200, 0x400].into_iter().filter(|flag| flags & flag != 0).count() * 4;
    // Without durations only the first sample matters.
    let has_durations = flags & 0x100 != 0;
    if has_durations {
        duration = 0;
    }
    for sample in 0..if has_durations { samples } else { samples.min(1) } {
        if has_durations {
            duration += u64::from(cursor.u32()?);
        }
        cursor.take(others)?;
        if flags & 0x800 != 0 {
            let offset = cursor.u32()?;
            // Offsets are signed from version 1 on.
            let offset = if version == 0 { i64::from(offset) } else { i64::from(offset.cast_signed()) };
            delay = if sample == 0 { offset } else { delay };
        }
    }
    Ok(Run { duration, samples, delay })
}
