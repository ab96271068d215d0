//! The edges of a table, prepared for the questions of a moment.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::choose::Fleet;
use super::store::Table;

/// What was sent to edges meanwhile counts after so long.
pub(super) const REBUILD: Duration = Duration::from_millis(200);
/// Preparing the edges takes at most one part in so many of a processor.
const BUSY: u32 = 20;

/// The edges, prepared for questions.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) fleet: Arc<Fleet>,
    /// Of what, and when.
    pub(super) of: Option<(Arc<Table>, Instant)>,
    /// Somebody was sent somewhere since.
    pub(super) is_used: bool,
    /// Bit/s that may still be sent there before the next preparation, and how long this one took.
    pub(super) margin: u64,
    pub(super) cost: Duration,
}

impl Prepared {
    /// Whether these are still the edges of this table, and as busy as they were.
    pub(super) fn is_good(&self, table: &Arc<Table>) -> bool {
        let Some((of, at)) = &self.of else { return false };
        let age = at.elapsed();
        // A crowd must not fall upon one edge; for many edges, preparing them takes too long to do it for each viewer.
        let is_crowded = self.margin == 0 && age >= self.cost * BUSY;
        Arc::ptr_eq(of, table) && !is_crowded && (!self.is_used || age < REBUILD)
    }
}
