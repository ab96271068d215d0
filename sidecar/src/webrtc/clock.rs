//! When media of a stream is played by a viewer who joined in the middle of a group of pictures. Pure.

use std::time::{Duration, Instant};

/// What a viewer gets of the past is played so many times as fast: a decoder is through it in a moment, and then live.
const HURRY: i64 = 20;
/// RTP times begin here, in milliseconds, so that none is below 0.
const BEGIN: i64 = 60_000;

/// From a stream's times to a viewer's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: Instant,
    /// The time of the stream, in milliseconds, and when it was.
    edge: i64,
    at: Instant,
    /// There is a gap, and what comes next is played at once.
    is_paused: bool,
}

impl Clock {
    /// At `now`, the stream is at `edge`, in milliseconds.
    pub(super) fn new(edge: i64, now: Instant) -> Self {
        Self { origin: now, edge, at: now, is_paused: false }
    }

    /// There is a gap.
    pub(super) fn paused(self) -> Self {
        Self { is_paused: true, ..self }
    }

    /// After a gap, the stream goes on at `edge`, in milliseconds.
    pub(super) fn resume(&mut self, edge: i64, now: Instant) {
        if std::mem::take(&mut self.is_paused) {
            (self.edge, self.at) = (edge, now);
        }
    }

    /// What begins at `key` comes once more, up to `edge`, in milliseconds: none of it has a time in RTP that is before `shown`.
    pub(super) fn replay(&mut self, (key, edge): (i64, i64), now: Instant, shown: u64) {
        let behind = Duration::from_millis((edge - key).max(0).unsigned_abs() / HURRY.unsigned_abs() + 1);
        let so_far = BEGIN.unsigned_abs()
            + u64::try_from(now.duration_since(self.origin).as_millis()).unwrap_or_default();
        let late = Duration::from_millis((shown + 1).saturating_sub(so_far));
        (self.edge, self.at, self.is_paused) = (edge, now + behind + late, false);
    }

    /// Whether this was before the viewer joined.
    pub(super) fn is_past(&self, time: i64) -> bool {
        time < self.edge
    }

    /// The time in RTP, in milliseconds, and the time of day at which it is played.
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
        // Half a minute without media is half a minute.
        let later = now + Duration::from_secs(30);
        clock.resume(6000, later);
        assert_eq!(clock.place(6000).0, 61_000);
        clock = clock.paused();
        clock.resume(6040, later);
        assert_eq!(clock.place(6040), (90_000, later));
        // A key frame of 4 s ago comes once more.
        clock.replay((6000, 10_000), later + Duration::from_secs(4), 94_050);
        assert!((94_051..94_060).contains(&clock.place(6000).0), "{:?}", clock.place(6000));
        assert!(clock.place(10_000).0 < 94_300 && clock.place(6040).0 > clock.place(6000).0);
    }
}
