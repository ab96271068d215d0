//! Who was silent for too long.

use super::Violation;
use crate::time::Timestamp;

/// What a connection that somebody made to this server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Neither publishing nor playing: the handshake and all that precedes, or what is between two publishes.
    Arriving,
    /// Publishing, but no audio or video came so far.
    Published,
    /// Publishing, and audio or video came.
    Publishing,
    /// Playing.
    Playing,
}

/// How long is too long, in milliseconds; 0 is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `weir_session_timeout`.
    pub session_timeout_ms: u64,
    /// `weir_idle_publisher`.
    pub idle_publisher_ms: u64,
}

impl Default for Limits {
    /// Ten seconds each.
    fn default() -> Limits {
        Limits { session_timeout_ms: 10_000, idle_publisher_ms: 10_000 }
    }
}

/// Whether a connection is to be closed. `since`: when its phase began or, of one that is publishing,
/// when the last audio or video came. A clock set back closes nobody.
pub fn overdue(phase: Phase, since: Timestamp, now: Timestamp, limits: &Limits) -> Option<Violation> {
    let (limit_ms, violation) = match phase {
        Phase::Arriving => (limits.session_timeout_ms, Violation::SessionTimeout),
        Phase::Published => (limits.idle_publisher_ms, Violation::NoMedia),
        Phase::Publishing => (limits.idle_publisher_ms, Violation::IdlePublisher),
        Phase::Playing => return None,
    };
    (limit_ms > 0 && now.millis_since(since) >= limit_ms).then_some(violation)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_197_600_000);
    const LIMITS: Limits = Limits { session_timeout_ms: 10_000, idle_publisher_ms: 20_000 };

    fn after(phase: Phase, millis: u64, limits: &Limits) -> Option<Violation> {
        overdue(phase, START, Timestamp::from_millis(START.as_millis() + millis), limits)
    }

    #[test]
    fn each_phase_has_its_limit() {
        for (phase, limit, violation) in [
            (Phase::Arriving, 10_000, Violation::SessionTimeout),
            (Phase::Published, 20_000, Violation::NoMedia),
            (Phase::Publishing, 20_000, Violation::IdlePublisher),
        ] {
            assert_eq!(after(phase, limit - 1, &LIMITS), None);
            assert_eq!(after(phase, limit, &LIMITS), Some(violation));
            assert_eq!(after(phase, u64::MAX / 2, &LIMITS), Some(violation));
        }
        assert_eq!(after(Phase::Playing, u64::MAX / 2, &LIMITS), None);
    }

    #[test]
    fn zero_is_for_ever() {
        let limits = Limits { session_timeout_ms: 0, idle_publisher_ms: 0 };
        for phase in [Phase::Arriving, Phase::Published, Phase::Publishing] {
            assert_eq!(after(phase, u64::MAX / 2, &limits), None);
        }
    }

    #[test]
    fn a_clock_set_back_closes_nobody() {
        for phase in [Phase::Arriving, Phase::Published, Phase::Publishing] {
            assert_eq!(overdue(phase, START, Timestamp::from_millis(0), &LIMITS), None);
        }
    }

    #[test]
    fn ten_seconds_unless_told_otherwise() {
        assert_eq!(Limits::default(), Limits { session_timeout_ms: 10_000, idle_publisher_ms: 10_000 });
    }
}
