//! Lengths of parts.

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
