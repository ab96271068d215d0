//! The time of day, as HTTP writes it too, and chance.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use weir_model::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// Any number; the same again and again where the system has no random bytes, which only spreads nothing.
pub fn random_u32() -> u32 {
    getrandom::u32().unwrap_or_default()
}

/// A number that was not given before, by an earlier daemon neither: they begin with the milliseconds since 1970.
pub fn next_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = now().as_millis();
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
    now.max(last.unwrap_or_default() + 1)
}

/// `Fri, 20 Nov 2026 18:00:00 GMT`, the one form that HTTP's senders may use (RFC 9110, section 5.6.7).
pub fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.find(month).filter(|_| month.len() == 3)? / 3 + 1;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}
