//! The last known free space of a folder's file system: one thread asks, and all readers get the last answer without
//! waiting.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::{Space, Why};
use crate::Timestamp;

/// How long a file system may take to answer before Weir stops writing to it, in milliseconds.
pub const PATIENCE_MS: u64 = 500;

/// The file system of one folder.
#[derive(Debug)]
pub struct Gauge {
    folder: PathBuf,
    /// `weir_min_free` in bytes, if the configuration sets it.
    min_free: Option<u64>,
    /// Time of the question that is not answered yet; 0 if there is none.
    asked: AtomicU64,
    free: AtomicU64,
    /// 0 before the first answer.
    total: AtomicU64,
    /// Whether the application has stopped writing.
    stopped: AtomicBool,
    /// Whether the thread that asked waits for this file system only.
    left_alone: AtomicBool,
}

impl Gauge {
    /// Returns a gauge without any answer.
    pub fn new(folder: &Path, min_free: Option<u64>) -> Gauge {
        Gauge {
            folder: folder.to_owned(),
            min_free,
            asked: AtomicU64::new(0),
            free: AtomicU64::new(0),
            total: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            left_alone: AtomicBool::new(false),
        }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the last answer, or `None` if there was none.
    pub fn space(&self) -> Option<Space> {
        let (free, total) = (self.free.load(Relaxed), self.total.load(Relaxed));
        (total > 0).then_some(Space { free, total })
    }

    /// Returns how much must stay free, in bytes.
    pub fn required(&self) -> u64 {
        self.space().map_or(0, |space| space.required(self.min_free))
    }

    /// Records that a thread asks for the free space now.
    pub fn ask(&self, now: Timestamp) {
        self.asked.store(now.as_millis().max(1), Relaxed);
    }

    /// Records the answer, `None` if the file system gives none. Returns the time until the next question, in
    /// milliseconds.
    pub fn answer(&self, space: Option<Space>) -> u64 {
        let Space { free, total } = space.unwrap_or(Space { free: 0, total: 0 });
        self.free.store(free, Relaxed);
        self.total.store(total, Relaxed);
        self.asked.store(0, Relaxed);
        self.left_alone.store(false, Relaxed);
        space.map_or(super::LONGEST_MS, |space| space.next_look_ms(self.min_free, self.stopped.load(Relaxed)))
    }

    /// Returns why nothing may be written to the folder, if so. Reads memory only.
    pub fn verdict(&self, now: Timestamp) -> Option<Why> {
        if self.is_silent(now) {
            return Some(Why::Silent);
        }
        let is_short = |space: Space| space.is_short(self.min_free, self.stopped.load(Relaxed));
        self.space().is_some_and(is_short).then_some(Why::Full)
    }

    /// Records whether the application has stopped writing.
    pub fn set_stopped(&self, stopped: bool) {
        self.stopped.store(stopped, Relaxed);
    }

    /// Returns whether the file system has not answered for too long.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        let asked = self.asked.load(Relaxed);
        asked != 0 && now.as_millis().saturating_sub(asked) > PATIENCE_MS
    }

    /// Returns whether a thread waits for this file system only, until it answers.
    pub fn is_left_alone(&self) -> bool {
        self.left_alone.load(Relaxed)
    }

    /// Leaves the thread that has asked a silent file system alone with it. Returns whether the thread was not alone
    /// before.
    pub fn leave_alone(&self) -> bool {
        !self.left_alone.swap(true, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_file_system_that_does_not_answer_is_silent_until_it_does() {
        let gauge = Gauge::new(Path::new("/x"), None);
        assert_eq!((gauge.verdict(at(0)), gauge.space()), (None, None));
        let space = Space { free: 900 * MIB, total: 1000 * MIB };
        gauge.ask(at(1000));
        assert_eq!(gauge.verdict(at(1500)), None);
        assert_eq!(gauge.verdict(at(1501)), Some(Why::Silent));
        assert!(gauge.leave_alone() && !gauge.leave_alone() && gauge.is_left_alone());
        gauge.answer(Some(space));
        assert!(!gauge.is_left_alone());
        assert_eq!((gauge.verdict(at(9000)), gauge.space()), (None, Some(space)));
        // A file system that gives no answer is not a reason to stop.
        gauge.answer(None);
        assert_eq!((gauge.verdict(at(9000)), gauge.space()), (None, None));
    }

    #[test]
    fn a_full_one_stops_until_a_margin_is_free() {
        let gauge = Gauge::new(Path::new("/x"), Some(64 * MIB));
        let says = |free: u64| gauge.answer(Some(Space { free, total: 1000 * MIB }));
        says(64 * MIB);
        assert_eq!((gauge.verdict(at(1)), gauge.required()), (None, 64 * MIB));
        says(64 * MIB - 1);
        assert_eq!(gauge.verdict(at(1)), Some(Why::Full));
        gauge.set_stopped(true);
        says(64 * MIB);
        assert_eq!(gauge.verdict(at(1)), Some(Why::Full));
        says(68 * MIB);
        assert_eq!(gauge.verdict(at(1)), None);
    }
}
