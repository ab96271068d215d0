//! An origin: receives the reports of edges, and tells viewers where to watch.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use weir_model::Secret;
use weir_model::token::Revocation;

use super::assigned::Assigned;
use super::choose::{Candidate, Fleet, number};
use super::credential::{Claim, Credential};
use super::etcd::{Etcd, EtcdError};
use super::machine::skew;
use super::memory::Memory;
use super::prepared::{Lacks, Prepared};
use super::probe::{self, Listed};
use super::record::{EdgeId, Record};
use super::signature::{self, Key, KeyError, Purpose, Refused, SecretOf, Signed, check_start};
use super::store::{self, Store, Table};
use super::tickets::{Invalid, Tickets};
use super::voice;
use super::wire::{Answer, ERA, Fault, Member, REPLAYED, Request};
use crate::clock;
use crate::config::cluster::{self as settings, Region};

mod choosing;
mod drains;
mod era;
#[cfg(test)]
mod tests;
mod tokens;
mod view;

use era::Era;
use tokens::Tokens;
pub(crate) use view::{NoPlace, Place, View, Viewer};

/// Shortest time between two log lines about refused requests.
const QUIET: Duration = Duration::from_secs(60);

/// Reason why this node cannot be an origin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The secret cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file of the etcd configuration cannot be used.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
}

/// Receives reports, and answers viewers.
#[derive(Debug)]
pub(crate) struct Origin {
    key: Option<Key>,
    era: Mutex<Era>,
    max_bandwidth: u64,
    store: Box<dyn Store>,
    table: watch::Receiver<Arc<Table>>,
    listed: Vec<Arc<Listed>>,
    regions: Vec<Region>,
    fleet: Mutex<Prepared>,
    assigned: Mutex<Assigned>,
    tickets: Mutex<Tickets>,
    epoch: Instant,
    quiet: Mutex<Option<Instant>>,
    tokens: Mutex<Tokens>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Origin {
    /// Starts the origin as configured, in the current runtime until it is dropped.
    pub(crate) fn start(config: &settings::Cluster) -> Result<Arc<Self>, Error> {
        let read = |path| Key::read(SecretOf::Cluster, path);
        let key = config.secret_file.as_deref().map(read).transpose()?;
        let store: Box<dyn Store> = match &config.store {
            settings::Store::Memory => Box::new(Memory::start()),
            settings::Store::Etcd(etcd) => Box::new(Etcd::start(etcd)?),
        };
        let listed: Vec<Arc<Listed>> = config.edges.iter().cloned().map(Listed::new).collect();
        Ok(Arc::new_cyclic(|origin: &std::sync::Weak<Self>| {
            let probes = listed.iter().map(|listed| {
                let origin = origin.clone();
                let changed = move || {
                    if let Some(origin) = origin.upgrade() {
                        origin.prepared().of = None;
                    }
                };
                tokio::spawn(probe::run(listed.clone(), changed))
            });
            Self {
                key,
                era: Mutex::default(),
                max_bandwidth: config.max_bandwidth,
                table: store.watch(),
                tasks: probes.collect(),
                store,
                listed,
                regions: config.regions.clone(),
                fleet: Mutex::default(),
                assigned: Mutex::default(),
                tickets: Mutex::default(),
                epoch: Instant::now(),
                quiet: Mutex::default(),
                tokens: Mutex::default(),
            }
        }))
    }

    /// Returns the table, and notifies of each change.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Table>> {
        self.table.clone()
    }

    /// Returns the live edges of those that weir.toml lists.
    pub(crate) fn listed(&self) -> impl Iterator<Item = &settings::ListedEdge> {
        self.listed.iter().filter(|listed| listed.lives()).map(|listed| &listed.edge)
    }

    /// Handles a request of an edge at `from`. Returns the status, the body, and the body's signature if the request had a valid one.
    /// `facts` returns the streams that are live here and the applications that need play tokens; it is not called for strangers. `edge` is
    /// the header with the claim of an edge that has a credential instead of the cluster's secret.
    pub(crate) async fn take(
        &self,
        from: IpAddr,
        header: Option<&str>,
        edge: Option<&str>,
        body: &[u8],
        facts: impl FnOnce() -> (Vec<String>, Option<Vec<Member>>) + Send,
    ) -> (u16, String, Option<String>) {
        let Some(key) = &self.key else {
            return (
                404,
                fault("not_found", "this server takes no edges: secret_file of [cluster] is not set"),
                None,
            );
        };
        let now = clock::now().as_millis();
        let claim = edge.and_then(Claim::parse);
        let claim = claim.as_ref();
        let own = claim.and_then(|claim| claim.key(key));
        let key = own.as_ref().map_or(key, |(key, _)| key);
        let (signed, refused) = match signature::request(key, header, body, now) {
            Ok(signed) if claim.is_some_and(|claim| claim.is_over(clock::now())) => {
                (Some(signed), Some(Refused::Credential))
            }
            Ok(signed) => {
                let refused = check_start(&signed, now, self.epoch.elapsed()).err();
                (Some(signed), refused)
            }
            // Only a sender with a valid signature learns the time of this machine.
            Err(why @ Refused::Clock(_)) => (header.and_then(Signed::parse), Some(why)),
            Err(why) => (None, Some(why)),
        };
        let era = self.era(now);
        let mut answer = Answer { now, era, ..Answer::default() };
        let status = match (&signed, refused) {
            (Some(signed), None) => match self.report(from, signed, claim, body, &answer.era).await {
                Ok((id, drained, known)) => {
                    (answer.drained, (answer.streams, answer.members)) = (drained, facts());
                    answer.edges = self.near(number(&id), None, std::slice::from_ref(&id));
                    self.tokens().add_to(&mut answer, key, known.as_deref());
                    200
                }
                Err((status, fault)) => {
                    answer.error = Some(fault);
                    status
                }
            },
            (_, refused) => {
                let why = refused.unwrap_or(Refused::Signature);
                self.log_refused(from, why);
                let code = if matches!(why, Refused::Clock(_)) { "clock" } else { "forbidden" };
                if signed.is_none() {
                    return (401, fault(code, &why.to_string()), None);
                }
                answer.error = Some(Fault::new(code, why));
                401
            }
        };
        let body = serde_json::to_string(&answer).unwrap_or_default();
        let signature = signed.map(|signed| key.sign(Purpose::Answer, now, &signed.nonce, body.as_bytes()));
        (status, body, signature)
    }

    /// Returns the address of the viewer for whom an edge at `from` speaks.
    pub(crate) fn viewer(&self, from: IpAddr, value: &str, edge: Option<&str>) -> Result<IpAddr, Refused> {
        let key = self.key.as_ref().ok_or(Refused::Signature)?;
        voice::viewer(key, value, edge).inspect_err(|why| self.log_refused(from, *why))
    }

    fn era(&self, now: u64) -> String {
        let mut era = self.era.lock().unwrap_or_else(PoisonError::into_inner);
        era.at(now, self.epoch.elapsed(), || signature::nonce().unwrap_or_default()).to_owned()
    }

    fn log_refused(&self, from: IpAddr, why: impl std::fmt::Display) {
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        if quiet.is_none_or(|last| last.elapsed() >= QUIET) {
            *quiet = Some(Instant::now());
            tracing::warn!("request of an edge refused: {why}, client: {from}");
        }
    }

    /// Notes what edges must know about play tokens: the revoked ones, and the secret if the daemon has a copy.
    pub(crate) fn note_tokens(&self, revoked: &[Revocation], secret: Option<Secret>) {
        self.tokens().note(revoked, secret);
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the edge, whether it is drained, and the digest of the revocations that it knows.
    async fn report(
        &self,
        from: IpAddr,
        signed: &Signed,
        claim: Option<&Claim>,
        body: &[u8],
        era: &str,
    ) -> Result<(EdgeId, bool, Option<String>), (u16, Fault)> {
        let bad = |message: String| (400, Fault::new("bad_request", message));
        let request: Request = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
        if request.era.is_some_and(|theirs| theirs != era) {
            let message = "this origin has started, or its clock was set back: send the report again";
            return Err((409, Fault::new(ERA, message)));
        }
        let leaving = request.leaving;
        let report = request.report.checked(self.max_bandwidth).map_err(|why| bad(why.to_string()))?;
        let id = report.id.clone();
        if claim.is_some_and(|claim| claim.id != id) {
            self.log_refused(from, Refused::Credential);
            return Err((403, Fault::new("forbidden", Refused::Credential)));
        }
        let done = match leaving {
            true => {
                tracing::info!("edge leaves, edge: {id}");
                self.store.leave(id.clone(), signed.time).await
            }
            false => {
                if !self.table.borrow().edges.contains_key(&id) {
                    tracing::info!("edge joins, edge: {id}, address: {}", report.address);
                }
                let skew_ms = report.clock.map(|theirs| skew(theirs, clock::now().as_millis()));
                let record = Record { report, sent: signed.time, skew_ms, from: claim.map(|_| from) };
                self.store.renew(record).await
            }
        };
        match done {
            Ok(()) => {
                let drained = self.table.borrow().drained.contains(&id);
                Ok((id, drained, request.revoked))
            }
            Err(store::Error::Replayed(last)) => {
                self.log_refused(from, Refused::Replayed);
                Err((409, Fault { last: Some(last), ..Fault::new(REPLAYED, Refused::Replayed) }))
            }
            Err(error) => Err((503, Fault::new("unavailable", error))),
        }
    }

    /// Returns a ticket with which an edge of this name can join once, or `None` if edges cannot join.
    pub(crate) fn ticket(&self, id: EdgeId, valid: Duration, credential: Duration) -> Option<Secret> {
        self.key.as_ref()?;
        let until = clock::now().plus_seconds(credential.as_secs()).as_seconds();
        let ticket = self.tickets().issue(id.clone(), valid, until);
        tracing::info!("ticket issued, edge: {id}");
        ticket
    }

    /// Exchanges a ticket of an edge at `from` for a credential.
    ///
    /// # Errors
    ///
    /// [`Invalid`], also where edges cannot join.
    pub(crate) fn join(&self, from: IpAddr, ticket: &Secret, user: &Secret) -> Result<Credential, Invalid> {
        let key = self.key.as_ref().ok_or(Invalid::Unknown)?;
        let redeemed = self.tickets().redeem(ticket, user);
        let (id, until) = redeemed.inspect_err(|why| self.log_refused(from, why))?;
        tracing::info!("ticket exchanged for a credential, edge: {id}");
        Credential::issue(key, id, until).ok_or(Invalid::Unknown)
    }

    fn tickets(&self) -> std::sync::MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> f64 {
        self.epoch.elapsed().as_secs_f64()
    }

    fn prepared(&self) -> std::sync::MutexGuard<'_, Prepared> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the edges that take viewers, as they were a moment ago, and those that cannot serve everything.
    fn fleet(&self) -> (Arc<Fleet>, Arc<Lacks>) {
        let mut prepared = self.prepared();
        let table = self.table.borrow().clone();
        if !prepared.is_good(&table) {
            let began = Instant::now();
            let edges = self.candidates(&table).into_values();
            let usable = edges.filter(|(_, state)| matches!(*state, "up" | "full")).map(|(edge, _)| edge);
            prepared.fleet = Arc::new(Fleet::new(usable));
            prepared.lacks = Arc::new(Lacks::of(&table));
            (prepared.margin, prepared.cost) = (prepared.fleet.margin(), began.elapsed());
            prepared.of = Some((table, Instant::now()));
            prepared.is_used = false;
        }
        prepared.is_used = true;
        (prepared.fleet.clone(), prepared.lacks.clone())
    }

    /// Returns all edges by name, with their states. An edge that is listed and reports has the state of its reports.
    fn candidates(&self, table: &Table) -> BTreeMap<EdgeId, (Candidate, &'static str)> {
        let mut assigned = self.assigned.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        assigned.tidy(now);
        // The load of a listed edge is unknown. It counts as that of the best edge that reports, not as none at all.
        let reports = table.edges.values().map(|record| &record.report);
        let load = reports.filter(|report| !report.draining).map(|report| report.load).reduce(f64::min);
        let listed = self.listed.iter().filter_map(|listed| {
            let edge = &listed.edge;
            let id: EdgeId = edge.name.parse().ok()?;
            let assigned = assigned.of(&id, now);
            let candidate = Candidate {
                address: edge.address.as_str().to_owned(),
                region: edge.region.clone(),
                bandwidth: edge.bandwidth,
                // The edge reports nothing, so the count is all that is known.
                egress: assigned,
                assigned,
                load: load.unwrap_or_default(),
                viewers: 0,
                max_viewers: None,
                id,
            };
            let state = if listed.lives() { "up" } else { "down" };
            Some((candidate, state))
        });
        let joined = table.edges.values().map(|record| {
            let report = &record.report;
            let candidate = Candidate {
                id: report.id.clone(),
                address: report.address.clone(),
                region: report.region.clone(),
                bandwidth: report.bandwidth,
                egress: report.egress,
                assigned: assigned.of(&report.id, now),
                load: report.load,
                viewers: report.viewers,
                max_viewers: report.max_viewers,
            };
            (candidate, report.state())
        });
        let all = listed.chain(joined).map(|(candidate, state)| {
            let state = match state {
                "up" if table.drained.contains(&candidate.id) => "drained",
                "up" if candidate.is_full() => "full",
                state => state,
            };
            (candidate.id.clone(), (candidate, state))
        });
        all.collect()
    }

    /// Returns all edges, and the reason if the list may be out of date.
    pub(crate) fn list(&self) -> (Vec<View>, Option<String>) {
        let table = self.table.borrow().clone();
        let now = clock::now().as_millis();
        let views = self.candidates(&table).into_iter().map(|(id, (edge, state))| {
            let record = table.edges.get(&id);
            let report = record.map(|record| &record.report);
            View {
                id: id.to_string(),
                address: edge.address,
                region: edge.region,
                state: state.to_owned(),
                bandwidth: edge.bandwidth,
                egress: report.map_or(edge.assigned, |report| report.egress),
                viewers: edge.viewers,
                load: report.map_or(0.0, |report| report.load),
                version: report.map(|report| report.version.clone()).unwrap_or_default(),
                streams: report.map(|report| report.streams.clone()).unwrap_or_default(),
                listed: report.is_none(),
                // The age is computed with the edge's clock.
                age_ms: record.map(|record| now.saturating_sub(record.sent)),
                skew_ms: record.and_then(|record| record.skew_ms),
                figures: report.and_then(|report| report.figures.clone()),
                failing: report.map(|report| report.failing.clone()).unwrap_or_default(),
                refused: report.map(|report| report.refused.clone()).unwrap_or_default(),
            }
        });
        (views.collect(), table.stale.clone())
    }
}

/// Returns the hash of a viewer, of the address and the browser's user agent.
pub(crate) fn viewer_hash(address: IpAddr, agent: &[u8]) -> u64 {
    number(&(address, agent))
}

fn fault(code: &str, message: &str) -> String {
    serde_json::json!({ "error": { "code": code, "message": message } }).to_string()
}
