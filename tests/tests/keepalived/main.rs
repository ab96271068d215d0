//! Checks that distinguish a machine that serves from one that only seems to, and the distribution's keepalived with the samples of
//! `nginx-conf/keepalived`: two machines in a network of their own.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod checks;
mod common;
mod drawing;
mod fifo;
mod loadbalancer;
mod pair;
mod restream;
mod samples;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lets one pair run at a time: the tests measure the time of a change, which other work on the processors would lengthen.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
