//! What was in force before a ban or time-out, so that a moderator can undo this order alone. Pure; time is an argument.

use std::collections::VecDeque;

use tokio::time::Instant;
use weir_model::Timestamp;

use super::room::{Ban, REGRET};

/// Most orders that can be undone in one room.
const MOST: usize = 100;

/// A ban or time-out of a name, or its absence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ban(Option<Ban>),
    /// With the end.
    TimeOut(Option<(Ban, Timestamp)>),
}

impl State {
    fn is_ban(&self) -> bool {
        matches!(self, Self::Ban(_))
    }
}

/// A ban or time-out that a moderator ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) id: String,
    pub(super) at: Instant,
    /// Name or hash as it was reported.
    pub(super) who: String,
    /// [`Ban::name`].
    pub(super) name: String,
    pub(super) before: State,
    pub(super) after: State,
    /// Ids of the messages that the order has removed.
    pub(super) gone: Vec<String>,
}

/// The recent orders of a room, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Undo(VecDeque<Step>);

impl Undo {
    pub(super) fn add(&mut self, step: Step) {
        self.0.retain(|other| step.at - other.at < REGRET);
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(step);
    }

    /// Takes an order. Also returns whether it is the last one of its kind for its name: otherwise, what the later one has set stays, and
    /// undoing both lifts both.
    pub(super) fn take(&mut self, id: &str, now: Instant) -> Option<(Step, bool)> {
        let at = self.0.iter().position(|step| step.id == id && now - step.at < REGRET)?;
        let step = self.0.remove(at)?;
        let is_same = |other: &Step| other.name == step.name && other.before.is_ban() == step.before.is_ban();
        let later = self.0.iter_mut().skip(at).find(|other| is_same(other));
        let is_last = later.is_none();
        if let Some(later) = later.filter(|later| later.before == step.after) {
            later.before = step.before.clone();
        }
        Some((step, is_last))
    }

    /// Returns whether no order can be undone.
    pub(super) fn is_empty(&self, now: Instant) -> bool {
        self.0.iter().all(|step| now - step.at >= REGRET)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_order_is_undone_alone_in_any_order() {
        let now = Instant::now();
        let ban = |mark: u8| {
            State::Ban(Some(Ban { name: "eve".into(), marks: vec![[mark; 16]], is_verified: None }))
        };
        let (who, name) = ("Eve".to_owned(), "eve".to_owned());
        let none = Step {
            id: "u1".into(),
            at: now,
            who,
            name,
            before: State::Ban(None),
            after: ban(1),
            gone: Vec::new(),
        };
        let second = Step { id: "u2".into(), before: ban(1), after: ban(2), ..none.clone() };
        let other = Step { id: "u3".into(), before: State::TimeOut(None), ..none.clone() };
        let begin = || {
            let mut undo = Undo::default();
            [&none, &second, &other].into_iter().for_each(|step| undo.add(step.clone()));
            undo
        };
        let mut undo = begin();
        assert_eq!(undo.take("u2", now), Some((second.clone(), true)));
        assert_eq!(undo.take("u2", now), None);
        assert_eq!(undo.take("u1", now), Some((none.clone(), true)));
        let mut undo = begin();
        assert_eq!(undo.take("u1", now), Some((none.clone(), false)));
        let last = Step { before: State::Ban(None), ..second };
        assert_eq!(undo.take("u2", now), Some((last, true)), "nothing is left of both");
        assert!(!undo.is_empty(now));
        assert_eq!(undo.take("u3", now + REGRET), None);
        assert!(undo.is_empty(now + REGRET + Duration::from_secs(1)));
    }
}
