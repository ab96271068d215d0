//! Growth rate of a counter: a window over the last ten seconds that moves with each sample.

use crate::time::Timestamp;

/// The longest span of a rate, in milliseconds, the same as for nginx-rtmp's own rates.
pub const WINDOW_MS: u64 = 10_000;

/// A sample that follows the previous one sooner than this is skipped; in milliseconds.
const MIN_STEP_MS: u64 = 800;

/// The number of steps that fit into the window.
const STEPS: usize = (WINDOW_MS / MIN_STEP_MS) as usize;

/// The growth of a counter that is sampled about once a second.
///
/// The ring stores steps rather than times, so that a clock that is set back or a counter that restarts does not
/// corrupt the rate.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    last: Option<(Timestamp, u64)>,
    /// A ring; unused steps are zero.
    steps: [Step; STEPS],
    /// Position of the next step, which is the oldest step if the ring is full.
    next: usize,
    sum: Step,
}

/// The time and growth between two samples.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    millis: u64,
    growth: u64,
}

impl Rate {
    /// Adds a sample of the counter.
    ///
    /// If the counter decreased, or after a gap longer than the window, the window restarts. If the clock was set back,
    /// this one step is not counted.
    pub fn push(&mut self, now: Timestamp, total: u64) {
        let Some((then, before)) = self.last else {
            self.last = Some((now, total));
            return;
        };
        let millis = now.millis_since(then);
        if total < before || millis > WINDOW_MS {
            *self = Rate { last: Some((now, total)), ..Rate::default() };
        } else if now < then {
            self.last = Some((now, total));
        } else if millis >= MIN_STEP_MS {
            self.last = Some((now, total));
            self.add(Step { millis, growth: total - before });
        }
    }

    fn add(&mut self, step: Step) {
        let slot = &mut self.steps[self.next];
        let replaced = std::mem::replace(slot, step);
        self.next = (self.next + 1) % STEPS;
        self.sum.millis = self.sum.millis - replaced.millis + step.millis;
        self.sum.growth = self.sum.growth.wrapping_sub(replaced.growth).wrapping_add(step.growth);
        self.forget_what_is_old();
    }

    /// Drops the oldest steps until the rest fits the window. The newest step always fits.
    fn forget_what_is_old(&mut self) {
        for offset in 0..STEPS {
            if self.sum.millis <= WINDOW_MS {
                return;
            }
            let oldest = std::mem::take(&mut self.steps[(self.next + offset) % STEPS]);
            self.sum.millis -= oldest.millis;
            self.sum.growth = self.sum.growth.wrapping_sub(oldest.growth);
        }
    }

    /// Returns bits per second, for a counter of bytes; 0 before the second sample.
    pub fn bits_per_second(&self) -> u64 {
        self.per_second(8)
    }

    /// Returns thousandths per second, for a counter of events such as frames; 0 before the second sample.
    pub fn per_second_milli(&self) -> u64 {
        self.per_second(1000)
    }

    fn per_second(&self, factor: u128) -> u64 {
        let grown = u128::from(self.sum.growth) * factor * 1000;
        let rate = grown.checked_div(u128::from(self.sum.millis)).unwrap_or(0);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: u64 = 1_795_197_600_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(START + millis)
    }

    /// Returns the rate after these samples, given as milliseconds from the start and totals.
    fn after(samples: impl IntoIterator<Item = (u64, u64)>) -> Rate {
        let mut rate = Rate::default();
        for (millis, total) in samples {
            rate.push(at(millis), total);
        }
        rate
    }

    #[test]
    fn is_right_from_the_second_sample_on() {
        assert_eq!(after([]).bits_per_second(), 0);
        assert_eq!(after([(0, 500)]).bits_per_second(), 0);
        assert_eq!(after([(0, 500), (1000, 125_500)]).bits_per_second(), 1_000_000);
        assert_eq!(after((0..=60).map(|s| (s * 1000, s * 125_000))).bits_per_second(), 1_000_000);
        assert_eq!(after((0..=60).map(|s| (s * 1001, s * 30))).per_second_milli(), 29_970);
    }

    #[test]
    fn forgets_what_is_older_than_the_window() {
        let burst = |until: u64| after((0..=until).map(|s| (s * 1000, if s == 0 { 0 } else { 10_000 })));
        assert_eq!(burst(10).bits_per_second(), 8_000);
        assert_eq!(burst(11).bits_per_second(), 0);
    }

    #[test]
    fn samples_that_are_too_close_are_left_to_the_next() {
        assert_eq!(after([(0, 0), (1000, 1000), (1000, 1500), (1100, 1600)]).bits_per_second(), 8_000);
        assert_eq!(after((0..=600).map(|n| (n * 100, n * 100))).bits_per_second(), 8_000);
    }

    #[test]
    fn a_clock_set_back_costs_one_step() {
        let mut rate = after((20..=25).map(|s| (s * 1000, s * 1000)));
        rate.push(at(0), 26_000);
        assert_eq!(rate.bits_per_second(), 8_000);
        rate.push(at(1000), 27_000);
        assert_eq!(rate.bits_per_second(), 8_000);
    }

    #[test]
    fn a_total_that_went_down_begins_anew() {
        let mut rate = after([(0, 0), (1000, 1_000_000)]);
        rate.push(at(2000), 10);
        assert_eq!(rate.bits_per_second(), 0);
        rate.push(at(3000), 1010);
        assert_eq!(rate.bits_per_second(), 8_000);
    }

    #[test]
    fn a_gap_begins_anew() {
        let mut rate = after([(0, 0), (1000, 1_000_000), (12_000, 50_000_000)]);
        assert_eq!(rate.bits_per_second(), 0);
        rate.push(at(13_000), 50_001_000);
        assert_eq!(rate.bits_per_second(), 8_000);
    }

    #[test]
    fn no_total_is_too_large() {
        assert_eq!(after([(0, 0), (1000, u64::MAX)]).bits_per_second(), u64::MAX);
        assert_eq!(
            after([(0, 0), (1000, u64::MAX), (2000, 0), (3000, u64::MAX)]).per_second_milli(),
            u64::MAX
        );
    }

    proptest! {
        #[test]
        fn lies_between_the_slowest_and_the_fastest_step(
            steps in prop::collection::vec((800u64..=5000, 0u64..1_000_000), 1..60)
        ) {
            let (mut rate, mut now, mut total) = (Rate::default(), 0, 0);
            rate.push(at(now), total);
            for (millis, growth) in &steps {
                now += millis;
                total += growth;
                rate.push(at(now), total);
            }
            let speeds: Vec<u64> = steps.iter().map(|(millis, growth)| growth * 8000 / millis).collect();
            prop_assert!(rate.bits_per_second() >= speeds.iter().copied().min().unwrap());
            prop_assert!(rate.bits_per_second() <= speeds.iter().copied().max().unwrap() + 1);
        }

        #[test]
        fn nothing_that_is_pushed_breaks_it(samples in prop::collection::vec((any::<u64>(), any::<u64>()), 0..60)) {
            let mut rate = Rate::default();
            for (now, total) in samples {
                rate.push(Timestamp::from_millis(now), total);
                prop_assert!(rate.sum.millis <= WINDOW_MS);
                prop_assert_eq!(rate.sum.millis, rate.steps.iter().map(|step| step.millis).sum::<u64>());
            }
        }

        #[test]
        fn recovers_from_anything_within_two_samples(
            samples in prop::collection::vec((0u64..40_000, 0u64..1000), 0..30), later in 0u64..100_000
        ) {
            let mut rate = after(samples);
            for second in 0..=12 {
                rate.push(at(later + second * 1000), 1000 + second * 125);
            }
            prop_assert_eq!(rate.bits_per_second(), 1000);
        }
    }
}
