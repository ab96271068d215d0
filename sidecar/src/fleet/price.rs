//! Money, and the price of a server as Hetzner bills it: per hour begun, and at most the price of a month.

use std::fmt;
use std::ops::Add;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use weir_model::Timestamp;

/// One hour, in milliseconds.
const HOUR: u64 = 3_600_000;
/// Parts of a euro.
const PARTS: u64 = 1_000_000;

/// An amount in millionths of a euro.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Money(pub u64);

/// Error of a text that is not a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a price is written as 0.0080")]
pub(crate) struct MoneyError;

impl Money {
    /// Returns this number of euros.
    pub(crate) const fn euros(euros: u32) -> Self {
        Self(euros as u64 * PARTS)
    }

    /// Multiplies the amount.
    #[must_use]
    pub(crate) fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Money {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self(0), Add::add)
    }
}

/// Parses an amount, rounded up, so that a price is never shown too low.
impl FromStr for Money {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(rest) {
            return Err(MoneyError);
        }
        let kept = format!("{:0<6}", rest.get(..6).unwrap_or(rest));
        let is_more = rest.get(6..).is_some_and(|more| more.contains(|digit| digit != '0'));
        let parts = kept.parse::<u64>().map_err(|_| MoneyError)? + u64::from(is_more);
        let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(PARTS)).ok_or(MoneyError)?;
        whole.checked_add(parts).map(Self).ok_or(MoneyError)
    }
}

impl TryFrom<String> for Money {
    type Error = MoneyError;
    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Money> for String {
    fn from(money: Money) -> Self {
        money.to_string()
    }
}

/// Writes four digits after the point, rounded up.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.div_ceil(100);
        write!(f, "{}.{:04}", parts / 10_000, parts % 10_000)
    }
}

/// Price of one server with its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Price {
    /// Price of each hour begun.
    pub hourly: Money,
    /// Highest price of a month.
    pub monthly: Money,
    /// Price of traffic, if the provider states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
}

/// Price of the outgoing traffic of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traffic {
    /// Bytes that cost nothing.
    pub included: u64,
    /// Price of each further terabyte (10^12 bytes).
    pub per_tb: Money,
}

impl Traffic {
    /// Returns the price if the server sends with this bandwidth, in bit/s, for the whole time.
    pub(crate) fn most(&self, bandwidth: u64, from: Timestamp, to: Timestamp) -> Money {
        let bytes = u128::from(bandwidth) * u128::from(to.millis_since(from)) / 8000;
        let paid = bytes.saturating_sub(u128::from(self.included));
        let cost = (paid * u128::from(self.per_tb.0)).div_ceil(1_000_000_000_000);
        Money(u64::try_from(cost).unwrap_or(u64::MAX))
    }
}

impl Price {
    /// Returns the price of a server that exists from one time to another, at most 28 days later.
    pub(crate) fn of(&self, from: Timestamp, to: Timestamp) -> Money {
        let hours = to.millis_since(from).div_ceil(HOUR).max(1);
        self.hourly.times(hours).min(self.monthly)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }

    #[test]
    fn each_hour_that_has_begun_counts() {
        let price = Price {
            hourly: "0.0080000000000000".parse().unwrap(),
            monthly: "4.99".parse().unwrap(),
            traffic: None,
        };
        for (millis, cost) in [
            (0, "0.0080"),
            (1, "0.0080"),
            (HOUR, "0.0080"),
            (HOUR + 1, "0.0160"),
            (6 * HOUR, "0.0480"),
            (672 * HOUR, "4.9900"),
        ] {
            assert_eq!(price.of(at(0), at(millis)).to_string(), cost, "{millis}");
        }
        assert_eq!("0.00000001".parse::<Money>().unwrap().to_string(), "0.0001");
        for bad in ["", "1,5", "-1", ".5", "1e3", "99999999999999999999"] {
            assert!(bad.parse::<Money>().is_err(), "{bad}");
        }
    }

    #[test]
    fn traffic_costs_beyond_what_is_included() {
        let traffic = Traffic { included: 1_000_000_000_000, per_tb: "1.20".parse().unwrap() };
        // 1 Gbit/s are 0.45 TB per hour.
        for (hours, cost) in [(2, "0.0000"), (3, "0.4200"), (10, "4.2000")] {
            assert_eq!(traffic.most(1_000_000_000, at(0), at(hours * HOUR)).to_string(), cost, "{hours}");
        }
    }

    proptest! {
        #[test]
        fn a_longer_time_never_costs_less(a in 0..3000 * HOUR, b in 0..3000 * HOUR, hourly in 0..10_000_000_u64) {
            let price = Price { hourly: Money(hourly), monthly: Money(hourly * 600), traffic: None };
            prop_assert!(price.of(at(0), at(a.min(b))) <= price.of(at(0), at(a.max(b))));
            prop_assert!(price.of(at(0), at(a)) <= price.monthly.max(price.hourly));
        }
    }
}
