//! Follows the keys in etcd: reads all of them, and then each change. After a broken connection, it reads all of them again: etcd may have
//! lost its data meanwhile, and the revisions do not always show that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, interval, sleep};

use super::client::{self, decode, encode, number};
use super::inner::{Inner, Key};
use crate::clock;
use crate::cluster::record::{EdgeId, Record};
use crate::cluster::signature::is_newer;
use crate::cluster::store::REMEMBERED;
use crate::supervise::backoff::Backoff;

#[cfg(test)]
mod tests;

/// Range of the keys: the first key, and the end.
const FIRST: &str = "/weir/";
const LAST: &str = "/weir0";
/// Pauses between attempts to reach etcd, with jitter.
const RETRY: Backoff = Backoff { first: Duration::from_millis(250), max: Duration::from_secs(3) };
/// Interval of queries: a silent connection does not show whether etcd is alive.
const ASK: Duration = Duration::from_secs(2);
/// Interval of checks of the edges that only this daemon knows.
const LOOK: Duration = Duration::from_millis(250);
/// Longest line of a watch.
const MAX_LINE: usize = 64 << 20;

/// Place in the history of etcd.
#[derive(Debug, Default)]
struct Seen {
    /// Identity of the cluster; empty before the first answer.
    cluster: String,
    /// Latest revision.
    revision: i64,
}

impl Seen {
    /// Reads the header of an answer.
    fn of(answer: &Value) -> Self {
        let header = &answer["header"];
        let cluster = header["cluster_id"].as_str().unwrap_or_default().to_owned();
        Self { cluster, revision: number(&header["revision"]) }
    }

    /// Returns whether etcd has lost changes since `before`, or is another etcd.
    fn is_other(&self, before: &Self) -> bool {
        self.revision < before.revision || before.revision > 0 && self.cluster != before.cluster
    }
}

/// Runs until the future is dropped.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut seen = Seen::default();
    let mut failures = 0;
    loop {
        let began = Instant::now();
        let error = tokio::select! {
            error = session(&inner, &mut seen) => error,
            never = expire(&inner) => match never {},
        };
        inner.lost(&error.to_string());
        if began.elapsed() > ASK * 2 {
            failures = 0;
        }
        let pause = RETRY.wait(failures, clock::random_u32());
        failures += 1;
        tokio::select! {
            () = sleep(pause) => {}
            never = expire(&inner) => match never {},
        }
    }
}

/// Handles one connection, which ends with an error.
async fn session(inner: &Inner, seen: &mut Seen) -> client::Error {
    match follow(inner, seen).await {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

async fn follow(inner: &Inner, seen: &mut Seen) -> Result<std::convert::Infallible, client::Error> {
    inner.forget_failure();
    let range = json!({ "key": encode(FIRST), "range_end": encode(LAST) });
    let all = inner.client.ask("kv/range", &range).await?;
    let before = std::mem::replace(seen, Seen::of(&all));
    if seen.is_other(&before) {
        tracing::warn!(
            "etcd has lost changes of the table of edges, so all of it is read again: see weir edge list for drained edges"
        );
    }
    take_all(inner, &all);
    let start = (seen.revision + 1).to_string();
    let create = json!({ "create_request": {
        "key": encode(FIRST), "range_end": encode(LAST), "start_revision": start } });
    let mut response = inner.client.follow("watch", &create).await?;
    let mut lines = Vec::new();
    let mut ask = interval(ASK);
    loop {
        tokio::select! {
            chunk = response.chunk() => {
                let broken = |why: &str| client::Error::Unreachable(why.to_owned());
                let chunk = chunk.map_err(|error| broken(&crate::http::innermost(&error)))?;
                let chunk = chunk.ok_or_else(|| broken("it ended the watch"))?;
                lines.extend_from_slice(&chunk);
                if lines.len() > MAX_LINE {
                    return Err(broken("it sends lines without an end"));
                }
                while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = lines.drain(..=end).collect();
                    take(inner, &line, seen)?;
                }
            }
            () = inner.failed() => return Err(client::Error::Unreachable("a write failed".into())),
            _ = ask.tick() => {
                let count = json!({ "key": encode(FIRST), "range_end": encode(LAST), "count_only": true });
                let answer = inner.client.ask("kv/range", &count).await?;
                if Seen::of(&answer).is_other(seen) {
                    return Err(client::Error::Unreachable("it has lost changes".into()));
                }
            }
        }
    }
}

/// Handles a line of the watch.
fn take(inner: &Inner, line: &[u8], seen: &mut Seen) -> Result<(), client::Error> {
    let answer: Value = serde_json::from_slice(line).unwrap_or_default();
    let result = &answer["result"];
    if result["canceled"].as_bool() == Some(true) || !answer["error"].is_null() {
        let why =
            result["cancel_reason"].as_str().or(answer["error"]["message"].as_str()).unwrap_or("no reason");
        return Err(client::Error::Unreachable(format!("it cancelled the watch: {why}")));
    }
    if result["created"].as_bool() == Some(true) {
        let was = inner.board.change(|table| table.stale.take());
        if was.is_some() {
            tracing::info!("etcd answers, edges: {}", inner.board.look(|table| table.edges.len()));
        }
    }
    for event in result["events"].as_array().into_iter().flatten() {
        let kv = &event["kv"];
        match (event["type"].as_str(), Key::of(kv)) {
            (Some("DELETE"), Some(key)) => forget(inner, key, number(&kv["mod_revision"])),
            (_, Some(key)) => put(inner, key, kv),
            (_, None) => {}
        }
    }
    seen.revision = seen.revision.max(number(&result["header"]["revision"]));
    Ok(())
}

fn put(inner: &Inner, key: Key, kv: &Value) {
    match key {
        Key::Drained(id) => drop(inner.board.change(|table| table.drained.insert(id))),
        Key::Edge(id) => {
            let record = decode(&kv["value"]).and_then(|text| serde_json::from_str::<Record>(&text).ok());
            let Some(record) = record.filter(|record| record.report.id == id) else { return };
            // The edge has left, and this daemon knows that before the watch shows it.
            let now = clock::now().as_millis();
            let is_newer = |last: u64| is_newer(record.sent, last, now);
            if inner.held(|held| held.gone.get(&id).is_some_and(|(last, _)| !is_newer(*last))) {
                return;
            }
            let is_news =
                inner.board.look(|table| table.edges.get(&id).is_none_or(|known| is_newer(known.sent)));
            inner.held(|held| held.found(&id, number(&kv["mod_revision"]), record.sent));
            if is_news {
                // The edge has renewed at another origin, so its lease in etcd decides from now on.
                inner.held(|held| held.alone.remove(&id));
                inner.keep(record);
            }
        }
    }
}

fn forget(inner: &Inner, key: Key, revision: i64) {
    match key {
        Key::Drained(id) => drop(inner.board.change(|table| table.drained.remove(&id))),
        Key::Edge(id) => {
            // The deleted key is not the one that this daemon has put since.
            let is_old = inner.held(|held| {
                let is_newer = held.revisions.get(&id).is_some_and(|known| *known > revision);
                if !is_newer {
                    held.forget(&id);
                }
                is_newer || held.alone.contains_key(&id)
            });
            let removed = if is_old { None } else { inner.board.change(|table| table.edges.remove(&id)) };
            if let Some(record) = removed {
                inner.held(|held| {
                    held.renewed.remove(&id);
                    held.leases.remove(&id);
                    held.remember(id.clone(), record.sent);
                });
                tracing::info!("edge gone: its lease has ended or it has left, edge: {id}");
            }
        }
    }
}

/// Replaces the table with all current keys. Edges that only this daemon knows stay. No viewer sees a table without the other edges.
fn take_all(inner: &Inner, all: &Value) {
    inner.held(|held| {
        held.revisions.clear();
        held.written.clear();
    });
    let (mut there, mut drained) = (BTreeSet::new(), BTreeSet::new());
    for kv in all["kvs"].as_array().into_iter().flatten() {
        match Key::of(kv) {
            Some(Key::Drained(id)) => drop(drained.insert(id)),
            Some(Key::Edge(id)) => {
                there.insert(id.clone());
                put(inner, Key::Edge(id), kv);
            }
            None => {}
        }
    }
    let gone = inner.board.change(|table| {
        table.drained = drained;
        let stays = |id: &EdgeId| there.contains(id) || inner.held(|held| held.alone.contains_key(id));
        let (kept, gone) = std::mem::take(&mut table.edges).into_iter().partition(|(id, _)| stays(id));
        table.edges = kept;
        gone
    });
    for (id, record) in gone {
        inner.held(|held| held.remember(id, record.sent));
    }
}

/// Removes the edges that only this daemon knows and that do not renew.
async fn expire(inner: &Inner) -> std::convert::Infallible {
    let mut ticks = interval(LOOK);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let over: Vec<_> = inner.held(|held| {
            let over =
                held.alone.iter().filter(|(_, until)| **until <= now).map(|(id, _)| id.clone()).collect();
            held.alone.retain(|_, until| *until > now);
            held.gone.retain(|_, (_, since)| now - *since < REMEMBERED);
            held.renewed.retain(|_, (at, _)| now - *at < REMEMBERED);
            over
        });
        for id in over {
            if let Some(record) = inner.board.change(|table| table.edges.remove(&id)) {
                tracing::warn!("edge lost: it does not renew its lease, edge: {id}");
                inner.held(|held| {
                    held.renewed.remove(&id);
                    held.remember(id.clone(), record.sent);
                });
            }
        }
    }
}
