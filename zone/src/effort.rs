//! Measures the work under one lock: the number of words of blocks that are read and written, which is more reliable
//! than a time.

use std::cell::Cell;

thread_local! {
    static WORDS: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

/// Counts a word of a block that is read or written.
pub(crate) fn count() {
    WORDS.set(WORDS.get() + 1);
}

/// Ends the measurement when the lock is released.
pub(crate) fn end() {
    MOST.set(MOST.get().max(WORDS.take()));
}

/// Returns the most words under one lock while this thread does `work`.
pub(crate) fn of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    WORDS.set(0);
    MOST.set(0);
    let value = work();
    (MOST.take(), value)
}
