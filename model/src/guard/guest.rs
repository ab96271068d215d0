//! Decides which connections are guests. Nothing was accepted yet on a guest's connection, and it counts against the
//! limit of its address.

use crate::time::Timestamp;

/// What a connection that a client opened to this server is doing now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Neither publishes nor plays: during the handshake and before a command, or between two publishes.
    Arriving,
    /// Has asked to publish, and waits for the answer of `on_publish` or for the name to become free.
    Asking,
    /// Publishes, but has sent no audio or video yet.
    Published,
    /// Publishes, and has sent audio or video.
    Publishing,
    /// Plays a stream that has no media.
    Waiting,
    /// Plays, and receives media.
    Playing,
}

impl Role {
    /// Returns whether the connection counts against the limit of its address. `authorised`: Weir accepted a key or
    /// token of the connection. A command alone changes nothing.
    #[must_use]
    pub const fn is_guest(self, authorised: bool) -> bool {
        match self {
            Role::Arriving | Role::Waiting => true,
            Role::Asking | Role::Published => !authorised,
            Role::Publishing | Role::Playing => false,
        }
    }

    /// Returns whether a publish was accepted, so that messages may be as large as `max_message` allows.
    #[must_use]
    pub const fn may_send_media(self) -> bool {
        matches!(self, Role::Published | Role::Publishing)
    }
}

/// The most steps that count as progress. An encoder needs seven, from the handshake to `publish`.
const MOST_STEPS: u8 = 10;

/// How long a guest may pause while its address has more guests than the limit, in milliseconds: three times its
/// longest step so far, within these bounds.
const LEAST_PATIENCE_MS: u64 = 400;
const MOST_PATIENCE_MS: u64 = 2_000;

/// How long a guest may wait for the answer of `on_publish`, in milliseconds.
const ASKING_PATIENCE_MS: u64 = 10_000;

/// How fast a guest makes progress. A guest that makes progress towards its publish does not delay other guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    last: Timestamp,
    longest_ms: u64,
    steps: u8,
}

impl Pace {
    /// Returns the pace of a new connection.
    #[must_use]
    pub const fn new(now: Timestamp) -> Pace {
        Pace { last: now, longest_ms: 0, steps: 0 }
    }

    /// Records a step: the end of the handshake, or a command. Steps beyond `MOST_STEPS` do not count.
    pub fn step(&mut self, now: Timestamp) {
        if self.steps < MOST_STEPS {
            self.steps += 1;
            self.longest_ms = self.longest_ms.max(now.millis_since(self.last));
            self.last = now;
        }
    }

    /// Returns the time since the last step, in milliseconds.
    #[must_use]
    pub fn idle_ms(&self, now: Timestamp) -> u64 {
        now.millis_since(self.last)
    }

    /// Returns whether the guest has paused for so long that Weir may close it in favour of other guests of its
    /// address.
    #[must_use]
    pub fn makes_room(&self, role: Role, now: Timestamp) -> bool {
        let patience_ms = match role {
            Role::Asking => ASKING_PATIENCE_MS,
            _ => (3 * self.longest_ms).clamp(LEAST_PATIENCE_MS, MOST_PATIENCE_MS),
        };
        self.idle_ms(now) >= patience_ms
    }
}

/// Returns how many guests an address may have for a short time. The guests beyond `limit` must make progress quickly.
/// A site with many cameras reconnects all of them simultaneously after a power cut. `used` of `total` connections of
/// the worker are in use; if more than half of them are, the limit is not raised.
#[must_use]
pub fn momentary_limit(limit: u32, used: usize, total: usize) -> u32 {
    if used <= total / 2 { limit.saturating_mul(8) } else { limit }
}

/// Returns whether few connections are left: less than a quarter of them.
#[must_use]
pub fn is_scarce(used: usize, total: usize) -> bool {
    total.saturating_sub(used) < total / 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    #[test]
    fn a_command_alone_earns_no_trust() {
        for role in [Role::Arriving, Role::Waiting] {
            assert!(role.is_guest(false) && role.is_guest(true));
            assert!(!role.may_send_media());
        }
        for role in [Role::Asking, Role::Published] {
            assert!(role.is_guest(false) && !role.is_guest(true));
        }
        for role in [Role::Publishing, Role::Playing] {
            assert!(!role.is_guest(false) && !role.is_guest(true));
        }
        assert!(!Role::Asking.may_send_media() && !Role::Playing.may_send_media());
        assert!(Role::Published.may_send_media() && Role::Publishing.may_send_media());
    }

    #[test]
    fn who_goes_on_makes_no_room() {
        let mut pace = Pace::new(at(0));
        assert!(!pace.makes_room(Role::Arriving, at(399)) && pace.makes_room(Role::Arriving, at(400)));
        for step in 1..=7 {
            pace.step(at(step * 300));
        }
        assert!(!pace.makes_room(Role::Arriving, at(2100 + 899)));
        assert!(pace.makes_room(Role::Arriving, at(2100 + 900)));
        assert!(
            !pace.makes_room(Role::Asking, at(2100 + 9_999))
                && pace.makes_room(Role::Asking, at(2100 + 10_000))
        );
    }

    #[test]
    fn patience_and_steps_have_an_end() {
        let mut slow = Pace::new(at(0));
        slow.step(at(60_000));
        assert!(!slow.makes_room(Role::Arriving, at(61_999)) && slow.makes_room(Role::Arriving, at(62_000)));
        let mut busy = Pace::new(at(0));
        for step in 1..=100 {
            busy.step(at(step * 100));
        }
        assert_eq!(busy.idle_ms(at(10_000)), 9_000);
    }

    #[test]
    fn there_is_room_for_a_moment_while_half_of_the_connections_are_free() {
        assert_eq!((momentary_limit(32, 256, 512), momentary_limit(32, 257, 512)), (256, 32));
        assert_eq!(momentary_limit(u32::MAX, 0, 512), u32::MAX);
        assert!(!is_scarce(384, 512) && is_scarce(385, 512) && is_scarce(600, 512));
    }

    proptest! {
        #[test]
        fn nobody_stands_still_for_longer_than_that(steps in prop::collection::vec(0_u64..20_000, 0..30)) {
            let mut pace = Pace::new(at(0));
            let mut now = 0;
            for step in steps {
                now += step;
                pace.step(at(now));
            }
            prop_assert!(pace.makes_room(Role::Waiting, at(now + MOST_PATIENCE_MS)));
        }
    }
}
