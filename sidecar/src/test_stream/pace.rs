//! Computes when a tag must be sent: at the moment that its frame's clock shows.

use std::time::{Duration, Instant};

use weir_rtmp::flv::{Tag, TagKind};

/// Delay from which the machine is too slow for the stream.
pub(super) const TOO_LATE: Duration = Duration::from_secs(30);

/// Converts timestamps to moments.
#[derive(Debug)]
pub(super) struct Pace {
    /// Moment of the first frame.
    start: Instant,
    last: Option<u32>,
    /// Time from the first tag to the last, in milliseconds. It may exceed the 32 bits of a timestamp.
    elapsed: i64,
    /// Position of the first frame in `elapsed`: the audio encoder may begin earlier.
    origin: Option<i64>,
}

impl Pace {
    /// Returns a pace whose first frame is due at `start`.
    pub(super) fn new(start: Instant) -> Self {
        Self { start, last: None, elapsed: 0, origin: None }
    }

    /// Returns when this tag is due. Tags must be in the order of the file.
    pub(super) fn due(&mut self, tag: &Tag) -> Instant {
        let step = tag.timestamp.wrapping_sub(self.last.unwrap_or(tag.timestamp));
        // A step back, from interleaved audio and video, is a small negative number.
        self.elapsed += i64::from(step as i32);
        self.last = Some(tag.timestamp);
        if self.origin.is_none() && tag.kind == TagKind::Video && !tag.is_header() {
            self.origin = Some(self.elapsed);
        }
        let from_start = self.elapsed - self.origin.unwrap_or(self.elapsed);
        self.start + Duration::from_millis(from_start.max(0).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(kind: TagKind, timestamp: u32) -> Tag {
        Tag { kind, timestamp, payload: vec![0x17, 1] }
    }

    #[test]
    fn the_first_picture_is_due_at_the_start() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut due = |kind, ms| pace.due(&tag(kind, ms)).duration_since(start).as_millis();
        assert_eq!(due(TagKind::Audio, 0), 0);
        assert_eq!(due(TagKind::Video, 21), 0);
        assert_eq!(due(TagKind::Audio, 42), 21);
        assert_eq!(due(TagKind::Video, 54), 33);
        assert_eq!(due(TagKind::Audio, 53), 32);
        assert_eq!(due(TagKind::Video, 1021), 1000);
    }

    #[test]
    fn headers_do_not_count_as_pictures() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.due(&Tag { kind: TagKind::Video, timestamp: 0, payload: vec![0x17, 0] });
        assert_eq!(pace.due(&tag(TagKind::Video, 21)), start);
    }

    #[test]
    fn timestamps_wrap_after_49_days() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.due(&tag(TagKind::Video, u32::MAX - 9));
        assert_eq!(pace.due(&tag(TagKind::Video, 20)).duration_since(start), Duration::from_millis(30));
    }
}
