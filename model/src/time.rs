//! Times in the form of the API and the state file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A time in milliseconds since 1970-01-01T00:00:00Z, not later than the year 9999.
///
/// It prints as RFC 3339 in UTC (`2026-11-20T18:00:00Z`), with milliseconds only if they are not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(u64);

/// The text is not an RFC 3339 time, or is before 1970.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time with an offset, such as 2026-11-20T18:00:00Z")]
pub struct TimeError;

impl Timestamp {
    /// The latest time that can be written: 9999-12-30T22:00:00.999Z.
    pub const MAX: Timestamp = Timestamp(253_402_207_200_999);

    /// Returns a time from milliseconds since the epoch, at most [`Timestamp::MAX`].
    pub const fn from_millis(millis: u64) -> Timestamp {
        if millis > Self::MAX.0 { Self::MAX } else { Timestamp(millis) }
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the whole seconds since the epoch, rounded down.
    pub const fn as_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the time this many milliseconds later, at most [`Timestamp::MAX`].
    pub const fn plus_millis(self, millis: u64) -> Timestamp {
        Timestamp::from_millis(self.as_millis().saturating_add(millis))
    }

    /// Returns the time this many seconds later, at most [`Timestamp::MAX`].
    pub const fn plus_seconds(self, seconds: u64) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Returns the milliseconds since `earlier`, or 0 if `earlier` is in the future.
    pub const fn millis_since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0)
            .ok()
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
            .unwrap_or(jiff::Timestamp::MAX);
        if self.0.is_multiple_of(1000) { write!(f, "{time:.0}") } else { write!(f, "{time:.3}") }
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Timestamp, TimeError> {
        let time: jiff::Timestamp = text.parse().map_err(|_| TimeError)?;
        let millis = u64::try_from(time.as_millisecond()).map_err(|_| TimeError)?;
        Ok(Timestamp::from_millis(millis))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimeError;

    fn try_from(text: String) -> Result<Timestamp, TimeError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> String {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENING: Timestamp = Timestamp::from_millis(1_795_197_600_000);

    #[test]
    fn writes_utc_with_seconds() {
        assert_eq!(EVENING.to_string(), "2026-11-20T18:00:00Z");
        assert_eq!(Timestamp::default().to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00.999Z");
    }

    #[test]
    fn writes_milliseconds_only_when_there_are_any() {
        assert_eq!(Timestamp::from_millis(EVENING.as_millis() + 500).to_string(), "2026-11-20T18:00:00.500Z");
    }

    #[test]
    fn reads_any_offset() {
        for text in ["2026-11-20T18:00:00Z", "2026-11-20T19:00:00+01:00", "2026-11-20T12:30:00.000-05:30"] {
            assert_eq!(text.parse(), Ok(EVENING), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_moment() {
        for text in [
            "",
            "tomorrow",
            "2026-11-20",
            "2026-11-20T18:00:00",
            "2026-13-20T18:00:00Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimeError), "{text}");
        }
    }

    #[test]
    fn adds_without_overflow() {
        assert_eq!(EVENING.plus_seconds(90).to_string(), "2026-11-20T18:01:30Z");
        assert_eq!(EVENING.plus_seconds(u64::MAX), Timestamp::MAX);
        assert_eq!(EVENING.millis_since(EVENING.plus_seconds(1)), 0);
    }

    #[test]
    fn is_text_in_json() {
        assert_eq!(serde_json::to_string(&EVENING).unwrap(), "\"2026-11-20T18:00:00Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>("\"2026-11-20T18:00:00Z\"").unwrap(), EVENING);
        assert!(serde_json::from_str::<Timestamp>("1795197600").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0..=Timestamp::MAX.0) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}
