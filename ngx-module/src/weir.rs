//! The name under which the fence knows this module: `module.rs` says what is behind it.

/// This module.
pub struct Weir;
