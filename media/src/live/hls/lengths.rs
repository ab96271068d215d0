//! Lengths of parts, also while frames are rare.

use std::collections::VecDeque;

/// If so many fragments within this time do not fit in parts, in milliseconds, parts become longer.
const MANY_MISFITS: usize = 3;
const OFTEN: i64 = 10_000;
/// After this time without rare frames, in milliseconds, parts become as long as before.
const CALM: i64 = 60_000;
/// Maximum duration of a part if frames are frequent enough, in milliseconds.
pub(super) const MOST_PART: i64 = 334;
/// `PART-TARGET` for such parts, in milliseconds. A part must have at least 85 % of it (RFC 8216bis, 4.4.4.9).
pub(super) const PART_TARGET: i64 = 340;
/// How much longer `PART-TARGET` is than the parts, in milliseconds.
pub(super) const SPARE: i64 = PART_TARGET - MOST_PART;

/// Returns `PART-TARGET` for the first part and its last frame interval: if frames are rare, parts are shorter or longer than
/// usual.
pub(super) fn target(interval: i64, length: i64) -> i64 {
    let fits = (MOST_PART / interval).max(1) * interval;
    if !is_short(fits, PART_TARGET) && fits <= PART_TARGET {
        return PART_TARGET.max(length + SPARE);
    }
    let longest = fits.max(length);
    // Such frames seldom come at equal intervals.
    longest + (longest / 10).max(SPARE)
}

/// Returns whether only the last part of a segment may have this duration.
pub(super) fn is_short(length: i64, target: i64) -> bool {
    length * 100 < target * 85
}

/// Finds out whether frames are too rare for the parts.
#[derive(Debug, Default)]
pub(super) struct Rarity {
    /// Starts of the newest fragments that did not fit in parts.
    misfits: VecDeque<i64>,
    /// While parts are longer: `PART-TARGET` before, and the start of the newest rare fragment.
    longer: Option<(i64, i64)>,
}

impl Rarity {
    /// Notes that a fragment does not fit in a part. Returns whether this happens often.
    pub(super) fn is_frequent(&mut self, at: i64) -> bool {
        self.misfits.push_back(at);
        self.misfits.retain(|earlier| at - earlier < OFTEN);
        self.misfits.len() >= MANY_MISFITS
    }

    /// Notes that parts become longer than `target`.
    pub(super) fn begin(&mut self, target: i64, at: i64) {
        self.misfits.clear();
        let (before, _) = self.longer.unwrap_or((target, at));
        self.longer = Some((before, at));
    }

    /// Notes an interval between fragments.
    pub(super) fn see(&mut self, interval: i64, at: i64) {
        if let Some((before, newest)) = &mut self.longer
            && interval > *before / 2
        {
            *newest = at;
        }
    }

    /// Returns `PART-TARGET` from before, if frames have not been rare for a while.
    pub(super) fn end(&mut self, at: i64) -> Option<i64> {
        self.longer.take_if(|(_, newest)| at - *newest > CALM).map(|(before, _)| before)
    }
}
