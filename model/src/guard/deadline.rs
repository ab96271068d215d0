//! Finds connections that were silent for too long.

use super::{Violation, guest::Role};
use crate::time::Timestamp;

/// How long a publish may wait for an answer of `on_publish`, in milliseconds. nginx-rtmp gives up earlier, unless the
/// answer arrives byte by byte (`netcall_timeout`).
const ASKING_MS: u64 = 60_000;

/// The longest allowed silence, in milliseconds; 0 means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `weir_session_timeout`.
    pub session_timeout_ms: u64,
    /// `weir_idle_publisher`.
    pub idle_publisher_ms: u64,
}

impl Default for Limits {
    /// Returns ten seconds for each limit.
    fn default() -> Limits {
        Limits { session_timeout_ms: 10_000, idle_publisher_ms: 10_000 }
    }
}

/// Returns why a connection must be closed, if it must. `since`: when its role began or, for a publisher, the time of
/// the last audio or video. `scarce`: the server has few connections left, so that a player which waits for its stream
/// has a deadline too. If the clock is set back, no connection is closed.
pub fn overdue(
    role: Role,
    since: Timestamp,
    now: Timestamp,
    limits: &Limits,
    scarce: bool,
) -> Option<Violation> {
    let (limit_ms, violation) = match role {
        Role::Arriving => (limits.session_timeout_ms, Violation::SessionTimeout),
        Role::Asking => (ASKING_MS, Violation::NoMedia),
        Role::Published => (limits.idle_publisher_ms, Violation::NoMedia),
        Role::Publishing => (limits.idle_publisher_ms, Violation::IdlePublisher),
        Role::Waiting if scarce => (limits.session_timeout_ms, Violation::SessionTimeout),
        Role::Waiting | Role::Playing => return None,
    };
    (limit_ms > 0 && now.millis_since(since) >= limit_ms).then_some(violation)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_197_600_000);
    const LIMITS: Limits = Limits { session_timeout_ms: 10_000, idle_publisher_ms: 20_000 };

    fn after(role: Role, millis: u64, limits: &Limits, scarce: bool) -> Option<Violation> {
        overdue(role, START, Timestamp::from_millis(START.as_millis() + millis), limits, scarce)
    }

    #[test]
    fn each_role_has_its_limit() {
        for (role, limit, violation) in [
            (Role::Arriving, 10_000, Violation::SessionTimeout),
            (Role::Asking, 60_000, Violation::NoMedia),
            (Role::Published, 20_000, Violation::NoMedia),
            (Role::Publishing, 20_000, Violation::IdlePublisher),
        ] {
            for scarce in [false, true] {
                assert_eq!(after(role, limit - 1, &LIMITS, scarce), None);
                assert_eq!(after(role, limit, &LIMITS, scarce), Some(violation));
                assert_eq!(after(role, u64::MAX / 2, &LIMITS, scarce), Some(violation));
            }
        }
        assert_eq!(after(Role::Playing, u64::MAX / 2, &LIMITS, true), None);
    }

    #[test]
    fn who_waits_for_a_stream_may_stay_unless_connections_are_scarce() {
        assert_eq!(after(Role::Waiting, u64::MAX / 2, &LIMITS, false), None);
        assert_eq!(after(Role::Waiting, 9_999, &LIMITS, true), None);
        assert_eq!(after(Role::Waiting, 10_000, &LIMITS, true), Some(Violation::SessionTimeout));
    }

    #[test]
    fn zero_is_for_ever() {
        let limits = Limits { session_timeout_ms: 0, idle_publisher_ms: 0 };
        for role in [Role::Arriving, Role::Published, Role::Publishing, Role::Waiting] {
            assert_eq!(after(role, u64::MAX / 2, &limits, true), None);
        }
    }

    #[test]
    fn a_clock_set_back_closes_nobody() {
        for role in [Role::Arriving, Role::Asking, Role::Published, Role::Publishing, Role::Waiting] {
            assert_eq!(overdue(role, START, Timestamp::from_millis(0), &LIMITS, true), None);
        }
    }

    #[test]
    fn ten_seconds_unless_told_otherwise() {
        assert_eq!(Limits::default(), Limits { session_timeout_ms: 10_000, idle_publisher_ms: 10_000 });
    }
}
