//! The era of an origin's clock: a value that changes when the clock is set back. A recorded request would be valid again when the clock
//! shows its time once more, so requests contain the era, and the origin refuses those of an earlier one.

use std::time::Duration;

/// Step back of the clock, in milliseconds, from which a new era begins.
const STEP_MS: u64 = 1000;

/// Era of the clock.
#[derive(Debug, Default)]
pub(super) struct Era {
    name: String,
    /// Start of this daemon by the clock, in milliseconds since 1970.
    started: u64,
}

impl Era {
    /// Returns the name of the present era. `now` and `uptime` are of the same moment; `fresh` makes the name of a new era.
    pub(super) fn at(&mut self, now: u64, uptime: Duration, fresh: impl FnOnce() -> String) -> &str {
        let started = now.saturating_sub(u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX));
        if self.name.is_empty() || started.saturating_add(STEP_MS) < self.started {
            self.name = fresh();
        }
        self.started = started;
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_ends_when_the_clock_is_set_back() {
        let mut era = Era::default();
        let mut number = 0;
        let mut at = |now: u64, uptime_s: u64| {
            let fresh = || {
                number += 1;
                number.to_string()
            };
            era.at(now * 1000, Duration::from_secs(uptime_s), fresh).to_owned()
        };
        assert_eq!(at(100, 0), "1");
        assert_eq!(at(160, 60), "1");
        assert_eq!(at(160, 61), "1", "a step of one second");
        assert_eq!(at(130, 70), "2");
        assert_eq!(at(140, 80), "2");
        assert_eq!(at(900, 90), "2", "the clock is set ahead");
        assert_eq!(at(150, 90), "3");
    }
}
