//! What happens when a stream that is live is published once more.

use crate::time::Timestamp;
use crate::verdict::Credential;

/// A publisher that has sent no media for so many milliseconds counts as stalled.
pub const STALLED_MS: u64 = 3000;

/// `weir_duplicate`: who wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicate {
    /// The first, unless it is stalled.
    #[default]
    Reject,
    /// The second, if it holds the same key.
    Takeover,
}

/// What is known of the publisher that is there.
#[derive(Clone, Copy, Debug)]
pub struct LiveFacts {
    /// By what right it is live.
    pub credential: Credential,
    /// When its last media came, or else when it began to publish.
    pub last_media: Timestamp,
    /// The present.
    pub now: Timestamp,
}

/// What the newcomer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: it is a duplicate.
    Refuse,
    /// Replace the first, once that one is closed.
    TakeOver,
}

/// Decides between the publisher that is there and a newcomer. Who fills in gives way to anybody else; of the
/// others only the same key ever takes over: a token, an open name or a pull does not prove that both are
/// the same publisher.
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
