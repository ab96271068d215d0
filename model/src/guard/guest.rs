//! Who is a guest: a connection on which nothing was accepted yet, and that counts against the limit of its address.

use crate::time::Timestamp;

/// What a connection that somebody made to this server is doing now, whatever it did before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Neither publishes nor plays: the handshake and all that precedes, or what is between two publishes.
    Arriving,
    /// Asked to publish, and waits for the answer: of `on_publish`, or for the name to be free.
    Asking,
    /// Publishes, but no audio or video came so far.
    Published,
    /// Publishes, and audio or video came.
    Publishing,
    /// Plays a stream from which nothing comes.
    Waiting,
    /// Plays, and gets media.
    Playing,
}

impl Role {
    /// Tells whether the connection counts against the limit of its address. `authorised`: it presented a key or token that
    /// was accepted. A command alone changes nothing.
    #[must_use]
    pub const fn is_guest(self, authorised: bool) -> bool {
        match self {
            Role::Arriving | Role::Waiting => true,
            Role::Asking | Role::Published => !authorised,
            Role::Publishing | Role::Playing => false,
        }
    }

    /// Tells whether a publish was accepted, so that messages may be as large as `max_message` allows.
    #[must_use]
    pub const fn may_send_media(self) -> bool {
        matches!(self, Role::Published | Role::Publishing)
    }
}

/// Steps that count as progress, at most: an encoder needs seven, from the handshake to `publish`.
const MOST_STEPS: u8 = 10;

/// How long a guest may stand still while its address has more guests than the limit, in milliseconds: three times the longest
/// step that it has made so far, within these bounds.
const LEAST_PATIENCE_MS: u64 = 400;
const MOST_PATIENCE_MS: u64 = 2_000;

/// How long one may wait for the answer of `on_publish`, in milliseconds.
const ASKING_PATIENCE_MS: u64 = 10_000;

/// How fast a guest goes on: one that comes closer to its publish is not in anybody's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    last: Timestamp,
    longest_ms: u64,
    steps: u8,
}

impl Pace {
    /// Begins with the connection.
    #[must_use]
    pub const fn new(now: Timestamp) -> Pace {
        Pace { last: now, longest_ms: 0, steps: 0 }
    }

    /// Notes a step: the end of the handshake, or a command. Later steps than an encoder needs do not count.
    pub fn step(&mut self, now: Timestamp) {
        if self.steps < MOST_STEPS {
            self.steps += 1;
            self.longest_ms = self.longest_ms.max(now.millis_since(self.last));
            self.last = now;
        }
    }

    /// Returns for how long the guest stands still, in milliseconds.
    #[must_use]
    pub fn idle_ms(&self, now: Timestamp) -> u64 {
        now.millis_since(self.last)
    }

    /// Tells whether it stands still for so long that it makes room for others of its address.
    #[must_use]
    pub fn makes_room(&self, role: Role, now: Timestamp) -> bool {
        let patience_ms = match role {
            Role::Asking => ASKING_PATIENCE_MS,
            _ => (3 * self.longest_ms).clamp(LEAST_PATIENCE_MS, MOST_PATIENCE_MS),
        };
        self.idle_ms(now) >= patience_ms
    }
}

/// Returns how many guests an address may have for a moment, of which those beyond `limit` have to go on quickly: a site with
/// many cameras comes back at once after a power cut. `used` of `total` connections of the worker are taken; where half of
/// them are, there is no room for that.
#[must_use]
pub fn momentary_limit(limit: u32, used: usize, total: usize) -> u32 {
    if used <= total / 2 { limit.saturating_mul(8) } else { limit }
}

/// Tells whether few connections are left: less than a quarter of them.
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
