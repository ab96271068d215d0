//! Computes when a viewer who joined in the middle of a group of pictures plays the media of a stream. Pure.

use std::time::{Duration, Instant};

/// Factor by which a viewer plays past media faster, so that its decoder soon reaches the live edge.
const HURRY: i64 = 20;
/// First RTP time, in milliseconds. It keeps all RTP times above 0.
const BEGIN: i64 = 60_000;

/// Converts a stream's times to a viewer's times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: Instant,
    /// A time of the stream in milliseconds, and the instant `at` which it was live.
    edge: i64,
    at: Instant,
    /// The stream has a gap. The next piece is played immediately.
    is_paused: bool,
}

impl Clock {
    /// Returns a clock of a stream that is at `edge`, in milliseconds, at `now`.
    pub(super) fn new(edge: i64, now: Instant) -> Self {
        Self { origin: now, edge, at: now, is_paused: false }
    }

    /// Returns the clock with a gap noted.
    pub(super) fn paused(self) -> Self {
        Self { is_paused: true, ..self }
    }

    /// Continues after a gap: the stream is at `edge`, in milliseconds, at `now`.
    pub(super) fn resume(&mut self, edge: i64, now: Instant) {
        if std::mem::take(&mut self.is_paused) {
            (self.edge, self.at) = (edge, now);
        }
    }

    /// Repeats the media from `key` to `edge`, in milliseconds. All of it gets RTP times after `shown`.
    pub(super) fn replay(&mut self, (key, edge): (i64, i64), now: Instant, shown: u64) {
        let behind = Duration::from_millis((edge - key).max(0).unsigned_abs() / HURRY.unsigned_abs() + 1);
        let so_far = BEGIN.unsigned_abs()
            + u64::try_from(now.duration_since(self.origin).as_millis()).unwrap_or_default();
        let late = Duration::from_millis((shown + 1).saturating_sub(so_far));
        (self.edge, self.at, self.is_paused) = (edge, now + behind + late, false);
    }

    /// Returns whether this time was before the viewer joined.
    pub(super) fn is_past(&self, time: i64) -> bool {
        time < self.edge
    }

    /// Returns the RTP time in milliseconds, and the instant at which the media is played.
    pub(super) fn place(&self, time: i64) -> (u64, Instant) {
        let ahead = time - self.edge;
        let ahead = if ahead < 0 { ahead / HURRY } else { ahead };
        let since = self.at.saturating_duration_since(self.origin);
        let rtp = BEGIN + i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 2) + ahead;
        let distance = Duration::from_millis(ahead.unsigned_abs());
        let at = if ahead < 0 { self.at.checked_sub(distance) } else { self.at.checked_add(distance) };
        (rtp.max(0).unsigned_abs(), at.unwrap_or(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_short_and_the_present_is_as_it_is() {
        let now = Instant::now();
        let mut clock = Clock::new(5000, now);
        let times = [3000, 4000, 4960, 5000, 5040, 6000].map(|time| clock.place(time).0);
        assert_eq!(times, [59_900, 59_950, 59_998, 60_000, 60_040, 61_000]);
        assert_eq!(clock.place(6000).1, now + Duration::from_secs(1));
        assert!(clock.is_past(4999) && !clock.is_past(5000));
        // 30 seconds without media take 30 seconds in RTP.
        let later = now + Duration::from_secs(30);
        clock.resume(6000, later);
        assert_eq!(clock.place(6000).0, 61_000);
        clock = clock.paused();
        clock.resume(6040, later);
        assert_eq!(clock.place(6040), (90_000, later));
        // A keyframe of 4 s ago is repeated.
        clock.replay((6000, 10_000), later + Duration::from_secs(4), 94_050);
        assert!((94_051..94_060).contains(&clock.place(6000).0), "{:?}", clock.place(6000));
        assert!(clock.place(10_000).0 < 94_300 && clock.place(6040).0 > clock.place(6000).0);
    }
}
