//! An advice on a place in the configuration.

use std::fmt;
use std::path::PathBuf;

use super::reader::Directive;

/// The severity of an advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Strangers may do harm. Weir also logs it when nginx starts.
    Danger,
    /// The setting does not have the effect that it seems to have. Weir also logs it when nginx starts.
    Warning,
    /// Another setting would be better.
    Hint,
    /// A limit of nginx-rtmp. The configuration may be correct.
    Note,
}

impl Severity {
    /// Returns `danger`, `warning`, `hint` or `note`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Danger => "danger",
            Self::Warning => "warning",
            Self::Hint => "hint",
            Self::Note => "note",
        }
    }
}

/// One recommended change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The file, as nginx names it.
    pub file: PathBuf,
    /// The line on which the directive begins, counted from 1.
    pub line: usize,
    /// The directive's name.
    pub directive: String,
    /// How serious the problem is.
    pub severity: Severity,
    /// The problem; the directive is the subject of the sentence.
    pub problem: String,
    /// The change that removes the problem.
    pub remedy: String,
}

impl Advice {
    pub(super) fn new(at: &Directive, severity: Severity, problem: String, remedy: &str) -> Self {
        Self {
            file: at.file.to_path_buf(),
            line: at.line,
            directive: at.name().to_owned(),
            severity,
            problem,
            remedy: remedy.to_owned(),
        }
    }

    /// Returns the advice as a line of nginx's error log, without the level.
    pub fn log_line(&self) -> String {
        let Self { file, line, directive, problem, remedy, .. } = self;
        format!("weir: \"{directive}\" in {}:{line} {problem}: {remedy}", file.display())
    }
}

/// `FILE:LINE: danger: problem: remedy`.
impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, directive, severity, problem, remedy } = self;
        let severity = severity.as_str();
        write!(f, "{}:{line}: {severity}: \"{directive}\" {problem}: {remedy}", file.display())
    }
}

/// Formats names for a sentence: the first three, and the number of the others.
pub(super) fn listed(names: &[&str]) -> String {
    let shown: Vec<_> = names.iter().take(3).map(|name| format!("\"{}\"", name.escape_debug())).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
