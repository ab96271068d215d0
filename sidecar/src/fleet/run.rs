//! `up` and `down`: bring the servers of an event in line with its file, step by step, starting from the provider's list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::cloud::Cloud;
use super::dns::{self, Change};
use super::error::{CloudError, Error};
use super::ledger::Ledger;
use super::lost::Lost;
use super::origin::Origin;
use super::plan;
use super::price::{Money, Price};
use super::server::{Order, Server};
use super::{script, trial};
use crate::clock;
use crate::cluster::origin::View;
use crate::config::fleet::Fleet;

mod follow;
#[cfg(test)]
mod tests;

/// Interval between two checks of edges that are not ready.
const LOOK: Duration = Duration::from_secs(1);
/// Time within which a deleted server must disappear from the list.
const GONE: Duration = Duration::from_secs(300);
/// Time for which a ticket is valid beyond the boot time of a server.
const MORE: Duration = Duration::from_secs(1800);
/// Time for which an edge's credential is valid after the event.
const AFTER: Duration = Duration::from_secs(86_400);
/// Pause before the servers that could not be deleted are tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// Most names of other owners that are skipped.
const FOREIGN: usize = 100;

/// Works on the servers of one event. The lock of the ledger keeps other runs out.
#[derive(Debug)]
pub(crate) struct Runner {
    fleet: Fleet,
    cloud: Cloud,
    origin: Origin,
    ledger: Ledger,
    /// Price of a server, as soon as it is needed.
    price: Option<Price>,
    /// Edges that serve and are in DNS.
    told: BTreeSet<String>,
    /// Edges that get no more viewers, with the start of this state.
    leaving: BTreeMap<String, Instant>,
    /// Servers that may be lost.
    lost: Lost,
    /// Servers of the event that somebody has renamed, in the last list.
    renamed: Vec<Server>,
    /// Ids of the servers that were lost and will be deleted.
    dead: BTreeSet<String>,
    changed: Option<Instant>,
    /// The last log line.
    said: String,
    /// The last line about the number of edges.
    decided: String,
    /// The last warning about the ledger.
    warned: String,
}

impl Runner {
    /// Takes the event's lock.
    ///
    /// # Errors
    ///
    /// Another run has the lock, the ledger cannot be used, or there is no token.
    pub(crate) fn open(fleet: Fleet, folder: &Path, socket: &Path) -> Result<Self, Error> {
        let ledger = Ledger::lock(folder, &fleet.event, plan::since(&fleet))?;
        Self::with(fleet, ledger, socket)
    }

    /// Takes the event's lock for [`down`](Self::down), which also works without a usable ledger.
    ///
    /// # Errors
    ///
    /// Another run has the lock, or there is no token.
    pub(crate) fn open_to_delete(fleet: Fleet, folder: &Path, socket: &Path) -> Result<Self, Error> {
        let ledger = Ledger::lock_to_delete(folder, &fleet.event, plan::since(&fleet))?;
        Self::with(fleet, ledger, socket)
    }

    fn with(fleet: Fleet, ledger: Ledger, socket: &Path) -> Result<Self, Error> {
        Ok(Self {
            cloud: Cloud::open(&fleet)?,
            origin: Origin::at(socket)?,
            fleet,
            ledger,
            price: None,
            told: BTreeSet::new(),
            leaving: BTreeMap::new(),
            lost: Lost::default(),
            renamed: Vec::new(),
            dead: BTreeSet::new(),
            changed: None,
            said: String::new(),
            decided: String::new(),
            warned: String::new(),
        })
    }

    /// Creates the missing servers, and waits until each of them serves the test stream and is in DNS.
    ///
    /// # Errors
    ///
    /// [`Error::Budget`] before anything is created; [`Error::NotReady`] after `boot`.
    pub(crate) async fn up(&mut self, wait: bool) -> Result<(), Error> {
        let now = clock::now();
        if now >= self.fleet.end {
            return Err(Error::Over(self.fleet.end));
        }
        let price = self.price().await?;
        let mut servers = self.look().await?;
        let wanted = self.fleet.edges.saturating_sub(count(&servers));
        let affordable = self.affordable(price, &servers);
        if wanted > affordable {
            return Err(self.too_much(price, wanted, affordable, &servers));
        }
        self.grow(price, &mut servers, wanted).await?;
        if wait { self.wait_ready().await } else { Ok(()) }
    }

    /// Drains and deletes all servers of the event, and all other resources with its label.
    ///
    /// # Errors
    ///
    /// The provider's error. Failures of the origin, of DNS and of the ledger are only logged, because a running server costs money.
    pub(crate) async fn down(&mut self, now: bool) -> Result<(), Error> {
        let servers = self.look_to_delete().await?;
        let is_edge = |server: &Server| plan::nth(&self.fleet, &server.name).is_some();
        // Another edge may have the new name of a server that was renamed.
        let (edges, renamed): (Vec<Server>, Vec<Server>) = servers.into_iter().partition(is_edge);
        for server in &edges {
            self.farewell(server).await;
        }
        for server in &renamed {
            self.leave_dns(server).await;
        }
        let began = Instant::now();
        let mut silent = BTreeSet::new();
        while !now && !edges.is_empty() && began.elapsed() < self.fleet.drain {
            let views = match self.origin.edges().await {
                Ok(views) => views,
                Err(error) => {
                    tracing::warn!("the numbers of viewers are unknown: {error}");
                    break;
                }
            };
            for server in edges.iter().filter(|server| !is_heard(&views, &server.name)) {
                if silent.insert(&server.name) {
                    tracing::warn!("edge sends no reports: its viewers are unknown, edge: {}", server.name);
                }
            }
            let viewers = |server: &Server| view(&views, &server.name).map_or(0, |view| view.viewers);
            if edges.iter().map(viewers).sum::<u32>() == 0 && began.elapsed() >= self.settle() {
                break;
            }
            sleep(LOOK).await;
        }
        let began = Instant::now();
        loop {
            let servers = self.look_to_delete().await?;
            if servers.is_empty() {
                break;
            }
            if began.elapsed() > GONE {
                let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
                return Err(Error::NotReady(format!(
                    "the provider still lists {}: run weir fleet down again",
                    names.join(", ")
                )));
            }
            // A server that cannot be deleted keeps no other server running.
            let mut done = Ok(());
            for server in &servers {
                done = done.and(self.delete(server).await);
            }
            done?;
            sleep(LOOK / 2).await;
        }
        Ok(self.cloud.tidy().await?)
    }

    /// Repeats [`down`](Self::down) until no server is left, because each one costs money.
    async fn down_until_done(&mut self, pause: Duration) {
        while let Err(error) = self.down(false).await {
            self.say(format!("not everything is deleted yet, and will be tried again: {error}"));
            sleep(pause).await;
        }
    }

    /// Returns the servers of the event's edges, and records the cost of all servers.
    async fn look(&mut self) -> Result<Vec<Server>, Error> {
        let (servers, recorded) = self.list().await?;
        recorded.map(|()| servers)
    }

    /// Returns all servers of the event. Their cost is recorded if possible.
    async fn look_to_delete(&mut self) -> Result<Vec<Server>, Error> {
        let (mut servers, recorded) = self.list().await?;
        self.warn(recorded);
        servers.extend_from_slice(&self.renamed);
        Ok(servers)
    }

    /// Returns the servers of the event's edges, and whether the ledger has recorded the cost of all servers.
    async fn list(&mut self) -> Result<(Vec<Server>, Result<(), Error>), Error> {
        let listed = self.cloud.list(&self.fleet).await?;
        if self.renamed != listed.renamed {
            for server in &listed.renamed {
                tracing::warn!(
                    "server is renamed, so it is no edge; weir fleet down deletes it, server: {}, id: {}",
                    server.name,
                    server.id
                );
            }
        }
        self.renamed = listed.renamed.clone();
        let edges = listed.edges.clone();
        let recorded = self.ledger.observe(&listed.all(), clock::now());
        Ok((edges, recorded))
    }

    /// Returns the price of a server, which is read once.
    async fn price(&mut self) -> Result<Price, Error> {
        let price = match self.price {
            Some(price) => price,
            None => self.cloud.price().await?,
        };
        self.price = Some(price);
        Ok(price)
    }

    /// Returns the cost of all other servers: of the deleted ones, and of those that were renamed, until the event's end.
    fn spent(&self, price: Price, servers: &[Server]) -> Money {
        let all = [servers, &self.renamed].concat();
        plan::committed(&self.fleet, price, self.ledger.spent(price, &all), &self.renamed, clock::now())
    }

    fn affordable(&self, price: Price, servers: &[Server]) -> u32 {
        plan::affordable(&self.fleet, price, self.spent(price, servers), servers, clock::now())
    }

    fn too_much(&self, price: Price, wanted: u32, affordable: u32, servers: &[Server]) -> Error {
        let spent = self.spent(price, servers);
        let committed = plan::committed(&self.fleet, price, spent, servers, clock::now()).to_string();
        Error::Budget { wanted, affordable, budget: self.fleet.budget, committed, max: self.fleet.max_edges }
    }

    /// Creates this many servers, with the lowest free names.
    async fn grow(&mut self, price: Price, servers: &mut Vec<Server>, wanted: u32) -> Result<(), Error> {
        let mut foreign = BTreeSet::new();
        for _ in 0..wanted {
            if self.affordable(price, servers) == 0 {
                return Err(self.too_much(price, wanted, 0, servers));
            }
            let server = loop {
                let is_free = |name: &String| {
                    !foreign.contains(name) && servers.iter().all(|server| server.name != *name)
                };
                let Some(name) = (1..u32::MAX).map(|nth| plan::name(&self.fleet, nth)).find(is_free) else {
                    return Ok(());
                };
                match self.create(&name).await {
                    Err(Error::Cloud(CloudError::Taken(why))) if foreign.len() < FOREIGN => {
                        tracing::warn!("name skipped, another resource has it: {why}, server: {name}");
                        foreign.insert(name);
                    }
                    done => break done?,
                }
            };
            servers.push(server);
            self.changed = Some(Instant::now());
            self.ledger.observe(servers, clock::now())?;
        }
        Ok(())
    }

    async fn create(&mut self, name: &str) -> Result<Server, Error> {
        // An earlier server with this name may still be marked as drained.
        self.origin.drain(name, false).await?;
        self.told.remove(name);
        self.leaving.remove(name);
        let left = Duration::from_millis(self.fleet.end.millis_since(clock::now()));
        let ticket =
            self.origin.ticket(name, self.fleet.boot + MORE, left + self.fleet.drain + AFTER).await?;
        let user_data = script::user_data(&self.fleet, name, &ticket)?;
        let server = self.cloud.create(&self.fleet, &Order { name: name.to_owned(), user_data }).await?;
        tracing::info!("server created, server: {name}, id: {}", server.id);
        Ok(server)
    }

    /// Removes the address of a renamed server from DNS, where it is under the name that it had.
    async fn leave_dns(&self, server: &Server) {
        let Some(name) = self.ledger.name(&server.id).filter(|name| plan::nth(&self.fleet, name).is_some())
        else {
            return;
        };
        if let Err(error) = dns::tell(&self.fleet, Change::Remove, name, server.address).await {
            tracing::warn!("{error}");
        }
    }

    /// Stops new viewers for a server that will be deleted.
    async fn farewell(&mut self, server: &Server) {
        let name = &server.name;
        if let Err(error) = dns::tell(&self.fleet, Change::Remove, name, server.address).await {
            tracing::warn!("{error}");
        }
        // Written first, so that a later run takes the drain for its own.
        if let Err(error) = self.ledger.set_leaving(&server.id, true) {
            tracing::warn!("{error}");
        }
        if let Err(error) = self.origin.drain(name, true).await {
            tracing::warn!("edge not drained: {error}, edge: {name}");
        }
        self.told.remove(name);
        self.leaving.entry(name.clone()).or_insert_with(Instant::now);
    }

    async fn delete(&mut self, server: &Server) -> Result<(), Error> {
        self.cloud.delete(server).await?;
        // Another hour may have begun since the last look.
        let recorded = self.ledger.observe(std::slice::from_ref(server), clock::now());
        self.warn(recorded);
        self.dead.remove(&server.id);
        self.leaving.remove(&server.name);
        self.told.remove(&server.name);
        tracing::info!("server deleted, server: {}, id: {}", server.name, server.id);
        Ok(())
    }

    /// Returns the time after which a viewer who was just sent to an edge is counted there.
    fn settle(&self) -> Duration {
        crate::cluster::store::LEASE.min(self.fleet.drain)
    }

    async fn wait_ready(&mut self) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let servers = self.look().await?;
            let (waits, drained) = match self.origin.edges().await {
                Ok(edges) => {
                    let (drained, others) = self.split(&servers, &edges);
                    (self.announce(&others, &edges).await, drained)
                }
                Err(error) => (vec![error.to_string()], Vec::new()),
            };
            if waits.is_empty() {
                // Only the person who has drained an edge knows when it serves again.
                let reason = |server: Server| {
                    format!("{0}: {1}", server.name, NotServing::Drained(server.name.clone()))
                };
                let reasons: Vec<String> = drained.into_iter().map(reason).collect();
                if !reasons.is_empty() {
                    self.say(reasons.join("; "));
                }
                return Ok(());
            }
            if began.elapsed() >= self.fleet.boot {
                return Err(Error::NotReady(format!(
                    "not ready after {} s: {}; on the server, /var/log/cloud-init-output.log has the reason",
                    self.fleet.boot.as_secs(),
                    waits.join("; ")
                )));
            }
            self.say(waits.join("; "));
            sleep(LOOK).await;
        }
    }

    /// Returns the servers whose edges somebody else has drained, and the others.
    fn split(&self, servers: &[Server], edges: &[View]) -> (Vec<Server>, Vec<Server>) {
        servers.iter().cloned().partition(|server| {
            let is_drained = view(edges, &server.name).is_some_and(|edge| edge.state == "drained");
            is_drained && !self.leaving.contains_key(&server.name) && !self.ledger.is_leaving(&server.id)
        })
    }

    /// Adds the edges that serve by now to DNS. Returns the reasons why the others do not serve.
    async fn announce(&mut self, servers: &[Server], edges: &[View]) -> Vec<String> {
        let mut waits = Vec::new();
        for server in servers {
            let name = &server.name;
            let is_drained = view(edges, name).is_some_and(|edge| edge.state == "drained");
            if is_drained && !self.ledger.is_leaving(&server.id) {
                // It is announced again when it serves again.
                self.told.remove(name);
            }
            if self.told.contains(name) || self.leaving.contains_key(name) {
                continue;
            }
            if let Err(why) = self.try_out(server, view(edges, name)).await {
                waits.push(format!("{name}: {why}"));
                continue;
            }
            match dns::tell(&self.fleet, Change::Add, name, server.address).await {
                Ok(()) => {
                    tracing::info!("edge serves, edge: {name}");
                    self.told.insert(name.clone());
                }
                Err(error) => waits.push(error.to_string()),
            }
        }
        waits
    }

    async fn try_out(&mut self, server: &Server, edge: Option<&View>) -> Result<(), NotServing> {
        let edge = edge.ok_or_else(|| NotServing::Away(server.state.to_string()))?;
        if edge.state == "drained" {
            if !self.ledger.is_leaving(&server.id) {
                return Err(NotServing::Drained(server.name.clone()));
            }
            // The drain is from a run that was killed before it deleted this server.
            self.origin.drain(&server.name, false).await?;
            self.ledger.set_leaving(&server.id, false)?;
        }
        trial::segment(&self.fleet.edge, &edge.address, server.address).await?;
        Ok(())
    }

    /// Logs an error of the ledger, unless it repeats the last one.
    fn warn(&mut self, recorded: Result<(), Error>) {
        let Err(error) = recorded else { return };
        let what = error.to_string();
        if self.warned != what {
            tracing::warn!("the cost of servers is not recorded: {what}");
            self.warned = what;
        }
    }

    /// Logs a line about the number of edges, unless it repeats the last such line.
    fn say_decision(&mut self, what: String) {
        if self.decided != what {
            tracing::info!("{what}");
            self.decided = what;
        }
    }

    /// Logs a line, unless it repeats the last one.
    fn say(&mut self, what: String) {
        if self.said != what {
            tracing::info!("{what}");
            self.said = what;
        }
    }
}

/// Reason why an edge does not serve viewers yet.
#[derive(Debug, thiserror::Error)]
enum NotServing {
    /// The edge has not joined. The text is the provider's state of its server.
    #[error("has not joined the origin, state: {0}")]
    Away(String),
    /// Somebody else has drained the edge.
    #[error("somebody has drained it: weir edge undrain {0} ends that")]
    Drained(String),
    #[error(transparent)]
    Origin(#[from] Error),
    #[error(transparent)]
    Trial(#[from] trial::Trouble),
}

fn count(servers: &[Server]) -> u32 {
    u32::try_from(servers.len()).unwrap_or(u32::MAX)
}

/// Returns whether the origin receives reports of an edge.
fn is_heard(edges: &[View], name: &str) -> bool {
    view(edges, name).is_some_and(|edge| edge.state != "down")
}

fn view<'v>(edges: &'v [View], name: &str) -> Option<&'v View> {
    edges.iter().find(|edge| edge.id == name)
}
