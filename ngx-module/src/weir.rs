//! The type under which the fence knows this module; `module.rs` implements its traits.

/// This module.
pub struct Weir;
