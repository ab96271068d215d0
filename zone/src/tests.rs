//! What only the crate itself can prove: that a worker may die at any store, that a place is not a row, that chains differ
//! from zone to zone.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod chains;
mod deaths;
mod effort;
mod places;
mod random;
mod seen;
