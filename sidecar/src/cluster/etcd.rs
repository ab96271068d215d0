//! The table of edges in etcd, for several origins: each edge is a key with a lease, and all origins watch the keys.
//!
//! While etcd is away, the last table is used, and flagged as stale. Only this daemon stores edges that renew meanwhile. Only the watcher
//! asks etcd again, so that etcd is not overloaded when it returns.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::record::{EdgeId, Record};
use super::store::{Board, Error, Store, Table};
use crate::config::cluster::Etcd as Settings;

mod client;
mod follow;
mod inner;

use client::Client;
pub(crate) use client::Error as EtcdError;
use inner::Inner;

/// The table, and the state that this daemon has in etcd.
#[derive(Debug)]
pub(crate) struct Etcd {
    inner: Arc<Inner>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Etcd {
    /// Follows etcd, which need not be running yet, in the current runtime until this is dropped.
    ///
    /// # Errors
    ///
    /// A file of the configuration that cannot be used.
    pub(crate) fn start(settings: &Settings) -> Result<Self, EtcdError> {
        let client = Client::new(settings)?;
        let stale = Some("etcd was not asked yet".into());
        let board = Board::new(Table { stale, ..Table::default() });
        let inner = Arc::new(Inner::new(client, board.clone()));
        let tasks = vec![tokio::spawn(board.tell()), tokio::spawn(follow::run(inner.clone()))];
        Ok(Self { inner, tasks })
    }
}

impl Store for Etcd {
    fn renew(&self, record: Record) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.inner.renew(record))
    }

    fn leave(&self, id: EdgeId, sent: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.inner.leave(id, sent))
    }

    fn drain(&self, id: EdgeId, drained: bool) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.inner.drain(id, drained))
    }

    fn watch(&self) -> watch::Receiver<Arc<Table>> {
        self.inner.board.watch()
    }
}
