//! How wrong keys are logged: an address that guesses cannot fill the disk.

use crate::time::Timestamp;

/// How long a window lasts, in milliseconds.
pub const WINDOW_MS: u64 = 60_000;

/// How many wrong keys a window are logged each.
pub const LOGGED_EACH: u32 = 10;

/// The wrong keys of one address in the current minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// When it began: with its first wrong key.
    pub started: Timestamp,
    /// Wrong keys in it.
    pub wrong: u32,
    /// Those of them that were not logged.
    pub unlogged: u32,
}

/// What to write for a wrong key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLine {
    /// A line for this one.
    Each,
    /// Nothing.
    Silent,
    /// First a line for the minute that ended, then a line for this one.
    Summary {
        /// How many were refused unlogged in that minute.
        unlogged: u32,
    },
}

impl Window {
    /// Whether its minute is over. A clock set back ends it too.
    fn is_over(&self, now: Timestamp) -> bool {
        now < self.started || now.millis_since(self.started) >= WINDOW_MS
    }
}

/// Counts one more wrong key and says what to log. A new address begins with `Window::default()`.
pub fn wrong(window: Window, now: Timestamp) -> (Window, LogLine) {
    if window.wrong == 0 || window.is_over(now) {
        let fresh = Window { started: now, wrong: 1, unlogged: 0 };
        return match window.unlogged {
            0 => (fresh, LogLine::Each),
            unlogged => (fresh, LogLine::Summary { unlogged }),
        };
    }
    let wrong = window.wrong.saturating_add(1);
    if wrong <= LOGGED_EACH {
        (Window { wrong, ..window }, LogLine::Each)
    } else {
        (Window { wrong, unlogged: window.unlogged.saturating_add(1), ..window }, LogLine::Silent)
    }
}

/// For a timer: when a minute with unlogged wrong keys is over, the emptied window and their number.
pub fn due_summary(window: Window, now: Timestamp) -> Option<(Window, u32)> {
    (window.unlogged > 0 && window.is_over(now)).then_some((Window::default(), window.unlogged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_millis(1_795_197_600_000);

    fn after(window: Window, count: u32, now: Timestamp) -> (Window, Vec<LogLine>) {
        let mut window = window;
        let lines = (0..count)
            .map(|_| {
                let line;
                (window, line) = wrong(window, now);
                line
            })
            .collect();
        (window, lines)
    }

    #[test]
    fn ten_a_minute_are_logged_each() {
        let (window, lines) = after(Window::default(), 25, START);
        assert!(lines[..10].iter().all(|line| *line == LogLine::Each));
        assert!(lines[10..].iter().all(|line| *line == LogLine::Silent));
        assert_eq!(window, Window { started: START, wrong: 25, unlogged: 15 });
    }

    #[test]
    fn the_next_minute_begins_with_a_summary() {
        let (window, _) = after(Window::default(), 25, START);
        let (window, line) = wrong(window, START.plus_seconds(60));
        assert_eq!(line, LogLine::Summary { unlogged: 15 });
        assert_eq!(window, Window { started: START.plus_seconds(60), wrong: 1, unlogged: 0 });
    }

    #[test]
    fn a_quiet_minute_needs_no_summary() {
        let (window, _) = after(Window::default(), 10, START);
        assert_eq!(due_summary(window, START.plus_seconds(61)), None);
        assert_eq!(wrong(window, START.plus_seconds(60)).1, LogLine::Each);
    }

    #[test]
    fn a_timer_flushes_the_last_summary_once() {
        let (window, _) = after(Window::default(), 11, START);
        assert_eq!(due_summary(window, START.plus_seconds(59)), None);
        let (window, unlogged) = due_summary(window, START.plus_seconds(60)).unwrap();
        assert_eq!(unlogged, 1);
        assert_eq!(due_summary(window, START.plus_seconds(120)), None);
        assert_eq!(wrong(window, START.plus_seconds(61)).1, LogLine::Each);
    }

    proptest! {
        #[test]
        fn every_wrong_key_is_logged_or_counted(steps in prop::collection::vec(0_u64..20_000, 0..200)) {
            let (mut now, mut window) = (START, Window::default());
            let (mut logged, mut counted) = (0, 0);
            for step in &steps {
                now = Timestamp::from_millis(now.as_millis() + step);
                let line;
                (window, line) = wrong(window, now);
                match line {
                    LogLine::Each => logged += 1,
                    LogLine::Silent => {}
                    LogLine::Summary { unlogged } => {
                        logged += 1;
                        counted += unlogged;
                    }
                }
                prop_assert!(window.wrong - window.unlogged <= LOGGED_EACH);
            }
            counted += due_summary(window, now.plus_seconds(60)).map_or(0, |(_, unlogged)| unlogged);
            prop_assert_eq!(logged + counted, steps.len() as u32);
        }
    }
}
