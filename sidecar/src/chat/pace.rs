//! How fast people may write. Pure; time is an argument.
//!
//! Who chose a name without a token can choose another one at any time, so such people also count by their address. One address may
//! stand for a school.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// So many messages of one person in [`WINDOW`],
pub(super) const MOST_MESSAGES: usize = 5;
/// and so many of all people without a token behind one address.
const MOST_OF_ADDRESS: usize = 30;
/// See there.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// In slow mode, so many messages of these in its span.
const SLOW_OF_ADDRESS: usize = 2;

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<'w> {
    pub(super) name: &'w str,
    /// None for whom a token has named.
    pub(super) address: Option<[u8; 16]>,
    /// Slow mode does not hold for them.
    pub(super) is_moderator: bool,
}

/// Why somebody has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    TooFast,
    Slow,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    /// By the name in small letters, and the address where no token has named them.
    Person(String, Option<[u8; 16]>),
    Address([u8; 16]),
}

/// When people wrote.
#[derive(Debug, Default)]
pub(super) struct Pace(HashMap<Who, VecDeque<Instant>>);

impl Pace {
    /// Somebody writes now, if they may.
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
        // People whom tokens have named count for themselves, wherever they are.
        assert_eq!(count(None, slow, now), 40);
        assert_eq!(count(None, slow, now), 0);
    }
}
