//! The interface to the table of edges that every backend implements, and the table itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::record::{EdgeId, Record};
use super::signature::is_newer;
use crate::clock;

/// Interval at which an edge renews its lease.
pub(crate) const RENEW: Duration = Duration::from_secs(2);
/// Time without a renewal after which an edge is gone.
pub(crate) const LEASE: Duration = Duration::from_secs(5);
/// Time for which the reports of removed edges are remembered. Older requests are refused because of their time.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(120);
/// Time in which changes of the table are collected for one notification.
const BUNCH: Duration = Duration::from_millis(50);

/// All known edges.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// Edges by name.
    pub edges: BTreeMap<EdgeId, Arc<Record>>,
    /// Edges that an administrator has drained. They may be absent from the table.
    pub drained: BTreeSet<EdgeId>,
    /// Reason why the table may be out of date; `None` if it is current.
    pub stale: Option<String>,
}

/// Reason why a request to the store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// A report of the edge that is not older has arrived before. This is its time.
    #[error("the report is not newer than the last one of this edge")]
    Replayed(u64),
    /// The store does not answer.
    #[error("{0}")]
    Away(String),
}

/// Checks that a report is newer than the last one of the edge. `last` is the time of that one, and the moment of its arrival, or a later
/// moment if that is unknown.
///
/// # Errors
///
/// [`Error::Replayed`].
pub(crate) fn check_new(sent: u64, last: Option<(u64, Instant)>) -> Result<(), Error> {
    match last {
        Some((last, arrived)) if !is_newer(sent, last, clock::at(arrived).as_millis()) => {
            Err(Error::Replayed(last))
        }
        _ => Ok(()),
    }
}

/// Store of the table. Each backend passes the same tests (`tests.rs`).
pub(crate) trait Store: Debug + Send + Sync {
    /// Stores the report of an edge: the edge is in the table for one lease from now on. If the store is away, only this daemon keeps the
    /// report.
    ///
    /// # Errors
    ///
    /// [`Error::Replayed`] for a report that is not newer than the one in the table.
    fn renew(&self, record: Record) -> BoxFuture<'_, Result<(), Error>>;

    /// Removes an edge that leaves.
    ///
    /// # Errors
    ///
    /// The errors of [`renew`](Self::renew).
    fn leave(&self, id: EdgeId, sent: u64) -> BoxFuture<'_, Result<(), Error>>;

    /// Drains an edge, or ends its drain.
    ///
    /// # Errors
    ///
    /// [`Error::Away`]: nothing has changed.
    fn drain(&self, id: EdgeId, drained: bool) -> BoxFuture<'_, Result<(), Error>>;

    /// Returns the table, and notifies of each change.
    fn watch(&self) -> watch::Receiver<Arc<Table>>;
}

/// A table that notifies all watchers of changes. Changes within a short time are one notification.
#[derive(Debug)]
pub(crate) struct Board {
    table: Mutex<Table>,
    changed: Notify,
    told: watch::Sender<Arc<Table>>,
}

impl Board {
    /// Returns a board with this table. [`tell`](Self::tell) must run.
    pub(crate) fn new(table: Table) -> Arc<Self> {
        let told = watch::channel(Arc::new(table.clone())).0;
        Arc::new(Self { table: Mutex::new(table), changed: Notify::new(), told })
    }

    /// Reads the table.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Table) -> T) -> T {
        look(&self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the table.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let result = change(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
        result
    }

    /// Notifies watchers of changes until the future is dropped.
    pub(crate) async fn tell(self: Arc<Self>) {
        loop {
            self.changed.notified().await;
            let table = Arc::new(self.look(Table::clone));
            self.told.send_replace(table);
            tokio::time::sleep(BUNCH).await;
        }
    }

    /// See [`Store::watch`].
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Table>> {
        self.told.subscribe()
    }
}
