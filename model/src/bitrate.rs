//! Limits the bitrate of a publisher: Weir first warns, later closes the connection.

use crate::time::Timestamp;

/// How long a publisher may exceed the limit until Weir warns, and until Weir closes the connection, in milliseconds.
pub const WARN_MS: u64 = 10_000;
#[allow(missing_docs)]
pub const CLOSE_MS: u64 = 20_000;

/// `weir_max_bitrate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bits per second.
    pub rate: u64,
    /// How many bits above the limit are tolerated.
    pub burst: u64,
}

/// What Weir does with a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The publisher continues.
    Fine,
    /// The publisher continues, and Weir reports it.
    Warn,
    /// Weir closes the connection.
    Close,
}

/// Watches one publisher, with about one sample per second.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    last: Option<Timestamp>,
    /// Bits above the limit so far; below the limit the number decreases.
    debt: u64,
    since: Option<Timestamp>,
    warned: bool,
}

impl Watch {
    /// Takes a sample in bits per second, the average of the last seconds. `now` is the time of a monotonic clock.
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

    /// Returns the seconds at which the verdict is not [`Verdict::Fine`], for a publisher with these rates, one per
    /// second.
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
        // 1000 bits too many per second use up the burst after five seconds.
        assert_eq!(
            verdicts(std::iter::repeat_n(2000, 27), limit),
            [(16, Verdict::Warn), (26, Verdict::Close)]
        );
        // Below the limit the excess is paid back.
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
