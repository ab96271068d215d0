//! The bandwidth that a playlist announces.

use super::{LEAST_SEGMENT, Segment, Shelf};

impl<T: Clone> Shelf<T> {
    /// Returns the bits per second of the largest complete segment, and of all stored media.
    pub fn bandwidth(&self) -> Option<(u64, u64)> {
        let rate = |bytes: usize, ms: i64| bytes as u64 * 8000 / u64::try_from(ms).unwrap_or(1).max(1);
        let bytes = |segment: &Segment<T>| segment.parts.iter().map(|part| part.bytes).sum::<usize>();
        let filled = || self.segments.iter().filter(|segment| !segment.parts.is_empty());
        filled().next()?;
        let average = rate(filled().map(bytes).sum(), filled().map(Segment::duration).sum());
        // A short segment, as before a pause, may be little more than a keyframe (RFC 8216bis, 4.1).
        let whole = filled().filter(|segment| segment.duration() >= LEAST_SEGMENT / 2);
        let peak = whole.map(|segment| rate(bytes(segment), segment.duration())).max();
        Some((peak.unwrap_or(average).max(average), average))
    }
}
