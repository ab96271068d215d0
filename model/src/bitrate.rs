//! A publisher that sends more than its application allows: warned first, closed later.

use crate::time::Timestamp;

/// For how long a publisher may be above the limit before it is warned, and before it is closed, in milliseconds.
pub const WARN_MS: u64 = 10_000;
#[allow(missing_docs)]
pub const CLOSE_MS: u64 = 20_000;

/// `weir_max_bitrate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bits a second.
    pub rate: u64,
    /// How many bits above the limit do not count.
    pub burst: u64,
}

/// What becomes of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Fine,
    /// It goes on, and somebody is told.
    Warn,
    /// It is closed.
    Close,
}

/// Watches one publisher: a sample about once a second.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    last: Option<Timestamp>,
    /// Bits above the limit so far; below the limit it falls again.
    debt: u64,
    since: Option<Timestamp>,
    warned: bool,
}

impl Watch {
    /// Takes a sample: bits a second, as the average of the last seconds. `now` is a moment of a clock that is never set.
    pub fn sample(&mut self, now: Timestamp, rate: u64, limit: &Limit) -> Verdict {
        let millis = self.last.replace(now).map_or(0, |last| now.millis_since(last));
        let bits =
            |rate: u64| u64::try_from(u128::from(rate) * u128::from(millis) / 1000).unwrap_or(u64::MAX);
        if rate <= limit.rate {
            self.debt = self.debt.saturating_sub(bits(limit.rate - rate));
            (self.since, self.warned) = (None, false);
            return Verdict::Fine;
        }
        // The excess is limited to one burst, so a publisher that was far above the limit recovers as soon as one that was just above it.
        self.debt = self.debt.saturating_add(bits(rate - limit.rate)).min(limit.burst.saturating_add(1));
        if self.debt <= limit.burst && limit.burst > 0 {
            return Verdict::Fine;
        }
        let above_ms = now.millis_since(*self.since.get_or_insert(now));
        if above_ms >= CLOSE_MS {
            return Verdict::Close;
        }
        if above_ms >= WARN_MS && !std::mem::replace(&mut self.warned, true) {
            return Verdict::Warn;
        }
        Verdict::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a publisher with these rates, one each second: the seconds at which that is not [`Verdict::Fine`].
    fn verdicts(rates: impl IntoIterator<Item = u64>, limit: Limit) -> Vec<(usize, Verdict)> {
        let mut watch = Watch::default();
        let mut judge = |(second, rate): (usize, u64)| {
            (second, watch.sample(Timestamp::from_millis(1000 * second as u64), rate, &limit))
        };
        rates
            .into_iter()
            .enumerate()
            .map(&mut judge)
            .filter(|(_, verdict)| *verdict != Verdict::Fine)
            .collect()
    }

    const LIMIT: Limit = Limit { rate: 1000, burst: 0 };

    #[test]
    fn is_warned_once_and_closed_later() {
        let seen = verdicts(std::iter::repeat_n(1001, 21), LIMIT);
        assert_eq!(seen, [(10, Verdict::Warn), (20, Verdict::Close)]);
        assert_eq!(verdicts(std::iter::repeat_n(1000, 100), LIMIT), []);
    }

    #[test]
    fn a_second_below_begins_anew() {
        let rates = (0..100).map(|second| if second % 10 == 9 { 1000 } else { 9000 });
        assert_eq!(verdicts(rates, LIMIT), []);
        let rates = (0..100).map(|second| if second % 19 == 18 { 1000 } else { 9000 });
        assert!(verdicts(rates, LIMIT).iter().all(|(_, verdict)| *verdict == Verdict::Warn));
    }

    #[test]
    fn a_burst_does_not_count() {
        let limit = Limit { rate: 1000, burst: 5000 };
        // 1000 bits too many each second: the burst is used up after five seconds.
        assert_eq!(
            verdicts(std::iter::repeat_n(2000, 27), limit),
            [(16, Verdict::Warn), (26, Verdict::Close)]
        );
        // What was owed is paid back below the limit.
        let rates = (0..200).map(|second| if second % 10 < 5 { 2000 } else { 0 });
        assert_eq!(verdicts(rates, limit), []);
    }

    #[test]
    fn nothing_overflows() {
        let limit = Limit { rate: 1, burst: u64::MAX };
        assert_eq!(verdicts(std::iter::repeat_n(u64::MAX, 50), limit), []);
        let limit = Limit { rate: 1, burst: 0 };
        assert_eq!(verdicts(std::iter::repeat_n(u64::MAX, 21), limit).len(), 2);
    }
}
