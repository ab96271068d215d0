//! Death at any moment: a countdown of stores to blocks after which the thread panics, as if it had been
//! killed there. Free list, chains and counters are rebuilt from the blocks, so no other store matters.

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
            // Not `panic!`: the hook would fill the output with reports.
            std::panic::resume_unwind(Box::new("killed"));
        }
        left => LEFT.set(left.map(|left| left - 1)),
    }
}

/// Runs `work` and kills it before its store number `stores`, from 0. `None` when it was killed.
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
