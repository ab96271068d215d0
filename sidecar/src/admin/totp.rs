//! The second factor of a login: six digits that an app shows and that change every 30 seconds (TOTP, RFC 6238).

use std::collections::HashMap;
use std::fmt;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Totp};
use weir_model::Timestamp;

use super::name::Name;

/// Length of a step in seconds.
const STEP_S: u64 = 30;
/// Number of steps by which a code may be early or late.
const SKEW: u64 = 1;
/// Length of the key in bytes, as RFC 4226 requires.
const LEN: usize = 20;

/// The key that the app and this server share. The file of the accounts holds it as base32.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Key([u8; LEN]);

/// Error of a text that is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("totp must be 160 bits in base32")]
pub(crate) struct KeyError;

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        let bytes = BASE32_NOPAD.decode(text.as_bytes()).map_err(|_| KeyError)?;
        bytes.try_into().map(Self).map_err(|_| KeyError)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.base32()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Key {
    /// Returns a new random key.
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; LEN];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Returns the key for an app without a camera. It is a secret.
    pub(crate) fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// Returns the URI for an app with a camera, in the *Key Uri Format*. It is a secret. `issuer` is the name of this server in the app.
    pub(crate) fn uri(&self, issuer: &str, name: &Name) -> String {
        let encoded = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let (issuer, name) = (encoded(issuer), encoded(name.as_str()));
        format!("otpauth://totp/{issuer}:{name}?secret={}&issuer={issuer}", self.base32())
    }

    /// Returns the 30-second step of a code, if it is the current step, the previous one or the next one.
    pub(crate) fn step_of(&self, code: &str, now: Timestamp) -> Option<u64> {
        let plain: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        self.totp().check(&plain, now.as_millis() / 1000)
    }

    fn totp(&self) -> Totp {
        // Every app uses SHA-1, 6 digits and 30 seconds. One step off is accepted.
        Builder::new().with_secret(self.0).build_noncompliant()
    }
}

/// Returns whether the code of a step counts as used. `last` is the step of the last used code. Each code is valid once (RFC 6238, 5.2),
/// and codes before the last used one are no longer valid. Ignores a last step in the future, which means that the clock was set back:
/// it would refuse all codes until that time.
pub(crate) fn is_used(last: Option<u64>, step: u64, now: Timestamp) -> bool {
    last.is_some_and(|last| step <= last && last <= step_at(now) + SKEW)
}

/// Returns the time from which the code of a step is too old to be accepted, in milliseconds since 1970.
pub(crate) fn end_of(step: u64) -> u64 {
    step.saturating_add(1 + SKEW).saturating_mul(STEP_S * 1000)
}

fn step_at(now: Timestamp) -> u64 {
    now.as_millis() / 1000 / STEP_S
}

/// The used codes, in memory. They are enough if the file of the accounts cannot be written.
#[derive(Debug, Default)]
pub(crate) struct Used(HashMap<Name, u64>);

impl Used {
    /// Uses the code of this step. Returns false if it was used before.
    pub(crate) fn take(&mut self, name: &Name, step: u64, now: Timestamp) -> bool {
        let is_new = !is_used(self.0.get(name).copied(), step, now);
        if is_new {
            self.0.insert(name.clone(), step);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the key of RFC 6238, appendix B.
    fn key() -> Key {
        Key(*b"12345678901234567890")
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn codes_of_the_rfc() {
        // The RFC has eight digits; apps show the last six.
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (2_000_000_000, "279037")]
        {
            assert_eq!(key().step_of(code, at(seconds)), Some(seconds / 30), "{seconds}");
        }
        assert_eq!(key().step_of("081 804", at(1_111_111_109)), Some(37_037_036));
    }

    #[test]
    fn a_code_is_good_for_a_step_before_and_after() {
        let step = 1_111_111_109 / 30;
        for (now, is_good) in [(step - 2, false), (step - 1, true), (step + 1, true), (step + 2, false)] {
            assert_eq!(key().step_of("081804", at(now * 30)).is_some(), is_good, "{now}");
        }
        for wrong in ["", "081805", "81804", "0818040", "08180x", "۰۸۱۸۰۴", &"0".repeat(100_000)] {
            assert_eq!(key().step_of(wrong, at(1_111_111_109)), None, "{wrong:.20}");
        }
    }

    #[test]
    fn a_code_opens_once() {
        let (ana, bo) = ("ana".parse().unwrap(), "bo".parse().unwrap());
        let (mut used, now) = (Used::default(), at(7 * STEP_S));
        assert!(used.take(&ana, 7, now));
        assert!(!used.take(&ana, 7, now) && !used.take(&ana, 6, now));
        assert!(used.take(&bo, 7, now) && used.take(&ana, 8, now));
        // The clock was a year ahead, and is right again: each code works once.
        let mut used = Used::default();
        assert!(used.take(&ana, 1_000_000, at(1_000_000 * STEP_S)));
        assert!(used.take(&ana, 7, now) && !used.take(&ana, 7, now));
    }

    #[test]
    fn a_used_code_is_remembered_until_it_is_refused_anyway() {
        let step = 1_111_111_109 / STEP_S;
        let last = end_of(step) - 1;
        assert_eq!(key().step_of("081804", Timestamp::from_millis(last)), Some(step));
        assert!(is_used(Some(step), step, Timestamp::from_millis(last)));
        assert_eq!(key().step_of("081804", Timestamp::from_millis(last + 1)), None);
    }

    #[test]
    fn the_key_is_shown_where_it_is_asked_for() {
        assert_eq!(format!("{:?}", key()), "***");
        assert_eq!(
            key().uri("St. Ana: live", &"ana@example.org".parse().unwrap()),
            "otpauth://totp/St%2E%20Ana%3A%20live:ana%40example%2Eorg?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=St%2E%20Ana%3A%20live"
        );
        let text = serde_json::to_string(&key()).unwrap();
        assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), key());
        for wrong in ["\"\"", "\"GEZDGNBV\"", "\"gezdgnbvgy3tqojqgezdgnbvgy3tqojq\"", "1"] {
            assert!(serde_json::from_str::<Key>(wrong).is_err(), "{wrong}");
        }
        assert_ne!(Key::new().unwrap(), Key::new().unwrap());
    }
}
