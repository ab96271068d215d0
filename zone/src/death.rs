//! Simulates death at any moment: after a number of stores to blocks the thread panics, as if it had been killed there.
//! The repair rebuilds free list, chains and counters from the blocks, so only stores to blocks matter.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Called before each store to a block.
pub(crate) fn before_store() {
    match LEFT.get() {
        Some(0) => {
            LEFT.set(None);
            // `panic!` would run the hook, which would print a report each time.
            std::panic::resume_unwind(Box::new("killed"));
        }
        left => LEFT.set(left.map(|left| left - 1)),
    }
}

/// Runs `work` and kills it before its store number `stores`, counted from 0. Returns `None` if it was killed.
pub(crate) fn after<T>(stores: usize, work: impl FnOnce() -> T) -> Option<T> {
    LEFT.set(Some(stores));
    let done = catch_unwind(AssertUnwindSafe(work));
    let killed = LEFT.take().is_none();
    match done {
        Ok(value) => Some(value),
        Err(_) if killed => None,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
