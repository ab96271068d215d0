//! Limits how fast people may write. Pure; time is an argument.
//!
//! A person who chose a name without a token can change it at any time, so the messages of such people also count by address. One address
//! may belong to a whole school.

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

/// Times of recent messages.
#[derive(Debug, Default)]
pub(super) struct Pace(HashMap<Who, VecDeque<Instant>>);

impl Pace {
    /// Counts a message, if the person may write now.
    pub(super) fn write(&mut self, writer: Writer<'_>, slow: Duration, now: Instant) -> Result<(), Wait> {
        let longest = WINDOW.max(slow);
        self.0.retain(|_, times| times.back().is_some_and(|last| now - *last < longest));
        let person = (Who::Person(writer.name.to_lowercase(), writer.address), MOST_MESSAGES, 1);
        let address = writer.address.map(|mark| (Who::Address(mark), MOST_OF_ADDRESS, SLOW_OF_ADDRESS));
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
        assert_eq!(count(Some([2; 16]), Duration::ZERO, now), MOST_OF_ADDRESS);
        assert_eq!(count(Some([1; 16]), slow, now + slow), SLOW_OF_ADDRESS);
        // People named by tokens count on their own, wherever they are.
        assert_eq!(count(None, slow, now), 40);
        assert_eq!(count(None, slow, now), 0);
    }
}
