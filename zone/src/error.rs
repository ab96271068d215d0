//! The error of whatever needs a block.

/// The zone has no free block left for what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the zone is full: for a larger \"weir_zone\" restart nginx")]
pub struct ZoneFull;
