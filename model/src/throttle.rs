//! Limits the log lines about refusals, so that an address that guesses or floods cannot fill the disk.

use crate::time::Timestamp;

/// Length of a window, in milliseconds.
pub const WINDOW_MS: u64 = 60_000;

/// How many wrong keys of an address are logged one by one in a window.
pub const KEYS_LOGGED_EACH: u32 = 10;

/// How many refusals of the guard are logged one by one in a window, per address and reason.
pub const GUARD_LOGGED_EACH: u32 = 1;

/// The refusals of one address, for one reason, in the current minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The time of the first refusal.
    pub started: Timestamp,
    /// Number of refusals.
    pub refused: u32,
    /// Number of refusals that were not logged.
    pub unlogged: u32,
}

/// What to write for a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLine {
    /// A line for this refusal.
    Each,
    /// No line.
    Silent,
    /// A line for the minute that ended, then a line for this refusal.
    Summary {
        /// The number of refusals in that minute that were not logged.
        unlogged: u32,
    },
}

impl Window {
    /// Returns whether the minute has ended. A clock that is set back ends it too.
    fn is_over(&self, now: Timestamp) -> bool {
        now < self.started || now.millis_since(self.started) >= WINDOW_MS
    }
}

/// Counts one more refusal and returns the line to log. `logged_each` is the number of lines per window. A new address
/// begins with `Window::default()`.
pub fn refused(window: Window, logged_each: u32, now: Timestamp) -> (Window, LogLine) {
    if window.refused == 0 || window.is_over(now) {
        let fresh = Window { started: now, refused: 1, unlogged: 0 };
        return match window.unlogged {
            0 => (fresh, LogLine::Each),
            unlogged => (fresh, LogLine::Summary { unlogged }),
        };
    }
    let refused = window.refused.saturating_add(1);
    if refused <= logged_each {
        (Window { refused, ..window }, LogLine::Each)
    } else {
        (Window { refused, unlogged: window.unlogged.saturating_add(1), ..window }, LogLine::Silent)
    }
}

/// For a timer: when a minute with unlogged refusals has ended, returns the emptied window and the number of these
/// refusals.
pub fn due_summary(window: Window, now: Timestamp) -> Option<(Window, u32)> {
    (window.unlogged > 0 && window.is_over(now)).then_some((Window::default(), window.unlogged))
}

/// Like [`due_summary`], for refusals with one line per window: the summary is the line of the next window.
pub fn due_line(window: Window, now: Timestamp) -> Option<(Window, u32)> {
    let (_, unlogged) = due_summary(window, now)?;
    Some((Window { started: now, refused: 1, unlogged: 0 }, unlogged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_millis(1_795_197_600_000);

    fn wrong(window: Window, now: Timestamp) -> (Window, LogLine) {
        refused(window, KEYS_LOGGED_EACH, now)
    }

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
        assert_eq!(window, Window { started: START, refused: 25, unlogged: 15 });
    }

    #[test]
    fn the_next_minute_begins_with_a_summary() {
        let (window, _) = after(Window::default(), 25, START);
        let (window, line) = wrong(window, START.plus_seconds(60));
        assert_eq!(line, LogLine::Summary { unlogged: 15 });
        assert_eq!(window, Window { started: START.plus_seconds(60), refused: 1, unlogged: 0 });
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

    #[test]
    fn a_flood_of_the_guards_refusals_is_a_line_a_minute() {
        let mut window = Window::default();
        let mut lines = Vec::new();
        // Two per second for five minutes; the timer runs once per second, before them.
        for second in 0..300 {
            let now = START.plus_seconds(second);
            if let Some((after, unlogged)) = due_line(window, now) {
                (window, _) = (after, lines.push((second, unlogged)));
            }
            for _ in 0..2 {
                let line;
                (window, line) = refused(window, GUARD_LOGGED_EACH, now);
                if line != LogLine::Silent {
                    lines.push((second, 0));
                }
            }
        }
        assert_eq!(lines, [(0, 0), (60, 119), (120, 120), (180, 120), (240, 120)]);
        let (_, last) = due_line(window, START.plus_seconds(300)).unwrap();
        assert_eq!(last, 120);
    }

    proptest! {
        #[test]
        fn every_refusal_is_logged_or_counted(
            steps in prop::collection::vec(0_u64..20_000, 0..200),
            logged_each in prop::sample::select(vec![KEYS_LOGGED_EACH, GUARD_LOGGED_EACH]),
        ) {
            let (mut now, mut window) = (START, Window::default());
            let (mut logged, mut counted) = (0, 0);
            for step in &steps {
                now = Timestamp::from_millis(now.as_millis() + step);
                let line;
                (window, line) = refused(window, logged_each, now);
                match line {
                    LogLine::Each => logged += 1,
                    LogLine::Silent => {}
                    LogLine::Summary { unlogged } => {
                        logged += 1;
                        counted += unlogged;
                    }
                }
                prop_assert!(window.refused - window.unlogged <= logged_each);
            }
            counted += due_summary(window, now.plus_seconds(60)).map_or(0, |(_, unlogged)| unlogged);
            prop_assert_eq!(logged + counted, steps.len() as u32);
        }
    }
}
