//! Findings of the checks.

use std::fmt;

use crate::health::Unhealthy;

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// The part works.
    Ok,
    /// The part works but can be improved, or it could not be checked.
    Hint,
    /// The part does not work, or is open to strangers.
    Problem,
}

impl State {
    /// Returns `ok`, `hint` or `problem`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Hint => "hint",
            Self::Problem => "problem",
        }
    }
}

/// The result of a check of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The part: `nginx`, `configuration`, `api`, `rtmp`, `ports`, `daemon`, `pages`, `hls`, `cluster`, `clock`, `disk`.
    pub(crate) part: &'static str,
    /// Severity.
    pub(crate) state: State,
    /// Result.
    pub(crate) message: String,
    /// Remedy; `None` if the part works.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(part: &'static str, message: impl Into<String>) -> Self {
        Self { part, state: State::Ok, message: message.into(), remedy: None }
    }

    pub(super) fn hint(part: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { part, state: State::Hint, message: message.into(), remedy: Some(remedy.into()) }
    }

    /// Converts the result of a health check.
    pub(super) fn of(part: &'static str, result: Result<String, Unhealthy>, remedy: &str) -> Self {
        match result {
            Ok(said) => Self::ok(part, said),
            Err(why) => Self::problem(part, why.to_string(), remedy),
        }
    }

    pub(super) fn problem(part: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { part, state: State::Problem, message: message.into(), remedy: Some(remedy.into()) }
    }
}

impl fmt::Display for Finding {
    /// Writes `problem: nginx: MESSAGE: REMEDY`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.state.as_str(), self.part, self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, ": {remedy}"),
            None => Ok(()),
        }
    }
}
