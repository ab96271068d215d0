//! Where the table of edges is kept: what every backend promises, and the table itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};

use super::record::{EdgeId, Record};

/// An edge renews this often,
pub const RENEW: Duration = Duration::from_secs(2);
/// and is gone when it has not for so long.
pub const LEASE: Duration = Duration::from_secs(5);
/// Changes of the table that come close together are told once.
const BUNCH: Duration = Duration::from_millis(50);

/// All edges that are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// By their names.
    pub edges: BTreeMap<EdgeId, Arc<Record>>,
    /// Those that an administrator has drained; they need not be there.
    pub drained: BTreeSet<EdgeId>,
    /// Why the table may be out of date; none when it is not.
    pub stale: Option<String>,
}

/// Why a store does not do what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A later report of the edge was here before.
    #[error("the report is not newer than the last one of this edge")]
    Replayed,
    /// The store does not answer.
    #[error("{0}")]
    Away(String),
}

/// Keeps the table. Each backend passes the same tests (`tests.rs`).
pub trait Store: Debug + Send + Sync {
    /// An edge reports: it is in the table for a lease from now on. A store that is away keeps it in this daemon alone.
    ///
    /// # Errors
    ///
    /// [`Error::Replayed`] for a report that is not newer than the one in the table.
    fn renew(&self, record: Record) -> BoxFuture<'_, Result<(), Error>>;

    /// An edge leaves.
    ///
    /// # Errors
    ///
    /// As [`renew`](Self::renew).
    fn leave(&self, id: EdgeId, sent: u64) -> BoxFuture<'_, Result<(), Error>>;

    /// Drains an edge, or ends that.
    ///
    /// # Errors
    ///
    /// [`Error::Away`]: nothing has changed.
    fn drain(&self, id: EdgeId, drained: bool) -> BoxFuture<'_, Result<(), Error>>;

    /// The table now, and each change of it.
    fn watch(&self) -> watch::Receiver<Arc<Table>>;
}

/// A table that is told to everybody when it changes; the changes of a moment at once.
#[derive(Debug)]
pub struct Board {
    table: Mutex<Table>,
    changed: Notify,
    told: watch::Sender<Arc<Table>>,
}

impl Board {
    /// One with this table. [`tell`](Self::tell) has to run.
    pub fn new(table: Table) -> Arc<Self> {
        let told = watch::channel(Arc::new(table.clone())).0;
        Arc::new(Self { table: Mutex::new(table), changed: Notify::new(), told })
    }

    /// Looks at the table as it is.
    pub fn look<T>(&self, look: impl FnOnce(&Table) -> T) -> T {
        look(&self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the table.
    pub fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let result = change(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
        result
    }

    /// Tells changes until it is dropped.
    pub async fn tell(self: Arc<Self>) {
        loop {
            self.changed.notified().await;
            let table = Arc::new(self.look(Table::clone));
            self.told.send_replace(table);
            tokio::time::sleep(BUNCH).await;
        }
    }

    /// See [`Store::watch`].
    pub fn watch(&self) -> watch::Receiver<Arc<Table>> {
        self.told.subscribe()
    }
}
