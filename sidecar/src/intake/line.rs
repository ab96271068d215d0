//! Maps the RTP times of two tracks to the timeline of a stream, so that audio and video are in sync. Pure; time is an argument.
//!
//! Each track begins with its first packet. Sender reports (RFC 3550, 6.4.1) then show which RTP times of both tracks belong together.
//! The track that is too early jumps forward, because the times of a stream never decrease.

use std::time::{SystemTime, UNIX_EPOCH};

/// Distance in microseconds from which tracks are moved. A player notices more than 40 ms.
const TOLERANCE: i64 = 20_000;
/// Distance in microseconds beyond which reports are ignored.
const MOST: i64 = 5_000_000;
/// Difference in microseconds beyond which a report is not noise. If the next report agrees with it, the publisher's clock was set.
const STEP: i64 = 100_000;
/// Weight of the earlier reports against a new one: a busy publisher sends its reports some milliseconds late.
const WEIGHT: i64 = 8;

/// Maps the RTP times of one track, in milliseconds, to the timeline of the stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    /// The first RTP time, and its stream time.
    first: Option<(i64, i64)>,
    last: i64,
    heard: Option<Report>,
    /// Offset from the publisher's clock to the stream time, in microseconds.
    offset: Option<i64>,
    /// Offset of a report that was far from the earlier ones, in microseconds.
    step: Option<i64>,
}

/// A sender report: the RTP time, in units of its clock, at a wall-clock time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) rtp: u32,
    pub(super) at: SystemTime,
}

/// Arrival of media: its RTP time in units of the clock (`rate` per second) and in milliseconds, and its arrival in milliseconds after
/// the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    pub(super) ticks: u32,
    pub(super) rate: u32,
    pub(super) rtp: i64,
    pub(super) arrived: i64,
}

impl Line {
    /// Returns the stream time of media, in milliseconds. It never decreases.
    pub(super) fn place(&mut self, came: Came) -> i64 {
        self.last = self.raw(came).max(self.last);
        self.last
    }

    fn raw(&mut self, came: Came) -> i64 {
        let (from, to) = *self.first.get_or_insert((came.rtp, came.arrived));
        came.rtp - from + to
    }

    /// Takes the newest report, and media of its track.
    pub(super) fn hear(&mut self, report: Report, came: Came) {
        if self.heard.replace(report) == Some(report) {
            return;
        }
        let ticks = i64::from(came.ticks.wrapping_sub(report.rtp).cast_signed());
        let since = ticks * 1_000_000 / i64::from(came.rate).max(1);
        // str0m gives this time for publishers whose clock counts from their start (RFC 3550, 4). Such a report has no information.
        let Some(at) = report.at.duration_since(UNIX_EPOCH).ok().filter(|at| !at.is_zero()) else { return };
        let Ok(at) = i64::try_from(at.as_micros()) else { return };
        let new = self.raw(came) * 1000 - (at + since);
        let is_near = |old: i64| (new - old).abs() < STEP;
        match self.offset {
            Some(old) if is_near(old) => self.offset = Some(old + (new - old) / WEIGHT),
            // One deviating report alone is treated as an error.
            Some(_) if !self.step.is_some_and(is_near) => return self.step = Some(new),
            _ => self.offset = Some(new),
        }
        self.step = None;
    }

    fn later(&mut self, millis: i64) {
        self.first = self.first.map(|(from, to)| (from, to + millis));
        self.offset = self.offset.map(|offset| offset + millis * 1000);
        self.step = self.step.map(|step| step + millis * 1000);
    }
}

/// Moves the track that is too early. Returns the distance in milliseconds if it moves one.
pub(super) fn align(a: &mut Line, b: &mut Line) -> Option<i64> {
    let apart = a.offset? - b.offset?;
    if !(TOLERANCE..=MOST).contains(&apart.abs()) {
        return None;
    }
    let early = if apart < 0 { a } else { b };
    let millis = apart.abs() / 1000;
    early.later(millis);
    Some(millis)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report(rtp: u32, millis: u64) -> Report {
        Report { rtp, at: UNIX_EPOCH + Duration::from_millis(millis) }
    }

    fn came(rate: u32, ticks: u32, rtp: i64, arrived: i64) -> Came {
        Came { ticks, rate, rtp, arrived }
    }

    fn place(line: &mut Line, rtp: i64, arrived: i64) -> i64 {
        line.place(came(90_000, 0, rtp, arrived))
    }

    #[test]
    fn tracks_begin_when_they_come_and_times_only_grow() {
        let (mut pictures, mut sound) = (Line::default(), Line::default());
        assert_eq!(place(&mut pictures, 700_000, 0), 0);
        assert_eq!(place(&mut sound, 90, 130), 130);
        assert_eq!(place(&mut pictures, 700_040, 55), 40);
        assert_eq!(place(&mut sound, 110, 131), 150);
        assert_eq!(place(&mut sound, 100, 160), 150);
        assert_eq!(align(&mut pictures, &mut sound), None);
    }

    #[test]
    fn reports_of_both_tracks_put_sound_and_pictures_together() {
        let (mut pictures, mut sound) = (Line::default(), Line::default());
        // Audio of the same moment arrives 300 ms later. Its RTP time wraps between the report and the media.
        assert_eq!((place(&mut pictures, 1000, 0), place(&mut sound, 5000, 300)), (0, 300));
        pictures.hear(report(90_000, 100_000), came(90_000, 93_600, 1040, 45));
        assert_eq!(align(&mut pictures, &mut sound), None, "one report alone says nothing");
        sound.hear(report(u32::MAX - 479, 100_000), came(48_000, 1440, 5040, 340));
        assert_eq!(align(&mut pictures, &mut sound), Some(300));
        assert_eq!((place(&mut pictures, 1080, 90), place(&mut sound, 5080, 390)), (380, 380));
        assert_eq!(align(&mut pictures, &mut sound), None);
        // One wrong report changes nothing. Two reports that agree move the audio by 500 ms.
        for (wrong, moved) in [(700, None), (200, None), (500, None), (501, Some(500))] {
            sound.hear(report(48_000, 101_010 + wrong), came(48_000, 48_000, 6010, 390));
            let by = align(&mut pictures, &mut sound);
            assert_eq!(by.map(|by| by / 10 * 10), moved, "{wrong}");
        }
        // A clock without a date gives no information.
        sound.hear(report(1, 0), came(48_000, 90_000, 6000, 0));
        assert_eq!(align(&mut pictures, &mut sound), None);
        // A distance of an hour is not plausible.
        sound.hear(report(0, 3_700_000), came(48_000, 0, 105_052, 0));
        assert_eq!(align(&mut pictures, &mut sound), None);
    }

    #[test]
    fn noise_moves_nothing_and_a_clock_that_is_too_fast_is_followed() {
        let (mut pictures, mut sound) = (Line::default(), Line::default());
        let (mut moved, mut worst) = (0, 0);
        for second in 0..4000_u32 {
            // Reports are up to 15 ms late. After a thousand seconds, the audio clock is 50 ppm too fast.
            let late = |salt: u32| u64::from((second * 7919 + salt) % 16);
            let fast = i64::from(second.saturating_sub(1000)) / 20;
            let at = u64::from(second) * 1000;
            let (rtp, heard) = (i64::from(second) * 1000, i64::from(second) * 1000 + fast);
            pictures.hear(report(second * 90_000, at + late(0)), came(90_000, second * 90_000, rtp, rtp));
            let ticks = u32::try_from(heard * 48 % (1 << 32)).unwrap();
            sound.hear(report(ticks, at + late(5)), came(48_000, ticks, heard, rtp));
            moved += align(&mut pictures, &mut sound).unwrap_or(0);
            let apart = place(&mut pictures, rtp, 0) - place(&mut sound, heard, 0);
            worst = worst.max(apart.abs());
            assert!(second > 1000 || moved == 0, "{second}");
        }
        assert!((100..200).contains(&moved) && worst < 40, "{moved} {worst}");
    }
}
