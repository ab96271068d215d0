//! What is found of one part.

use std::fmt;

use crate::health::Unhealthy;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// All is well.
    Ok,
    /// It works, and is better done otherwise; or it could not be looked at.
    Hint,
    /// Something does not work, or is open to strangers.
    Problem,
}

impl State {
    /// `ok`, `hint` or `problem`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Hint => "hint",
            Self::Problem => "problem",
        }
    }
}

/// What is found of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The part: `nginx`, `configuration`, `api`, `rtmp`, `ports`, `daemon`, `pages`, `hls`, `cluster`, `clock`, `disk`.
    pub(crate) part: &'static str,
    /// How much it matters.
    pub(crate) state: State,
    /// What is so.
    pub(crate) message: String,
    /// What to do; nothing where all is well.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(part: &'static str, message: impl Into<String>) -> Self {
        Self { part, state: State::Ok, message: message.into(), remedy: None }
    }

    pub(super) fn hint(part: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { part, state: State::Hint, message: message.into(), remedy: Some(remedy.into()) }
    }

    /// What a check of the health says.
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
    /// `problem: nginx: MESSAGE: REMEDY`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.state.as_str(), self.part, self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, ": {remedy}"),
            None => Ok(()),
        }
    }
}
