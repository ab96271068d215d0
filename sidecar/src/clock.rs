//! Current time, HTTP dates and random numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use weir_model::Timestamp;

/// Returns the current time.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// Returns the time of an earlier moment by the present clock. If the clock has been set since, it showed another time then.
pub(crate) fn at(moment: Instant) -> Timestamp {
    let since = u64::try_from(moment.elapsed().as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(now().as_millis().saturating_sub(since))
}

/// Returns the minutes since midnight in this machine's local time: 0 to 1439.
pub(crate) fn minute_of_day() -> u16 {
    let now = jiff::Zoned::now();
    u16::try_from(i32::from(now.hour()) * 60 + i32::from(now.minute())).unwrap_or_default()
}

/// Returns a random number, or 0 if the system has no random bytes. Callers only spread load with it.
pub(crate) fn random_u32() -> u32 {
    getrandom::u32().unwrap_or_default()
}

/// Returns a number that neither this daemon nor an earlier one has returned: numbers start at the milliseconds since 1970.
pub(crate) fn next_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = now().as_millis();
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
    now.max(last.unwrap_or_default() + 1)
}

/// Parses `Fri, 20 Nov 2026 18:00:00 GMT`, or one of the two older forms (RFC 9110, section 5.6.7).
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    let since_epoch = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).ok()?))
}
