//! Repairs the publisher's times, so that media continues when they jump. The code uses no clock: `now` is the time
//! since any fixed moment.
//!
//! Encoders restart their clock, set it, or count with too few bits. The stream is the same, so its times continue.

use std::time::Duration;

use weir_rtmp::flv::TagKind;

/// The output for the received time 0, for readers with [common](Timeline::common) times, in milliseconds.
pub const COMMON_ZERO: u32 = 10_000;
/// The earliest time of the output, in milliseconds, so that there is space for times before the first frame.
const FIRST: i64 = COMMON_ZERO as i64;
/// A start beyond this would soon exceed the range of FLV.
const LATEST_START: i64 = 1 << 30;
/// From this time on, times restart with the next keyframe.
const FULL: i64 = (1 << 31) - 3_600_000;
/// A larger step back means another clock; a smaller step is disorder.
const BACK: i64 = 500;
/// A larger step forward may mean another clock.
const FORWARD: i64 = 3000;
/// It means another clock if it puts the media this far ahead of real time, which does not happen for an encoder that
/// was silent for as long.
const AHEAD: i64 = 5000;
/// If audio and video jump together and are no further apart than this, they stay together.
const TOGETHER: i64 = 2000;

/// Times of audio and video of one stream.
#[derive(Debug, Default)]
pub struct Timeline {
    sound: Option<Track>,
    pictures: Option<Track>,
    /// The largest lead of media time over real time.
    lead: i64,
    is_common: bool,
}

#[derive(Clone, Copy, Debug)]
struct Track {
    /// The time as received.
    raw: u32,
    /// The same, without the wrap after 2^32 ms.
    long: i64,
    /// The offset that is added to it.
    offset: i64,
    /// The resulting time.
    out: i64,
    /// The real time of the result, in milliseconds.
    at: i64,
}

impl Timeline {
    /// Returns a timeline whose output differs from the received times by the same amount for each reader of a stream,
    /// whenever it begins to read.
    pub fn common() -> Self {
        Self { is_common: true, ..Self::default() }
    }

    /// Returns the time of a tag with the received time `raw`, in milliseconds. It is later than the previous time of
    /// the same kind.
    pub fn time(&mut self, kind: TagKind, raw: u32, now: Duration) -> i64 {
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let (mine, other) = match kind {
            TagKind::Audio => (self.sound, self.pictures),
            _ => (self.pictures, self.sound),
        };
        let next = match (mine, other) {
            (None, None) => self.begin(raw, now),
            (Some(last), other) => self.follow(last, other, raw, now),
            (None, Some(other)) => {
                // The first tag of a kind gets the current time of the other kind, independent of its own time.
                let track = self.follow(other, None, raw, now);
                Track { out: track.long + track.offset, ..track }
            }
        };
        let ahead = next.out - now;
        // Slow clocks and stalls reduce the lead again, by a hundredth of the time.
        let passed = mine.or(other).map_or(0, |last| now - last.at);
        self.lead = ahead.max(self.lead - passed / 100);
        match kind {
            TagKind::Audio => self.sound = Some(next),
            _ => self.pictures = Some(next),
        }
        next.out
    }

    /// Returns whether times must restart soon, by a call of [`Timeline::restart`].
    pub fn is_full(&self) -> bool {
        [self.sound, self.pictures].into_iter().flatten().any(|track| track.out > FULL)
    }

    /// Restarts times at their beginning.
    pub fn restart(&mut self) {
        let Some(last) = [self.sound, self.pictures].into_iter().flatten().map(|track| track.out).max()
        else {
            return;
        };
        let back = last - FIRST;
        for track in [&mut self.sound, &mut self.pictures].into_iter().flatten() {
            track.offset -= back;
            track.out -= back;
        }
        self.lead -= back;
    }

    fn begin(&mut self, raw: u32, now: i64) -> Track {
        let long = i64::from(raw);
        let out = match long {
            _ if self.is_common => long % LATEST_START + FIRST,
            FIRST..LATEST_START => long,
            _ => FIRST,
        };
        self.lead = out - now;
        Track { raw, long, offset: out - long, out, at: now }
    }

    fn follow(&self, last: Track, other: Option<Track>, raw: u32, now: i64) -> Track {
        let step = i64::from(raw.wrapping_sub(last.raw).cast_signed());
        let mut track = Track { raw, long: last.long + step, at: now, ..last };
        let time = track.long + track.offset;
        let is_back = time < last.out - BACK;
        let is_forward = step > FORWARD && time > now + self.lead + AHEAD;
        if is_back || is_forward {
            let expected = last.out + (now - last.at).clamp(1, 10_000);
            let with_other = other.map(|other| other.offset);
            let fits = |offset: &i64| (track.long + offset - expected).abs() < TOGETHER;
            track.offset = with_other.filter(fits).unwrap_or(expected - track.long);
        }
        track.out = (track.long + track.offset).max(last.out + 1);
        track
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VIDEO: TagKind = TagKind::Video;
    const AUDIO: TagKind = TagKind::Audio;

    /// Sends one video frame and one audio frame per 40 ms in real time, with the times of two clocks. Returns the
    /// resulting times.
    fn run(count: u32, pictures: impl Fn(u32) -> u32, sound: impl Fn(u32) -> u32) -> (Vec<i64>, Vec<i64>) {
        let mut timeline = Timeline::default();
        (0..count)
            .map(|n| {
                let now = Duration::from_millis(u64::from(n) * 40);
                let picture = timeline.time(VIDEO, pictures(n * 40), now);
                (picture, timeline.time(AUDIO, sound(n * 40), now))
            })
            .unzip()
    }

    /// Asserts that each step is close to 40 ms, and that audio and video are together.
    fn assert_smooth((pictures, sound): &(Vec<i64>, Vec<i64>)) {
        for times in [pictures, sound] {
            for pair in times.windows(2) {
                assert!((1..=120).contains(&(pair[1] - pair[0])), "{pair:?} in {times:?}");
            }
        }
        let apart = pictures.iter().zip(sound).map(|(a, b)| (a - b).abs()).max().unwrap();
        assert!(apart <= 50, "{apart}: {pictures:?} {sound:?}");
    }

    #[test]
    fn media_goes_on_when_the_clock_jumps() {
        let jump = |by: i64| move |t: u32| if t > 4000 { (i64::from(t) + by) as u32 } else { t };
        for by in [682_283_103, -3_600_000, -5000, 3_600_000, 20_000, i64::from(u32::MAX) / 2, -600] {
            let clock = |t: u32| jump(by)(t + 20_000_000);
            assert_smooth(&run(300, clock, clock));
        }
        // 24, 31 and 32 bits.
        let wrap = |bits: u32| move |t: u32| ((u64::from(t) + (1 << bits) - 4000) % (1 << bits)) as u32;
        for bits in [24, 31, 32] {
            assert_smooth(&run(300, wrap(bits), wrap(bits)));
        }
    }

    #[test]
    fn one_of_both_may_jump_and_more_than_once() {
        let steps = |t: u32| t + 1_000_000 * (t / 2000);
        assert_smooth(&run(300, steps, steps));
        assert_smooth(&run(300, steps, |t| t));
        // The audio jumps a moment later.
        assert_smooth(&run(
            300,
            |t| if t > 4000 { t + 900_000 } else { t },
            |t| if t > 4200 { t + 900_000 } else { t },
        ));
    }

    #[test]
    fn a_pause_stays_a_pause_and_haste_is_no_jump() {
        let mut timeline = Timeline::default();
        let mut at = |kind, raw: u32, now: u64| timeline.time(kind, raw, Duration::from_millis(now));
        assert_eq!(at(VIDEO, 20_000, 0), 20_000);
        assert_eq!(at(VIDEO, 32_000, 12_000), 32_000);
        // Frames that the network delayed, and a gap in them.
        assert_eq!(at(VIDEO, 32_040, 22_000), 32_040);
        assert_eq!(at(VIDEO, 41_000, 22_001), 41_000);
        // Frames arrive faster than real time.
        for n in 1..1000_u32 {
            assert_eq!(at(VIDEO, 41_000 + n * 40, 22_001 + u64::from(n)), i64::from(41_000 + n * 40));
        }
    }

    #[test]
    fn readers_of_a_stream_have_the_same_times() {
        for raw in [0, 700, 20_000, 900_000_000, 2_000_000_000, 4_000_000_000] {
            let (mut early, mut late) = (Timeline::common(), Timeline::common());
            early.time(VIDEO, raw, Duration::ZERO);
            let now = Duration::from_secs(12);
            let expected = i64::from(COMMON_ZERO) + i64::from(raw) % LATEST_START + 12_000;
            assert_eq!(early.time(VIDEO, raw + 12_000, now), expected);
            assert_eq!(late.time(VIDEO, raw + 12_000, now), expected);
        }
    }

    #[test]
    fn who_comes_late_is_where_the_others_are() {
        let mut timeline = Timeline::default();
        let sound = timeline.time(AUDIO, 5, Duration::ZERO);
        let later = timeline.time(AUDIO, 12_005, Duration::from_secs(12));
        assert_eq!(later - sound, 12_000);
        assert_eq!(timeline.time(VIDEO, 12_025, Duration::from_secs(12)), later + 20);
    }

    #[test]
    fn after_weeks_times_begin_anew() {
        let mut timeline = Timeline::default();
        let mut now = 0;
        for hour in 0..600_u32 {
            now += 3_600_000;
            timeline.time(VIDEO, 20_000 + hour * 3_600_000, Duration::from_millis(now));
        }
        assert!(timeline.is_full());
        timeline.restart();
        assert!(!timeline.is_full());
        let next = timeline.time(VIDEO, 20_000 + 600 * 3_600_000, Duration::from_millis(now + 3_600_000));
        assert_eq!(next, FIRST + 3_600_000);
    }

    proptest! {
        #[test]
        fn times_only_grow_and_never_run_away(
            tags in proptest::collection::vec((any::<bool>(), any::<u32>(), 0_u64..200), 1..200)
        ) {
            let mut timeline = Timeline::default();
            let (mut now, mut last) = (0, [0_i64; 2]);
            for (is_sound, raw, passed) in tags {
                now += passed;
                let kind = if is_sound { AUDIO } else { VIDEO };
                let time = timeline.time(kind, raw, Duration::from_millis(now));
                prop_assert!(last[usize::from(is_sound)] == 0 || time > last[usize::from(is_sound)]);
                last[usize::from(is_sound)] = time;
            }
        }
    }
}
