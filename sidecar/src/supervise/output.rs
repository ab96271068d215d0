//! What programs write to standard error: read line by line, and the last lines of it kept.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use weir_model::{Secret, Timestamp};

use super::mask::masked;

/// Older lines are forgotten.
const MAX_LINES: usize = 200;
/// The rest of a longer line is cut off.
const MAX_LINE: usize = 1000;
/// A line without an end must not fill the memory.
const MAX_READ: u64 = 64 << 10;
/// So many lines in so long; what is more is counted.
const MOST_LINES: u64 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// What ffmpeg says after it has said what was wrong.
const AFTERWARDS: [&str; 2] = ["Conversion failed!", "To ignore this"];

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

/// What a line means, where that is why a run fails.
pub type Explain = fn(&str) -> Option<String>;

/// Finds a secret in a line.
pub type Overhear = fn(&str) -> Option<Secret>;

/// Lines, as they come.
#[derive(Debug, Default)]
pub struct Output {
    kept: Mutex<Kept>,
    explain: OnceLock<Explain>,
    /// A masked text of which nothing is to be kept.
    hidden: OnceLock<String>,
    overhear: OnceLock<Overhear>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    /// The last error of the run.
    error: Option<String>,
    /// What the first line means that could be explained.
    explained: Option<String>,
    /// What was overheard in this run.
    secret: Option<Secret>,
    /// When the lines of this window began, how many there were, and how many were left out.
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
        (self.error, self.explained, self.secret) = (None, None, None);
    }

    fn reason(&self) -> Option<String> {
        self.explained.clone().or_else(|| self.error.clone())
    }
}

impl Output {
    /// Errors are told in the words of this function from now on, where it has any.
    pub fn explain(&self, explain: Explain) {
        let _ = self.explain.set(explain);
    }

    /// This URL is not to be seen in lines, whatever in it may be secret.
    pub fn hide(&self, url: &str) {
        let _ = self.hidden.set(masked(url));
    }

    /// A program that runs with `-loglevel level+verbose` tells a secret. No line with one is kept, and none below a warning.
    pub fn overhear(&self, find: Overhear) {
        let _ = self.overhear.set(find);
    }

    /// The secret that this run of the program has told.
    pub fn secret(&self) -> Option<Secret> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).secret.clone()
    }

    /// Whether a line must not be told: see [`Self::overhear`].
    pub fn is_confidential(&self, line: &str) -> bool {
        let Some(find) = self.overhear.get() else { return false };
        if let Some(secret) = find(line) {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).secret = Some(secret);
            return true;
        }
        ["[verbose]", "[info]"].iter().any(|level| line.contains(level))
    }

    /// A line without what is hidden.
    pub fn without_hidden(&self, line: &str) -> String {
        match self.hidden.get() {
            Some(hidden) => line.replace(hidden, "the url of the input"),
            None => line.to_owned(),
        }
    }

    /// Keeps a line.
    pub fn push(&self, line: Line) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.note(line.level, &line.text, self.explain.get().copied());
        if kept.lines.len() == MAX_LINES {
            kept.lines.pop_front();
        }
        kept.lines.push_back(line);
    }

    /// Keeps a line that says why the run fails, whatever the program says of it.
    pub fn push_reason(&self, line: Line) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .explained
            .get_or_insert_with(|| line.text.clone());
        self.push(line);
    }

    /// Knows a line that is not kept.
    pub fn note(&self, level: &str, text: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).note(
            level,
            text,
            self.explain.get().copied(),
        );
    }

    /// Oldest first.
    pub fn lines(&self) -> Vec<Line> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).lines.iter().cloned().collect()
    }

    /// A run of the program begins.
    pub fn begin(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).begin();
    }

    /// What the program said last of why its run fails.
    pub fn error_of_run(&self) -> Option<String> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).reason()
    }

    /// Whether one more line may be kept at `now`; if not, it is counted. A program that says the same for each frame would
    /// fill the log.
    pub fn admits(&self, now: Instant) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.window.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            (kept.window, kept.said) = (Some(now), 0);
        }
        kept.said += 1;
        let may = kept.said <= MOST_LINES;
        kept.left_out += u64::from(!may);
        may
    }

    /// How many lines were left out until now, once their window is over.
    pub fn left_out(&self, now: Instant) -> Option<u64> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = kept.window.is_none_or(|since| now.duration_since(since) >= WINDOW);
        (is_over && kept.left_out > 0).then(|| std::mem::take(&mut kept.left_out))
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
