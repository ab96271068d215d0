//! The error of operations that need a block.

/// The zone has no free block left for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the zone is full: for a larger \"weir_zone\" restart nginx")]
pub struct ZoneFull;
