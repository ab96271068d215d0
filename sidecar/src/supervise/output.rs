//! The last lines of a program's standard error.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use weir_model::Timestamp;

/// Older lines are forgotten.
const MAX_LINES: usize = 200;
/// The rest of a longer line is cut off.
pub const MAX_LINE: usize = 1000;

/// One line.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// When it was read.
    pub at: Timestamp,
    /// ffmpeg's word for its importance: `info`, `warning`, `error`, `fatal`.
    pub level: &'static str,
    /// Without secrets.
    pub text: String,
}

/// Lines, as they come.
#[derive(Debug, Default)]
pub struct Output(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    last_error: Option<String>,
}

impl Output {
    /// Keeps a line.
    pub fn push(&self, line: Line) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if line.level != "info" {
            kept.last_error = Some(line.text.clone());
        }
        if kept.lines.len() == MAX_LINES {
            kept.lines.pop_front();
        }
        kept.lines.push_back(line);
    }

    /// Oldest first.
    pub fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lines.iter().cloned().collect()
    }

    /// The last that was more than information.
    pub fn last_error(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last_error.clone()
    }
}

/// Level and text of a line as ffmpeg writes it with `-loglevel level+...`: `[flv @ 0x5581] [error] text`.
pub fn parse(line: &str) -> (&'static str, String) {
    for level in ["info", "warning", "error", "fatal"] {
        let mark = format!("[{level}] ");
        if let Some((before, after)) = line.split_once(&mark) {
            return (level, format!("{before}{after}"));
        }
    }
    ("info", line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ffmpegs_levels_are_read() {
        assert_eq!(parse("[error] no such file"), ("error", "no such file".to_owned()));
        assert_eq!(parse("[flv @ 0x1] [warning] late"), ("warning", "[flv @ 0x1] late".to_owned()));
        assert_eq!(parse("plain"), ("info", "plain".to_owned()));
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let output = Output::default();
        for n in 0..250 {
            let level = if n == 3 { "error" } else { "info" };
            output.push(Line { at: Timestamp::default(), level, text: n.to_string() });
        }
        let lines = output.lines();
        assert_eq!((lines.len(), lines[0].text.as_str(), lines[199].text.as_str()), (200, "50", "249"));
        assert_eq!(output.last_error().as_deref(), Some("3"));
    }
}
