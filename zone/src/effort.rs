//! What is done under one lock: how many words of blocks are read and written, which says more than a time.

use std::cell::Cell;

thread_local! {
    static WORDS: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

/// A word of a block is read or written.
pub(crate) fn count() {
    WORDS.set(WORDS.get() + 1);
}

/// The lock is given back.
pub(crate) fn end() {
    MOST.set(MOST.get().max(WORDS.take()));
}

/// The most words under one lock while this thread does `work`.
pub(crate) fn of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    WORDS.set(0);
    MOST.set(0);
    let value = work();
    (MOST.take(), value)
}
