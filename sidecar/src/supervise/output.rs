//! The standard error of programs: it is read line by line, and the last lines are kept.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use weir_model::{Secret, Timestamp};

use super::mask::masked;

/// Most lines that are kept.
const MAX_LINES: usize = 200;
/// Most bytes of a line. The rest is cut off.
const MAX_LINE: usize = 1000;
/// Most bytes that are read without a line end, so that such a line cannot fill the memory.
const MAX_READ: u64 = 64 << 10;
/// Most lines that are kept per `WINDOW`. Further lines are only counted.
const MOST_LINES: u64 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// Lines that ffmpeg writes after the actual error.
const AFTERWARDS: [&str; 2] = ["Conversion failed!", "To ignore this"];

/// A line of a program.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    /// Time at which the line was read.
    pub at: Timestamp,
    /// ffmpeg's level: `info`, `warning`, `error` or `fatal`.
    pub level: &'static str,
    /// Text without secrets.
    pub text: String,
}

/// Returns the meaning of a line that says why a run fails.
pub(crate) type Explain = fn(&str) -> Option<String>;

/// Returns the secret in a line.
pub(crate) type Overhear = fn(&str) -> Option<Secret>;

/// The lines of a program.
#[derive(Debug, Default)]
pub(crate) struct Output {
    kept: Mutex<Kept>,
    explain: OnceLock<Explain>,
    /// A masked text that is removed from lines.
    hidden: OnceLock<String>,
    overhear: OnceLock<Overhear>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    /// The last error of the run.
    error: Option<String>,
    /// Explanation of the first line that has one.
    explained: Option<String>,
    /// The secret that the program wrote in this run.
    secret: Option<Secret>,
    /// The line with the secret is not complete.
    is_inside: bool,
    /// Start of the current window, number of its lines, and number of the lines that were left out.
    window: Option<Instant>,
    said: u64,
    left_out: u64,
}

impl Kept {
    fn note(&mut self, level: &str, text: &str, explain: Option<Explain>) {
        let is_error = matches!(level, "error" | "fatal");
        if let Some(explain) = explain.filter(|_| is_error && self.explained.is_none()) {
            self.explained = explain(text);
        }
        if is_error && !AFTERWARDS.iter().any(|after| text.contains(after)) {
            self.error = Some(text.to_owned());
        }
    }

    fn begin(&mut self) {
        (self.error, self.explained, self.secret, self.is_inside) = (None, None, None, false);
    }

    fn reason(&self) -> Option<String> {
        self.explained.clone().or_else(|| self.error.clone())
    }
}

impl Output {
    /// Sets the function that explains errors.
    pub(crate) fn explain(&self, explain: Explain) {
        let _ = self.explain.set(explain);
    }

    /// Hides this URL in lines, with or without secrets in it.
    pub(crate) fn hide(&self, url: &str) {
        let _ = self.hidden.set(masked(url));
    }

    /// Sets the function that finds a secret in the lines of a program that runs with `-loglevel level+verbose`. Lines with a secret, and
    /// lines below a warning, are not kept.
    pub(crate) fn overhear(&self, find: Overhear) {
        let _ = self.overhear.set(find);
    }

    /// Returns the secret that the program wrote in this run.
    pub(crate) fn secret(&self) -> Option<Secret> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).secret.clone()
    }

    /// Returns whether a line must not be logged: see [`Self::overhear`].
    pub(crate) fn is_confidential(&self, line: &str) -> bool {
        let Some(find) = self.overhear.get() else { return false };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = find(line);
        if found.is_none() && !kept.is_inside {
            return ["[verbose]", "[info]"].iter().any(|level| line.contains(level));
        }
        // A sender may put line ends into its text. The line of libavformat ends with a length.
        kept.is_inside = !line.ends_with(|last: char| last.is_ascii_digit());
        kept.secret = found.or_else(|| kept.secret.take());
        true
    }

    /// Returns a line without the hidden URL.
    pub(crate) fn without_hidden(&self, line: &str) -> String {
        match self.hidden.get() {
            Some(hidden) => line.replace(hidden, "the url of the input"),
            None => line.to_owned(),
        }
    }

    /// Stores a line.
    pub(crate) fn push(&self, line: Line) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.note(line.level, &line.text, self.explain.get().copied());
        if kept.lines.len() == MAX_LINES {
            kept.lines.pop_front();
        }
        kept.lines.push_back(line);
    }

    /// Stores a line that says why the run fails. It takes precedence over the program's own lines.
    pub(crate) fn push_reason(&self, line: Line) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .explained
            .get_or_insert_with(|| line.text.clone());
        self.push(line);
    }

    /// Uses a line for the reason of the run without storing it.
    pub(crate) fn note(&self, level: &str, text: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).note(
            level,
            text,
            self.explain.get().copied(),
        );
    }

    /// Returns the stored lines, the oldest first.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).lines.iter().cloned().collect()
    }

    /// Notes that a run of the program begins.
    pub(crate) fn begin(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).begin();
    }

    /// Returns the last reason that the program gave for the failure of its run.
    pub(crate) fn error_of_run(&self) -> Option<String> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).reason()
    }

    /// Returns whether one more line may be kept at `now`, and counts the line if not. A program that repeats a line for each frame would
    /// fill the log.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.window.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            (kept.window, kept.said) = (Some(now), 0);
        }
        kept.said += 1;
        let may = kept.said <= MOST_LINES;
        kept.left_out += u64::from(!may);
        may
    }

    /// Returns how many lines were left out, once their window is over.
    pub(crate) fn left_out(&self, now: Instant) -> Option<u64> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = kept.window.is_none_or(|since| now.duration_since(since) >= WINDOW);
        (is_over && kept.left_out > 0).then(|| std::mem::take(&mut kept.left_out))
    }
}

/// Reads lines until the other end is closed. Calls `take` with each line, without secrets.
pub(crate) async fn listen(stderr: impl AsyncRead + Unpin, mut take: impl FnMut(String)) {
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

/// Returns level and text of a line that ffmpeg writes with `-loglevel level+...`: `[flv @ 0x5581] [error] text`.
pub(crate) fn parse(line: &str) -> (&'static str, String) {
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
        // ffmpeg writes this between two paragraphs.
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
        assert_eq!(output.error_of_run().as_deref(), Some("3"));
        output.push(Line { at: Timestamp::default(), level: "error", text: "Conversion failed!".into() });
        output.push(Line { at: Timestamp::default(), level: "warning", text: "deprecated".into() });
        assert_eq!(output.error_of_run().as_deref(), Some("3"));
        output.begin();
        assert_eq!(output.error_of_run(), None);
    }

    #[test]
    fn a_flood_of_lines_is_counted_and_told_of_in_one() {
        let output = Output::default();
        let start = Instant::now();
        let admitted = (0..1000).filter(|_| output.admits(start)).count() as u64;
        assert_eq!((admitted, output.left_out(start)), (MOST_LINES, None));
        assert_eq!(output.left_out(start + WINDOW), Some(1000 - MOST_LINES));
        assert_eq!(output.left_out(start + WINDOW), None);
        assert!(output.admits(start + WINDOW));
    }
}
