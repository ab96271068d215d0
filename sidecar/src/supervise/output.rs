//! What programs write to standard error: read line by line, and the last lines of it kept.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use weir_model::Timestamp;

use super::mask::masked;

/// Older lines are forgotten.
const MAX_LINES: usize = 200;
/// The rest of a longer line is cut off.
const MAX_LINE: usize = 1000;
/// A line without an end must not fill the memory.
const MAX_READ: u64 = 64 << 10;

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

/// Reads until nobody can write any more; `take` is given each line, without secrets.
pub async fn listen(stderr: impl AsyncRead + Unpin, mut take: impl FnMut(String)) {
    let mut input = BufReader::with_capacity(2048, stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut input).take(MAX_READ).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text: String = String::from_utf8_lossy(&line).chars().take(MAX_LINE).collect();
        take(masked(text.trim_end()));
    }
}

/// Level and text of a line as ffmpeg writes it with `-loglevel level+...`: `[flv @ 0x5581] [error] text`.
pub fn parse(line: &str) -> (&'static str, String) {
    for level in ["info", "warning", "error", "fatal"] {
        if let Some((before, after)) = line.split_once(&format!("[{level}]")) {
            return (level, format!("{before}{}", after.strip_prefix(' ').unwrap_or(after)));
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
        // What ffmpeg writes between two paragraphs.
        assert_eq!(parse("[error]"), ("error", String::new()));
    }

    #[tokio::test]
    async fn lines_are_masked_and_neither_length_nor_bytes_matter() {
        let long = "x".repeat(200_000);
        let text = format!("rtmp://h/live/wk_abcdefghijklmnop\r\n\n{long}\nlast \u{fc}");
        let mut said = Vec::new();
        listen(&[text.as_bytes(), b"\xff"].concat()[..], |line| said.push(line)).await;
        assert_eq!(said.iter().take(2).collect::<Vec<_>>(), ["rtmp://h/live/***", ""]);
        assert_eq!(said.last().map(String::as_str), Some("last \u{fc}\u{fffd}"));
        assert!(said.iter().all(|line| line.chars().count() <= MAX_LINE));
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
