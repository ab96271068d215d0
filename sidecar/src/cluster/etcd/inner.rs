//! The state that this daemon has in etcd, and the table as it knows it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client::{self, Client, decode, encode, number};
use crate::cluster::record::{EdgeId, Record, Report};
use crate::cluster::store::{Board, Error, LEASE, check_new};

/// Age of a record in etcd, in milliseconds, below which the same report at another origin is not written again. An edge reports to all
/// origins every 2 seconds.
const FRESH_MS: u64 = 1500;
/// Prefix of the keys of edges. The edge's name follows.
const EDGES: &str = "/weir/edges/";
/// Prefix of the keys of drained edges.
const DRAINED: &str = "/weir/drained/";

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) client: Client,
    pub(super) board: Arc<Board>,
    /// A write has failed. The watch begins again, because only its begin shows that etcd is back.
    failed: Notify,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    /// Leases that this daemon renews, by edge.
    pub(super) leases: BTreeMap<EdgeId, String>,
    /// Revisions of the keys in the table.
    pub(super) revisions: BTreeMap<EdgeId, i64>,
    /// Times of the reports that etcd has.
    pub(super) written: BTreeMap<EdgeId, u64>,
    /// Edges that only this daemon knows, until etcd is back.
    pub(super) alone: BTreeMap<EdgeId, Instant>,
    /// Edges that have renewed here, when, and the time of the report.
    pub(super) renewed: BTreeMap<EdgeId, (Instant, u64)>,
    /// Times of the last reports of removed edges, and when they were removed.
    pub(super) gone: BTreeMap<EdgeId, (u64, Instant)>,
}

impl Held {
    /// Remembers the last report of a removed edge.
    pub(super) fn remember(&mut self, id: EdgeId, sent: u64) {
        let (last, at) = self.gone.entry(id).or_insert((sent, Instant::now()));
        (*last, *at) = (sent.max(*last), Instant::now());
    }

    /// Notes a record that is in etcd.
    pub(super) fn found(&mut self, id: &EdgeId, revision: i64, sent: u64) {
        let known = self.revisions.entry(id.clone()).or_default();
        if revision >= *known {
            *known = revision;
            self.written.insert(id.clone(), sent);
        }
    }

    /// Notes that etcd does not have the edge.
    pub(super) fn forget(&mut self, id: &EdgeId) {
        self.revisions.remove(id);
        self.written.remove(id);
    }
}

impl Inner {
    pub(super) fn new(client: Client, board: Arc<Board>) -> Self {
        Self { client, board, failed: Notify::new(), held: Mutex::default() }
    }

    pub(super) fn held<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        act(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn check_new(&self, id: &EdgeId, sent: u64) -> Result<(), Error> {
        let (renewed, gone) = self.held(|held| (held.renewed.get(id).copied(), held.gone.get(id).copied()));
        // The arrival is known only of a report that has come here.
        let arrived = |last: u64| match renewed {
            Some((arrived, here)) if here == last => arrived,
            _ => Instant::now(),
        };
        let last = self.board.look(|table| table.edges.get(id).map(|record| record.sent));
        check_new(sent, last.map(|last| (last, arrived(last))).or(gone))?;
        // Another origin whose clock is wrong may have written the last one.
        check_new(sent, renewed.map(|(arrived, last)| (last, arrived)))
    }

    /// Returns whether another origin has just written the same report. Measured values may differ: the next report follows soon.
    fn is_written(&self, record: &Record) -> bool {
        let id = &record.report.id;
        let is_fresh = self.held(|held| {
            let age = held.written.get(id).map(|written| record.sent.abs_diff(*written));
            age.is_some_and(|age| age < FRESH_MS) && !held.alone.contains_key(id)
        });
        let is_same = |known: &Record| {
            let Report { egress, viewers, load, clock, ref figures, .. } = known.report;
            let figures = figures.clone();
            let steady = Report { egress, viewers, load, clock, figures, ..record.report.clone() };
            known.report == steady
        };
        is_fresh && self.board.look(|table| table.edges.get(id).is_some_and(|known| is_same(known)))
    }

    pub(super) async fn renew(&self, record: Record) -> Result<(), Error> {
        let id = record.report.id.clone();
        self.check_new(&id, record.sent)?;
        self.held(|held| held.renewed.insert(id.clone(), (Instant::now(), record.sent)));
        if self.board.look(|table| table.stale.is_none()) {
            if self.is_written(&record) {
                self.keep(record);
                return Ok(());
            }
            match self.put(&record).await {
                Ok(revision) => {
                    self.held(|held| {
                        held.alone.remove(&id);
                        held.found(&id, revision, record.sent);
                    });
                    self.keep(record);
                    return Ok(());
                }
                Err(PutError::Replayed(error)) => return Err(error),
                Err(PutError::Etcd(error)) => {
                    if self.lost(&error.to_string()) {
                        self.failed.notify_one();
                    }
                }
            }
        }
        self.held(|held| held.alone.insert(id, Instant::now() + LEASE));
        self.keep(record);
        Ok(())
    }

    pub(super) fn keep(&self, record: Record) {
        self.held(|held| held.gone.remove(&record.report.id));
        self.board.change(|table| table.edges.insert(record.report.id.clone(), Arc::new(record)));
    }

    /// Puts the record with a lease of [`LEASE`], unless a later record exists. Returns the key's revision.
    async fn put(&self, record: &Record) -> Result<i64, PutError> {
        let id = &record.report.id;
        let lease = self.lease(id).await?;
        let mut known = self.held(|held| held.revisions.get(id).copied().unwrap_or_default());
        let key = encode(&format!("{EDGES}{id}"));
        let value = encode(&serde_json::to_string(record).unwrap_or_default());
        // A repeated try uses the record that another origin has put meanwhile.
        for _ in 0..3 {
            let body = json!({
                "compare": [{ "key": key, "target": "MOD", "result": "EQUAL", "mod_revision": known.to_string() }],
                "success": [{ "request_put": { "key": key, "value": value, "lease": lease } }],
                "failure": [{ "request_range": { "key": key } }],
            });
            let answer = self.client.ask("kv/txn", &body).await?;
            if answer["succeeded"].as_bool() == Some(true) {
                return Ok(number(&answer["header"]["revision"]));
            }
            let there = &answer["responses"][0]["response_range"]["kvs"][0];
            let last = decode(&there["value"]).and_then(|text| serde_json::from_str::<Record>(&text).ok());
            let last = last.map(|last| (last.sent, Instant::now()));
            check_new(record.sent, last).map_err(PutError::Replayed)?;
            known = number(&there["mod_revision"]);
        }
        Err(PutError::Etcd(client::Error::Unreachable("the key changes all the time".into())))
    }

    /// Returns a renewed lease of this edge, or a new one if the old lease has expired.
    async fn lease(&self, id: &EdgeId) -> Result<String, PutError> {
        if let Some(lease) = self.held(|held| held.leases.get(id).cloned()) {
            let answer = self.client.ask("lease/keepalive", &json!({ "ID": lease })).await?;
            if number(&answer["result"]["TTL"]) > 0 {
                return Ok(lease);
            }
        }
        let answer = self.client.ask("lease/grant", &json!({ "TTL": LEASE.as_secs().to_string() })).await?;
        let lease = answer["ID"].as_str().unwrap_or_default().to_owned();
        self.held(|held| held.leases.insert(id.clone(), lease.clone()));
        Ok(lease)
    }

    pub(super) async fn leave(&self, id: EdgeId, sent: u64) -> Result<(), Error> {
        self.check_new(&id, sent)?;
        let lease = self.held(|held| {
            held.alone.remove(&id);
            held.renewed.remove(&id);
            held.forget(&id);
            held.remember(id.clone(), sent);
            held.leases.remove(&id)
        });
        self.board.change(|table| table.edges.remove(&id));
        if self.board.look(|table| table.stale.is_some()) {
            // The lease of the edge expires by itself.
            return Ok(());
        }
        let away = |error: client::Error| Error::Away(error.to_string());
        let key = json!({ "key": encode(&format!("{EDGES}{id}")) });
        self.client.ask("kv/deleterange", &key).await.map_err(away)?;
        if let Some(lease) = lease {
            self.client.ask("lease/revoke", &json!({ "ID": lease })).await.map_err(away)?;
        }
        Ok(())
    }

    pub(super) async fn drain(&self, id: EdgeId, drained: bool) -> Result<(), Error> {
        let key = encode(&format!("{DRAINED}{id}"));
        let done = match drained {
            true => self.client.ask("kv/put", &json!({ "key": key, "value": encode("1") })).await,
            false => self.client.ask("kv/deleterange", &json!({ "key": key })).await,
        };
        done.map_err(|error| Error::Away(error.to_string()))?;
        self.board.change(|table| match drained {
            true => table.drained.insert(id),
            false => table.drained.remove(&id),
        });
        Ok(())
    }

    /// Notes that etcd is away. The table stays as it is, without the edges that have renewed here within the last [`LEASE`] and no longer
    /// do. An edge whose last renewal here is older renews at another origin. Returns whether this is news.
    pub(super) fn lost(&self, why: &str) -> bool {
        let news = self.board.change(|table| table.stale.replace(why.to_owned()).is_none());
        if news {
            let there: Vec<EdgeId> = self.board.look(|table| table.edges.keys().cloned().collect());
            let now = Instant::now();
            let until = now + LEASE;
            self.held(|held| {
                let is_own = |id: &EdgeId| held.renewed.get(id).is_some_and(|(at, _)| now - *at < LEASE);
                let own = there.into_iter().filter(is_own);
                for id in own.collect::<Vec<_>>() {
                    held.alone.entry(id).or_insert(until);
                }
            });
            tracing::warn!("the last known table of edges is used: {why}");
        }
        news
    }

    /// Waits until a write fails.
    pub(super) async fn failed(&self) {
        self.failed.notified().await;
    }

    /// Forgets an earlier failure, while the table is out of date anyway.
    pub(super) fn forget_failure(&self) {
        let _ = self.failed.notified().now_or_never();
    }
}

/// Reason why a record is not in etcd.
enum PutError {
    /// [`Error::Replayed`].
    Replayed(Error),
    Etcd(client::Error),
}

impl From<client::Error> for PutError {
    fn from(error: client::Error) -> Self {
        Self::Etcd(error)
    }
}

/// Kind of a key of this daemon.
pub(super) enum Key {
    Edge(EdgeId),
    Drained(EdgeId),
}

impl Key {
    pub(super) fn of(kv: &Value) -> Option<Self> {
        let key = decode(&kv["key"])?;
        match key.strip_prefix(EDGES) {
            Some(id) => id.parse().ok().map(Self::Edge),
            None => key.strip_prefix(DRAINED)?.parse().ok().map(Self::Drained),
        }
    }
}
