//! `up --follow`: runs a whole event without help, from its first server to its last.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{AGAIN, Error, LOOK, Runner, Server, View, count, is_heard, view};
use crate::clock;
use crate::fleet::autoscale::{self, Decision, Seen};
use crate::fleet::lost::{Limits, Sight};
use crate::fleet::plan;
use crate::fleet::price::Price;

/// Interval between two steps without `[autoscale]`.
const INTERVAL: Duration = Duration::from_secs(10);
/// Longest part of a wait. Long waits are split, because the clock may be set.
const PIECE: Duration = Duration::from_secs(30);

impl Runner {
    /// Waits for the event, keeps the number of its servers right, and deletes them after it.
    ///
    /// # Errors
    ///
    /// Only errors of the first check. Other errors are logged, and the step is repeated.
    pub(crate) async fn follow(&mut self) -> Result<(), Error> {
        self.check().await?;
        let interval = self.fleet.autoscale.map_or(INTERVAL, |rules| rules.interval);
        loop {
            let (now, from) = (clock::now(), plan::create_at(&self.fleet));
            if now >= self.fleet.end {
                tracing::info!("the event has ended, event: {}", self.fleet.event);
                self.down_until_done(AGAIN).await;
                return Ok(());
            }
            if now < from {
                self.say(format!("waiting until {from}"));
                sleep(Duration::from_millis(from.millis_since(now)).min(PIECE)).await;
                continue;
            }
            let waiting = match self.step().await {
                Ok(waiting) => waiting,
                Err(error) => {
                    self.say(error.to_string());
                    Vec::new()
                }
            };
            let left = Duration::from_millis(self.fleet.end.millis_since(clock::now()));
            self.pause(interval.min(left), &waiting).await;
        }
    }

    /// Asks for the price, so that a wrong token is reported before the event. If servers exist, an error is only logged: they have to be
    /// deleted after the event.
    pub(super) async fn check(&mut self) -> Result<(), Error> {
        if clock::now() >= self.fleet.end {
            self.cloud.list(&self.fleet).await?;
            return Ok(());
        }
        let Err(error) = self.price().await else { return Ok(()) };
        match self.cloud.list(&self.fleet).await {
            Ok(listed) if !listed.is_empty() => {
                self.say(error.to_string());
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Waits. Meanwhile checks whether these servers serve. An edge without viewers drops the stream within ten seconds, so only more
    /// frequent checks find segments.
    async fn pause(&mut self, time: Duration, waiting: &[Server]) {
        let (until, mut is_waiting) = (Instant::now() + time, !waiting.is_empty());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(if is_waiting { LOOK.min(left) } else { left }).await;
            if is_waiting && let Ok(edges) = self.origin.edges().await {
                is_waiting = !self.announce(waiting, &edges).await.is_empty();
            }
        }
    }

    /// Checks the event once, and acts. Returns all servers if some of them do not serve yet.
    pub(super) async fn step(&mut self) -> Result<Vec<Server>, Error> {
        let (mut servers, edges, recorded) =
            self.see().await.inspect_err(|_| self.lost.cannot_see(Instant::now()))?;
        for server in &servers {
            // An edge that somebody else has drained stays: the reason may be known to that person alone.
            let is_drained = view(&edges, &server.name).is_some_and(|edge| edge.state == "drained");
            if is_drained && self.ledger.is_leaving(&server.id) {
                self.leaving.entry(server.name.clone()).or_insert_with(Instant::now);
            }
        }
        let drained = self.split(&servers, &edges).0.len();
        // Without the price or the record of the cost, the budget is unknown, so the number of edges stays.
        let price = match recorded {
            Ok(()) => self.price().await,
            Err(error) => Err(error),
        };
        let adjusted = match price {
            Ok(price) => self.adjust(price, &mut servers, &edges).await,
            Err(error) => {
                self.lost.cannot_see(Instant::now());
                Err(error)
            }
        };
        // A server that cannot be created or deleted keeps no other one out of DNS.
        let retired = self.retire(&mut servers, &edges).await;
        let waits = self.announce(&servers, &edges).await;
        // An edge that somebody has drained may stay so for hours.
        let waiting = if waits.len() > drained { servers } else { Vec::new() };
        let errors = [adjusted, retired].into_iter().filter_map(|done| Some(done.err()?.to_string()));
        let lines: Vec<String> = errors.chain(waits).collect();
        if !lines.is_empty() {
            self.say(lines.join("; "));
        }
        Ok(waiting)
    }

    /// Replaces a lost server, creates the missing servers, and chooses the edges that leave.
    async fn adjust(&mut self, price: Price, servers: &mut Vec<Server>, edges: &[View]) -> Result<(), Error> {
        self.replace_lost(price, servers, edges).await;
        // A drained edge takes no viewers, so it is no capacity. It still costs money, so it stays in the budget.
        let (drained, mut active) = self.split(servers, edges);
        active.retain(|server| !self.leaving.contains_key(&server.name));
        let decision = self.decide(&active, count(&drained), edges);
        let has = count(&active);
        if decision.edges != has {
            tracing::info!("edges: {has} to {}, reason: {}", decision.edges, decision.reason);
        } else {
            self.say_decision(format!("edges stay {has}, reason: {}", decision.reason));
        }
        if decision.edges > has {
            let back = self.call_back(servers, edges, decision.edges - has).await?;
            let wanted = decision.edges - has - back;
            let affordable = self.affordable(price, servers);
            if wanted > affordable {
                let why = self.too_much(price, wanted, affordable, servers);
                self.say_decision(why.to_string());
            }
            self.grow(price, servers, wanted.min(affordable)).await?;
        } else {
            self.shrink(active, edges, has - decision.edges).await;
        }
        Ok(())
    }

    /// Returns the servers and their edges, and whether the ledger has recorded the servers.
    async fn see(&mut self) -> Result<(Vec<Server>, Vec<View>, Result<(), Error>), Error> {
        let (servers, recorded) = self.list().await?;
        // Without the origin, the number of viewers is unknown, and no server can join.
        let edges = self.origin.edges().await?;
        Ok((servers, edges, recorded))
    }

    /// Decides the number of active edges. `drained` is the number of edges that somebody else has drained.
    fn decide(&self, active: &[Server], drained: u32, edges: &[View]) -> Decision {
        let Some(rules) = &self.fleet.autoscale else {
            // The file has the number of servers: a drained one needs no replacement, and no other one is deleted for it.
            let least = self.fleet.edges.saturating_sub(drained);
            let edges = count(active).clamp(least, self.fleet.edges);
            return Decision { edges, reason: "edges of the file".into() };
        };
        let views = || active.iter().filter_map(|server| view(edges, &server.name));
        let seen = Seen {
            edges: count(active),
            silent: count_silent(active, edges),
            viewers: views().map(|edge| u64::from(edge.viewers)).sum(),
            egress: views().map(|edge| edge.egress).sum(),
            bandwidth: self.fleet.edge.bandwidth,
            since_change: self.changed.map(|changed| changed.elapsed()),
        };
        autoscale::decide(rules, seen)
    }

    /// Takes a lost server out of service, so that another one replaces it.
    async fn replace_lost(&mut self, price: Price, servers: &[Server], edges: &[View]) {
        let now = Instant::now();
        let stays = servers.iter().filter(|server| !self.leaving.contains_key(&server.name));
        let sight = stays.map(|server| Sight { id: &server.id, reports: is_heard(edges, &server.name) });
        let seen: Vec<Sight<'_>> = sight.collect();
        let limits = Limits { after: self.fleet.replace_after, boot: self.fleet.boot };
        let Some(id) = self.lost.look(&seen, limits, now) else { return };
        let (lost, rest): (Vec<Server>, Vec<Server>) =
            servers.iter().cloned().partition(|server| server.id == id);
        let Some(server) = lost.first() else { return };
        if self.affordable(price, &rest) == 0 {
            self.say(format!(
                "edge is lost, and the budget is too small for another one, edge: {}",
                server.name
            ));
            return;
        }
        tracing::warn!(
            "edge is lost: the origin has no reports of it for {} s, so another server replaces it, edge: {}, id: {id}",
            self.fleet.replace_after.as_secs(),
            server.name
        );
        self.lost.replaced(id, now);
        self.dead.insert(server.id.clone());
        self.farewell(server).await;
    }

    /// Keeps edges that were leaving, if the origin receives their reports. Returns their number.
    async fn call_back(&mut self, servers: &[Server], edges: &[View], wanted: u32) -> Result<u32, Error> {
        let mut back = 0;
        for server in servers {
            let is_leaving = self.leaving.contains_key(&server.name) && is_heard(edges, &server.name);
            if back < wanted && is_leaving {
                self.origin.drain(&server.name, false).await?;
                self.ledger.set_leaving(&server.id, false)?;
                self.leaving.remove(&server.name);
                self.changed = Some(Instant::now());
                tracing::info!("edge will not be deleted, edge: {}", server.name);
                back += 1;
            }
        }
        Ok(back)
    }

    /// Chooses the edges with the fewest viewers to leave. Among equal edges, the newest name leaves.
    async fn shrink(&mut self, mut active: Vec<Server>, edges: &[View], fewer: u32) {
        active.reverse();
        active.sort_by_key(|server| view(edges, &server.name).map_or(0, |edge| edge.viewers));
        for server in active.iter().take(fewer as usize) {
            tracing::info!("edge will be deleted, edge: {}", server.name);
            self.farewell(server).await;
            self.changed = Some(Instant::now());
        }
    }

    /// Deletes the servers whose viewers have left, or whose drain time is over, and removes them from the list.
    pub(super) async fn retire(&mut self, servers: &mut Vec<Server>, edges: &[View]) -> Result<(), Error> {
        let mut done = Ok(());
        for server in servers.clone() {
            let Some(since) = self.leaving.get(&server.name).map(Instant::elapsed) else { continue };
            // The viewers of an edge that does not report are unknown, unless it is lost.
            let is_empty = match is_heard(edges, &server.name) {
                true => view(edges, &server.name).is_some_and(|edge| edge.viewers == 0),
                false => self.dead.contains(&server.id),
            };
            if since >= self.fleet.drain || (is_empty && since >= self.settle()) {
                let deleted = self.delete(&server).await;
                if deleted.is_ok() {
                    servers.retain(|other| other.id != server.id);
                }
                done = done.and(deleted);
            }
        }
        done
    }
}

/// Returns the number of servers whose edges do not report to the origin.
fn count_silent(servers: &[Server], edges: &[View]) -> u32 {
    servers.iter().map(|server| u32::from(!is_heard(edges, &server.name))).sum()
}
