//! Log lines of an edge about one origin. A stranger at the origin's address can send another text every two seconds, so the lines are
//! limited.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Shortest time between two lines of the same kind, unless the edge has been a member since.
const QUIET: Duration = Duration::from_secs(60);

/// Kind of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The edge is in the origin's table.
    Member,
    /// The origin does not answer.
    Away,
    /// The answer is not signed.
    Unsigned,
    /// The origin refuses the edge.
    Refused,
}

/// The state at an origin, and the lines about it.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The last state; empty before the first one.
    pub(super) state: String,
    /// The last logged state.
    logged: String,
    /// Times of the last lines since the edge was a member, by kind.
    lines: BTreeMap<Kind, Instant>,
}

impl Told {
    /// Notes a state, and returns whether to log it.
    pub(super) fn note(&mut self, kind: Kind, state: &str, now: Instant) -> bool {
        self.state.clear();
        self.state.push_str(state);
        let is_quiet = self.lines.get(&kind).is_some_and(|last| now.duration_since(*last) < QUIET);
        if is_quiet || self.logged == state {
            return false;
        }
        match kind {
            Kind::Member => self.lines.clear(),
            _ => _ = self.lines.insert(kind, now),
        }
        self.logged.clone_from(&self.state);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_changes_all_the_time_is_logged_once_a_minute() {
        use Kind::{Away, Member, Unsigned};
        let (mut told, start) = (Told::default(), Instant::now());
        let mut note = |kind, state: &str, seconds| {
            let is_logged = told.note(kind, state, start + Duration::from_secs(seconds));
            assert_eq!(told.state, state);
            is_logged
        };
        assert!(note(Member, "joined", 0) && !note(Member, "joined", 2));
        assert!(note(Unsigned, "a", 4));
        let lines = (3..32).filter(|turn| note(Unsigned, &turn.to_string(), turn * 2)).count();
        assert_eq!(lines, 0);
        assert!(note(Away, "refused", 63), "another kind");
        assert!(note(Unsigned, "last", 64) && !note(Unsigned, "last", 200));
        // A member again: the next refusal is news.
        assert!(note(Member, "drained", 202) && note(Member, "joined", 204));
        assert!(note(Unsigned, "last", 206));
    }
}
