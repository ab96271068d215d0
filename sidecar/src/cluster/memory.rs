//! The table of edges in this daemon alone. After a restart, the table is complete again once each edge has renewed its lease.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, interval};

use super::record::{EdgeId, Record};
use super::store::{Board, Error, LEASE, REMEMBERED, Store, Table, check_new};

/// Interval of the checks of leases.
const LOOK: Duration = Duration::from_millis(200);

/// The table, and the leases of its edges.
#[derive(Debug)]
pub(crate) struct Memory {
    board: Arc<Board>,
    leases: Arc<Mutex<Leases>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Leases {
    /// Arrivals of the last reports, with which the leases begin.
    renewed: BTreeMap<EdgeId, Instant>,
    /// Times of the last reports of removed edges, and their arrivals.
    gone: BTreeMap<EdgeId, (u64, Instant)>,
    /// Edges whose drain has ended: the state that such an edge remembers is out of date.
    undrained: BTreeSet<EdgeId>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Memory {
    /// Returns an empty table, which runs in the current runtime until it is dropped.
    pub(crate) fn start() -> Self {
        let (board, leases) = (Board::new(Table::default()), Arc::new(Mutex::new(Leases::default())));
        let tasks =
            vec![tokio::spawn(board.clone().tell()), tokio::spawn(expire(board.clone(), leases.clone()))];
        Self { board, leases, tasks }
    }

    /// Checks that the last report of the edge, existing or removed, was before `sent`.
    fn check_new(&self, leases: &Leases, id: &EdgeId, sent: u64) -> Result<(), Error> {
        let last = self.board.look(|table| table.edges.get(id).map(|record| record.sent));
        check_new(sent, last.zip(leases.renewed.get(id).copied()).or_else(|| leases.gone.get(id).copied()))
    }

    fn take(&self, record: Record) -> Result<(), Error> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let id = record.report.id.clone();
        self.check_new(&leases, &id, record.sent)?;
        leases.gone.remove(&id);
        leases.renewed.insert(id.clone(), Instant::now());
        let remembers = record.report.drained && !leases.undrained.contains(&id);
        self.board.change(|table| {
            if remembers {
                table.drained.insert(id.clone());
            }
            table.edges.insert(id, Arc::new(record));
        });
        Ok(())
    }

    fn remove(&self, id: EdgeId, sent: u64) -> Result<(), Error> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_new(&leases, &id, sent)?;
        leases.renewed.remove(&id);
        leases.gone.insert(id.clone(), (sent, Instant::now()));
        self.board.change(|table| table.edges.remove(&id));
        Ok(())
    }

    fn set(&self, id: EdgeId, drained: bool) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if drained {
            leases.undrained.remove(&id);
        } else {
            leases.undrained.insert(id.clone());
        }
        self.board.change(|table| match drained {
            true => table.drained.insert(id),
            false => table.drained.remove(&id),
        });
    }
}

impl Store for Memory {
    fn renew(&self, record: Record) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.take(record) })
    }

    fn leave(&self, id: EdgeId, sent: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.remove(id, sent) })
    }

    fn drain(&self, id: EdgeId, drained: bool) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.set(id, drained);
            Ok(())
        })
    }

    fn watch(&self) -> watch::Receiver<Arc<Table>> {
        self.board.watch()
    }
}

async fn expire(board: Arc<Board>, leases: Arc<Mutex<Leases>>) {
    let mut ticks = interval(LOOK);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let mut leases = leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.gone.retain(|_, (_, arrived)| now - *arrived < REMEMBERED);
        let over: Vec<(EdgeId, Instant)> = leases
            .renewed
            .iter()
            .filter(|(_, arrived)| now - **arrived >= LEASE)
            .map(|(id, arrived)| (id.clone(), *arrived))
            .collect();
        if over.is_empty() {
            continue;
        }
        let removed: Vec<Option<Arc<Record>>> =
            board.change(|table| over.iter().map(|(id, _)| table.edges.remove(id)).collect());
        for ((id, arrived), record) in over.into_iter().zip(removed) {
            leases.renewed.remove(&id);
            if let Some(record) = record {
                tracing::warn!("edge lost: it does not renew its lease, edge: {id}");
                leases.gone.insert(id, (record.sent, arrived));
            }
        }
    }
}
