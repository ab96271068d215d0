//! The edges of a table, prepared for the queries of a short time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::choose::Fleet;
use super::record::EdgeId;
use super::store::Table;

/// Time after which viewers that were sent meanwhile are considered.
pub(super) const REBUILD: Duration = Duration::from_millis(200);
/// Preparing the edges takes at most one part in `BUSY` of a processor's time.
const BUSY: u32 = 20;

/// Edges that cannot serve everything.
#[derive(Debug, Default)]
pub(super) struct Lacks {
    /// Edges that cannot pull a stream, by the stream.
    failing: BTreeMap<String, BTreeSet<EdgeId>>,
    /// Edges that serve no viewers of an application, by the application.
    refusing: BTreeMap<String, BTreeSet<EdgeId>>,
}

impl Lacks {
    /// Collects what the edges of a table report.
    pub(super) fn of(table: &Table) -> Self {
        let mut lacks = Self::default();
        for report in table.edges.values().map(|record| &record.report) {
            for (names, edges) in
                [(&report.failing, &mut lacks.failing), (&report.refused, &mut lacks.refusing)]
            {
                for name in names {
                    edges.entry(name.clone()).or_default().insert(report.id.clone());
                }
            }
        }
        lacks
    }

    /// Returns the edges that cannot pull a stream.
    pub(super) fn failing(&self, stream: &str) -> Option<&BTreeSet<EdgeId>> {
        self.failing.get(stream)
    }

    /// Returns the edges that serve no viewers of a stream.
    pub(super) fn refusing(&self, stream: &str) -> Option<&BTreeSet<EdgeId>> {
        self.refusing.get(stream.rsplit_once('/')?.0)
    }
}

/// The prepared edges.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) fleet: Arc<Fleet>,
    pub(super) lacks: Arc<Lacks>,
    /// The table, and the time of the preparation.
    pub(super) of: Option<(Arc<Table>, Instant)>,
    /// A viewer was sent to an edge since the preparation.
    pub(super) is_used: bool,
    /// Rate in bit/s that may still be sent before the next preparation, and the duration of this one.
    pub(super) margin: u64,
    pub(super) cost: Duration,
}

impl Prepared {
    /// Returns whether the edges are still those of this table, and their load has not changed much.
    pub(super) fn is_good(&self, table: &Arc<Table>) -> bool {
        let Some((of, at)) = &self.of else { return false };
        let age = at.elapsed();
        // Many viewers must not all be sent to one edge. With many edges, a preparation takes too long to repeat it for each viewer.
        let is_crowded = self.margin == 0 && age >= self.cost * BUSY;
        Arc::ptr_eq(of, table) && !is_crowded && (!self.is_used || age < REBUILD)
    }
}
