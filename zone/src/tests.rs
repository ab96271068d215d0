//! What only the crate itself can prove: that a worker may die at any store.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod deaths;
mod random;
mod seen;
