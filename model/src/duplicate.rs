//! Decides what happens when a second publisher uses the name of a live stream.

use crate::time::Timestamp;
use crate::verdict::Credential;

/// A publisher that has sent no media for this many milliseconds counts as stalled.
pub const STALLED_MS: u64 = 3000;

/// `weir_duplicate`: which publisher keeps the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicate {
    /// The first publisher, unless it is stalled.
    #[default]
    Reject,
    /// The second publisher, if it has the same key.
    Takeover,
}

/// Facts about the first publisher.
#[derive(Clone, Copy, Debug)]
pub struct LiveFacts {
    /// The credential with which it publishes.
    pub credential: Credential,
    /// The time of its last media, or else the time when it began to publish.
    pub last_media: Timestamp,
    /// The current time.
    pub now: Timestamp,
}

/// What the second publisher may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: Weir refuses it as a duplicate.
    Refuse,
    /// Replace the first publisher, once Weir has closed the first one's connection.
    TakeOver,
}

/// Decides between the first publisher and the second. A stopgap always loses to any other credential. Otherwise only a
/// publisher with the same key takes over, because a token, an open name or a pull does not prove that both publishers
/// are the same.
pub fn decide_duplicate(live: &LiveFacts, newcomer: Credential, policy: Duplicate) -> Claim {
    let same_key = matches!((live.credential, newcomer), (Credential::Key(a), Credential::Key(b)) if a == b);
    let stalled = live.now.millis_since(live.last_media) >= STALLED_MS;
    if live.credential == Credential::Stopgap && newcomer != Credential::Stopgap {
        return Claim::TakeOver;
    }
    if same_key && (policy == Duplicate::Takeover || stalled) { Claim::TakeOver } else { Claim::Refuse }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyId;

    const KEY: Credential = Credential::Key(KeyId(1));

    fn live(credential: Credential, silent_ms: u64) -> LiveFacts {
        let last_media = Timestamp::from_millis(1_000_000);
        LiveFacts { credential, last_media, now: Timestamp::from_millis(1_000_000 + silent_ms) }
    }

    #[test]
    fn the_same_key_takes_over_where_it_may_or_must() {
        for (silent_ms, policy, claim) in [
            (0, Duplicate::Takeover, Claim::TakeOver),
            (0, Duplicate::Reject, Claim::Refuse),
            (2999, Duplicate::Reject, Claim::Refuse),
            (3000, Duplicate::Reject, Claim::TakeOver),
        ] {
            assert_eq!(decide_duplicate(&live(KEY, silent_ms), KEY, policy), claim, "{silent_ms} {policy:?}");
        }
    }

    #[test]
    fn nothing_else_ever_takes_over() {
        let all = [KEY, Credential::Key(KeyId(2)), Credential::Open, Credential::Token, Credential::Pull];
        for first in all {
            for second in all {
                if (first, second) != (KEY, KEY) && first != Credential::Key(KeyId(2)) {
                    let claim = decide_duplicate(&live(first, 60_000), second, Duplicate::Takeover);
                    assert_eq!(claim, Claim::Refuse, "{first:?} {second:?}");
                }
            }
        }
    }

    #[test]
    fn who_fills_in_gives_way() {
        for newcomer in [KEY, Credential::Open, Credential::Token, Credential::Pull, Credential::Stopgap] {
            let claim = decide_duplicate(&live(Credential::Stopgap, 0), newcomer, Duplicate::Reject);
            assert_eq!(claim == Claim::TakeOver, newcomer != Credential::Stopgap, "{newcomer:?}");
            let claim = decide_duplicate(&live(newcomer, 60_000), Credential::Stopgap, Duplicate::Takeover);
            assert_eq!(claim, Claim::Refuse, "{newcomer:?}");
        }
    }

    #[test]
    fn a_clock_set_back_stalls_nobody() {
        let mut facts = live(KEY, 0);
        facts.now = Timestamp::from_millis(0);
        assert_eq!(decide_duplicate(&facts, KEY, Duplicate::Reject), Claim::Refuse);
    }
}
