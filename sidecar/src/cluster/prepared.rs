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

/// Edges that cannot pull a stream, by the stream.
pub(super) type Failing = BTreeMap<String, BTreeSet<EdgeId>>;

/// The prepared edges.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) fleet: Arc<Fleet>,
    pub(super) failing: Arc<Failing>,
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
