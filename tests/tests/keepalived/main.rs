//! What tells a machine that serves from one that only seems to, and keepalived of the distribution with the samples of
//! `nginx-conf/keepalived`: two machines in a network of their own.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod checks;
mod common;
mod fifo;
mod loadbalancer;
mod pair;
mod restream;
mod samples;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One pair at a time: what is measured is how long the change takes, and not how long two processors have other work.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
