//! Limits how fast people may write. Pure; time is an argument.
//!
//! A person who chose a name without a token can change it at any time, and anybody may open any room, so the messages of such people also
//! count by address, over all rooms. One address may belong to a whole school.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Most messages of one person per [`WINDOW`].
pub(super) const MOST_MESSAGES: usize = 5;
/// Most messages per [`WINDOW`] of all people without a token behind one address.
const MOST_OF_ADDRESS: usize = 30;
/// Window of both limits.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// Most messages per slow-mode span of all people without a token behind one address.
const SLOW_OF_ADDRESS: usize = 2;

/// A person who writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<'w> {
    pub(super) name: &'w str,
    /// Keyed hash of the address; `None` if a token gives the name.
    pub(super) address: Option<[u8; 16]>,
    /// Slow mode does not apply to moderators.
    pub(super) is_moderator: bool,
}

/// Reason why a person must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    TooFast,
    Slow,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    /// The name in lower case, and the address if no token gives the name.
    Person(String, Option<[u8; 16]>),
    Address([u8; 16]),
}

/// Times of recent messages in one room.
#[derive(Debug, Default)]
pub(super) struct Pace(HashMap<Who, VecDeque<Instant>>);

impl Pace {
    /// Counts a message, if the person may write now.
    pub(super) fn write(&mut self, writer: Writer<'_>, slow: Duration, now: Instant) -> Result<(), Wait> {
        let longest = WINDOW.max(slow);
        self.0.retain(|_, times| times.back().is_some_and(|last| now - *last < longest));
        let person = (Who::Person(writer.name.to_lowercase(), writer.address), MOST_MESSAGES, 1);
        // `Addresses` limits the other messages of an address.
        let address = writer.address.map(|mark| (Who::Address(mark), usize::MAX, SLOW_OF_ADDRESS));
        let all: Vec<_> = std::iter::once(person).chain(address).collect();
        for (who, most, most_slow) in &all {
            let times = self.0.get(who);
            let within =
                |span: Duration| times.into_iter().flatten().filter(|time| now - **time < span).count();
            if within(WINDOW) >= *most {
                return Err(Wait::TooFast);
            }
            if !writer.is_moderator && within(slow) >= *most_slow {
                return Err(Wait::Slow);
            }
        }
        for (who, ..) in all {
            let times = self.0.entry(who).or_default();
            while times.front().is_some_and(|first| now - *first >= longest) {
                times.pop_front();
            }
            times.push_back(now);
        }
        Ok(())
    }
}

/// Times of recent messages of people without a token, by address, over all rooms.
#[derive(Debug, Default)]
pub(super) struct Addresses(HashMap<[u8; 16], VecDeque<Instant>>);

impl Addresses {
    /// Returns whether people behind an address may write now.
    pub(super) fn may_write(&self, address: &[u8; 16], now: Instant) -> bool {
        let times = self.0.get(address).into_iter().flatten();
        times.filter(|time| now - **time < WINDOW).count() < MOST_OF_ADDRESS
    }

    /// Counts a message.
    pub(super) fn wrote(&mut self, address: [u8; 16], now: Instant) {
        let times = self.0.entry(address).or_default();
        while times.len() >= MOST_OF_ADDRESS {
            times.pop_front();
        }
        times.push_back(now);
    }

    /// Forgets addresses without a recent message.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.0.retain(|_, times| times.back().is_some_and(|last| now - *last < WINDOW));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_name_is_no_other_person() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let names: Vec<String> = (0..40).map(|n| format!("n{n}")).collect();
        let writer = |name, address| Writer { name, address, is_moderator: false };
        let slow = Duration::from_secs(30);
        let mut count = |address: Option<[u8; 16]>, slow, now| {
            names.iter().filter(|name| pace.write(writer(name, address), slow, now).is_ok()).count()
        };
        assert_eq!(count(Some([1; 16]), slow, now), SLOW_OF_ADDRESS);
        assert_eq!(count(Some([1; 16]), slow, now + slow), SLOW_OF_ADDRESS);
        // People named by tokens count on their own, wherever they are.
        assert_eq!(count(None, slow, now), 40);
        assert_eq!(count(None, slow, now), 0);
    }

    #[test]
    fn an_address_counts_over_all_rooms() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());
        let mut write = |now: Instant| {
            let may = addresses.may_write(&[1; 16], now);
            if may {
                addresses.wrote([1; 16], now);
            }
            may
        };
        assert_eq!((0..40).filter(|_| write(now)).count(), MOST_OF_ADDRESS);
        assert!(!write(now + WINDOW / 2) && write(now + WINDOW));
        assert!(addresses.may_write(&[2; 16], now));
        addresses.tidy(now + WINDOW * 3);
        assert!(addresses.0.is_empty());
    }
}
