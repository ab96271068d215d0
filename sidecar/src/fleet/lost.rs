//! Decides which server of an event is lost and must be replaced: its edge no longer reports to the origin. Pure; time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// Most servers that never joined and are replaced one after the other. More of them show that the script or the origin is at fault.
const MOST_UNBORN: u32 = 3;

/// A server that is not leaving.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'s> {
    /// The provider's id.
    pub(super) id: &'s str,
    /// The origin receives reports of its edge.
    pub(super) reports: bool,
    /// Time since the server was created.
    pub(super) age: Duration,
}

/// Time limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Time without a report after which a server is lost.
    pub(super) after: Duration,
    /// Time within which a new server must join.
    pub(super) boot: Duration,
}

/// State of the servers of an event.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Servers whose edges do not report, by id, with the time at which Weir first saw this.
    silent: BTreeMap<String, Instant>,
    /// Servers whose edges have reported.
    joined: BTreeSet<String>,
    /// A server was replaced, and no server has joined since then.
    is_waiting: bool,
    /// Number of servers that never joined and were replaced, since the last server joined.
    unborn: u32,
}

impl Lost {
    /// Returns the id of a server to replace, if there is one.
    ///
    /// Servers are replaced one by one: the next one only after a server has joined. If no edge can reach the origin, most servers stay.
    pub(super) fn look<'s>(
        &mut self,
        servers: &[Sight<'s>],
        limits: Limits,
        now: Instant,
    ) -> Option<&'s str> {
        let is_there = |id: &String| servers.iter().any(|server| server.id == *id);
        self.silent.retain(|id, _| is_there(id));
        self.joined.retain(is_there);
        for server in servers {
            if !server.reports {
                self.silent.entry(server.id.to_owned()).or_insert(now);
                continue;
            }
            self.silent.remove(server.id);
            if self.joined.insert(server.id.to_owned()) {
                (self.is_waiting, self.unborn) = (false, 0);
            }
        }
        let is_lost = |server: &&Sight<'_>| {
            let since = self.silent.get(server.id);
            let has_joined = self.joined.contains(server.id);
            since.is_some_and(|since| now.duration_since(*since) >= limits.after)
                && match has_joined {
                    true => !self.is_waiting,
                    false => server.age >= limits.boot && self.unborn < MOST_UNBORN,
                }
        };
        servers.iter().find(is_lost).map(|server| server.id)
    }

    /// Notes that a server will be replaced.
    pub(super) fn replaced(&mut self, id: &str) {
        self.is_waiting = true;
        if !self.joined.contains(id) {
            self.unborn += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { after: Duration::from_secs(120), boot: Duration::from_secs(600) };

    fn sights<'s>(reporting: &[&'s str], silent: &[&'s str], age: u64) -> Vec<Sight<'s>> {
        let sight = |reports| move |id: &&'s str| Sight { id, reports, age: Duration::from_secs(age) };
        reporting.iter().map(sight(true)).chain(silent.iter().map(sight(false))).collect()
    }

    #[test]
    fn servers_that_died_are_replaced_one_by_one() {
        let (mut lost, begin) = (Lost::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(lost.look(&sights(&["1", "2", "3"], &[], 900), LIMITS, at(0)), None);
        let two = sights(&["3"], &["1", "2"], 900);
        assert_eq!(lost.look(&two, LIMITS, at(10)), None);
        assert_eq!(lost.look(&two, LIMITS, at(129)), None);
        assert_eq!(lost.look(&two, LIMITS, at(130)), Some("1"));
        lost.replaced("1");
        let new = [sights(&["3"], &["2"], 900), sights(&[], &["4"], 5)].concat();
        assert_eq!(lost.look(&new, LIMITS, at(140)), None, "the new server has not joined");
        let joined = [sights(&["3"], &["2"], 900), sights(&["4"], &[], 60)].concat();
        assert_eq!(lost.look(&joined, LIMITS, at(200)), Some("2"));
        // A report in between starts the time again.
        assert_eq!(lost.look(&sights(&["2", "3", "4"], &[], 900), LIMITS, at(201)), None);
        assert_eq!(lost.look(&joined, LIMITS, at(202)), None);
    }

    #[test]
    fn servers_that_never_join_are_not_replaced_for_ever() {
        let (mut lost, mut at, mut count) = (Lost::default(), Instant::now(), 0);
        let names: Vec<String> = (0..20).map(|nth| format!("n{nth}")).collect();
        for name in &names {
            for age in [0, 300, 599, 600, 900] {
                let seen = sights(&[], &[name], age);
                at += Duration::from_secs(130);
                if let Some(id) = lost.look(&seen, LIMITS, at) {
                    assert!(age >= 600, "{age}");
                    lost.replaced(id);
                    count += 1;
                    break;
                }
            }
        }
        assert_eq!(count, MOST_UNBORN);
        assert_eq!(lost.look(&sights(&["new"], &["n19"], 900), LIMITS, at), Some("n19"));
    }
}
