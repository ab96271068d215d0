//! Computes how long to wait before a failed action is tried again.

use std::time::Duration;

/// Exponential back-off with a limit. Jitter gives different waits to jobs that failed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// Wait after the first failure.
    pub first: Duration,
    /// Longest wait.
    pub max: Duration,
}

impl Backoff {
    /// Returns the wait after `failures` earlier failures: between 75 % and 100 % of the full time, as `jitter` (any number) decides.
    pub(crate) fn wait(&self, failures: u32, jitter: u32) -> Duration {
        let whole = self.first.saturating_mul(1 << failures.min(20)).min(self.max);
        whole - whole.mul_f64(f64::from(jitter) / f64::from(u32::MAX) / 4.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit() {
        let backoff = Backoff { first: Duration::from_millis(500), max: Duration::from_secs(60) };
        let waits: Vec<u128> = (0..10).map(|n| backoff.wait(n, 0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
        assert_eq!(backoff.wait(u32::MAX, 0), backoff.max);
    }

    #[test]
    fn jitter_takes_off_a_quarter_at_most() {
        let backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(8) };
        for jitter in [0, 1, 77_777, u32::MAX / 2, u32::MAX] {
            let wait = backoff.wait(2, jitter);
            assert!(wait >= Duration::from_secs(3) && wait <= Duration::from_secs(4), "{wait:?}");
        }
        assert_ne!(backoff.wait(2, 5), backoff.wait(2, u32::MAX));
    }
}
