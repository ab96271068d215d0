//! Tests that need the crate's internals: a worker may die at any store, a place does not identify a row, and chains
//! differ between zones.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod chains;
mod deaths;
mod effort;
mod places;
mod random;
mod seen;
