//! Decides which server of an event is lost and must be replaced: its edge no longer reports to the origin. Pure; time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// Time without a view of the servers after which Weir counts their silence from the start.
const BLIND: Duration = Duration::from_secs(30);
/// Most servers that never joined and are replaced one after the other. More of them show that the script or the origin is at fault.
const MOST_UNBORN: u32 = 3;

/// A server that is not leaving.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'s> {
    /// The provider's id.
    pub(super) id: &'s str,
    /// The origin receives reports of its edge.
    pub(super) reports: bool,
}

/// Time limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Time without a report after which a server is lost.
    pub(super) after: Duration,
    /// Time without a report after which a server is lost that has never reported.
    pub(super) boot: Duration,
}

/// State of the servers of an event.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Servers whose edges do not report, by id, with the time at which Weir first saw this.
    silent: BTreeMap<String, Instant>,
    /// Servers whose edges have reported.
    joined: BTreeSet<String>,
    /// Time of the last replacement, if no server has joined since then.
    waiting: Option<Instant>,
    /// Time since which Weir cannot see the servers.
    blind: Option<Instant>,
    /// Number of servers that never joined and were replaced, since the last server joined.
    unborn: u32,
}

impl Lost {
    /// Returns the id of a server to replace, if there is one.
    ///
    /// Servers are replaced one by one: the next one only after a server has joined. If none of several servers reports, the fault is at the
    /// origin or in its network, so all servers stay. After a restart, Weir does not know which servers have joined, so it waits longer.
    pub(super) fn look<'s>(
        &mut self,
        servers: &[Sight<'s>],
        limits: Limits,
        now: Instant,
    ) -> Option<&'s str> {
        let is_there = |id: &String| servers.iter().any(|server| server.id == *id);
        self.silent.retain(|id, _| is_there(id));
        self.joined.retain(is_there);
        let was_blind = self.blind.take().is_some_and(|since| now.duration_since(since) > BLIND);
        let is_origin_deaf = servers.len() > 1 && !servers.iter().any(|server| server.reports);
        if was_blind || is_origin_deaf {
            self.silent.clear();
        }
        if is_origin_deaf {
            return None;
        }
        for server in servers {
            if !server.reports {
                self.silent.entry(server.id.to_owned()).or_insert(now);
                continue;
            }
            self.silent.remove(server.id);
            if self.joined.insert(server.id.to_owned()) {
                (self.waiting, self.unborn) = (None, 0);
            }
        }
        let is_lost = |server: &&Sight<'_>| {
            let Some(silence) = self.silent.get(server.id).map(|since| now.duration_since(*since)) else {
                return false;
            };
            if self.joined.contains(server.id) {
                return silence >= limits.after && self.waiting.is_none();
            }
            let has_waited = self.waiting.is_none_or(|since| now.duration_since(since) >= limits.boot);
            silence >= limits.after.max(limits.boot) && has_waited && self.unborn < MOST_UNBORN
        };
        servers.iter().find(is_lost).map(|server| server.id)
    }

    /// Notes that Weir cannot see the servers now.
    pub(super) fn cannot_see(&mut self, now: Instant) {
        self.blind.get_or_insert(now);
    }

    /// Notes that a server will be replaced.
    pub(super) fn replaced(&mut self, id: &str, now: Instant) {
        self.waiting = Some(now);
        if !self.joined.contains(id) {
            self.unborn += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { after: Duration::from_secs(120), boot: Duration::from_secs(600) };

    fn sights<'s>(reporting: &[&'s str], silent: &[&'s str]) -> Vec<Sight<'s>> {
        let sight = |reports| move |id: &&'s str| Sight { id, reports };
        reporting.iter().map(sight(true)).chain(silent.iter().map(sight(false))).collect()
    }

    #[test]
    fn servers_that_died_are_replaced_one_by_one() {
        let (mut lost, begin) = (Lost::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(lost.look(&sights(&["1", "2", "3"], &[]), LIMITS, at(0)), None);
        let two = sights(&["3"], &["1", "2"]);
        assert_eq!(lost.look(&two, LIMITS, at(10)), None);
        assert_eq!(lost.look(&two, LIMITS, at(129)), None);
        assert_eq!(lost.look(&two, LIMITS, at(130)), Some("1"));
        lost.replaced("1", at(130));
        let new = sights(&["3"], &["2", "4"]);
        assert_eq!(lost.look(&new, LIMITS, at(140)), None, "the new server has not joined");
        let joined = sights(&["3", "4"], &["2"]);
        assert_eq!(lost.look(&joined, LIMITS, at(200)), Some("2"));
        // A report in between starts the time again.
        assert_eq!(lost.look(&sights(&["2", "3", "4"], &[]), LIMITS, at(201)), None);
        assert_eq!(lost.look(&joined, LIMITS, at(202)), None);
    }

    #[test]
    fn servers_that_never_join_are_not_replaced_for_ever() {
        let (mut lost, mut at, mut count) = (Lost::default(), Instant::now(), 0);
        let names: Vec<String> = (0..20).map(|nth| format!("n{nth}")).collect();
        for name in &names {
            for age in [0, 300, 599, 600, 900] {
                let begin = at;
                if let Some(id) = lost.look(&sights(&[], &[name]), LIMITS, begin + Duration::from_secs(age)) {
                    assert!(age >= 600, "{age}");
                    at = begin + Duration::from_secs(age);
                    lost.replaced(id, at);
                    count += 1;
                    break;
                }
            }
            at += Duration::from_secs(1000);
        }
        assert_eq!(count, MOST_UNBORN);
        let seen = sights(&["new"], &["n19"]);
        assert_eq!(lost.look(&seen, LIMITS, at), Some("n19"));
    }

    /// Looks every 10 seconds, as the follower does, and replaces each server that is found. Returns their ids with the times.
    fn follow<'s>(
        lost: &mut Lost,
        begin: Instant,
        from: u64,
        until: u64,
        seen: impl Fn(u64) -> Vec<Sight<'s>>,
    ) -> Vec<(&'s str, u64)> {
        let mut gone: Vec<(&str, u64)> = Vec::new();
        for second in (from..until).step_by(10) {
            let at = begin + Duration::from_secs(second);
            let seen: Vec<Sight<'_>> =
                seen(second).into_iter().filter(|one| gone.iter().all(|(id, _)| *id != one.id)).collect();
            if let Some(id) = lost.look(&seen, LIMITS, at) {
                lost.replaced(id, at);
                gone.push((id, second));
            }
        }
        gone
    }

    #[test]
    fn an_origin_that_hears_no_edge_loses_no_server() {
        // At 1000 seconds, the reports of one edge arrive again, and those of the others a minute later.
        let seen = |second| match second {
            0..100 | 1060.. => sights(&["1", "2", "3"], &[]),
            100..1000 => sights(&[], &["1", "2", "3"]),
            1000..1060 => sights(&["1"], &["2", "3"]),
        };
        let begin = Instant::now();
        let mut lost = Lost::default();
        assert_eq!(follow(&mut lost, begin, 0, 2000, seen), []);
        // The follower was restarted during the outage.
        let mut lost = Lost::default();
        assert_eq!(follow(&mut lost, begin, 100, 2000, seen), []);
    }

    #[test]
    fn after_a_restart_silent_servers_are_replaced_one_by_one() {
        let mut lost = Lost::default();
        let gone = follow(&mut lost, Instant::now(), 0, 2000, |_| sights(&["1"], &["2", "3"]));
        assert_eq!(gone, [("2", 600), ("3", 1200)]);
        // A new server joins, so the next lost server need not wait.
        let mut lost = Lost::default();
        let gone = follow(&mut lost, Instant::now(), 0, 2000, |second| match second {
            0..700 => sights(&["1"], &["2", "3"]),
            _ => sights(&["1", "4"], &["2", "3"]),
        });
        assert_eq!(gone, [("2", 600), ("3", 700)]);
    }

    #[test]
    fn silence_that_weir_has_not_seen_does_not_count() {
        let (mut lost, begin) = (Lost::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(lost.look(&sights(&["1", "2"], &[]), LIMITS, at(0)), None);
        let seen = sights(&["1"], &["2"]);
        assert_eq!(lost.look(&seen, LIMITS, at(10)), None);
        for second in (20..200).step_by(10) {
            lost.cannot_see(at(second));
        }
        assert_eq!(lost.look(&seen, LIMITS, at(200)), None);
        assert_eq!(lost.look(&seen, LIMITS, at(310)), None);
        // One failure changes nothing.
        lost.cannot_see(at(311));
        assert_eq!(lost.look(&seen, LIMITS, at(320)), Some("2"));
    }
}
