//! `weir doctor`: what is wrong with this installation, a line each, with the remedy.
//!
//! Each file looks at one part. What a part says of what it has seen is a pure function; only the looking asks the machine.

use std::fmt;
use std::path::PathBuf;

use weir_model::lint;

use crate::files::configuration::Disk;
use crate::nginx::Nginx;

mod api;
mod clock;
mod configuration;
mod daemon;
mod ports;
mod trial;

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Installation {
    /// The nginx program: a path, or a name that is looked for in `PATH`.
    pub(crate) nginx: PathBuf,
    /// Its main configuration file.
    pub(crate) conf: PathBuf,
    /// `weir.toml`; without the file, no daemon is expected.
    pub(crate) config: PathBuf,
    /// The daemon's socket.
    pub(crate) socket: PathBuf,
}

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
    /// The part: `nginx`, `configuration`, `api`, `ports`, `daemon`, `clock`.
    pub(crate) part: &'static str,
    /// How much it matters.
    pub(crate) state: State,
    /// What is so.
    pub(crate) message: String,
    /// What to do; nothing where all is well.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    fn ok(part: &'static str, message: impl Into<String>) -> Self {
        Self { part, state: State::Ok, message: message.into(), remedy: None }
    }

    fn hint(part: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { part, state: State::Hint, message: message.into(), remedy: Some(remedy.into()) }
    }

    fn problem(part: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
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

/// Looks at all parts, from nginx's configuration to the clock.
pub(crate) async fn examine(installation: &Installation, nginx: &Nginx) -> Vec<Finding> {
    let mut found = trial::examine(&installation.nginx, &installation.conf).await;
    match lint::read(&installation.conf, &Disk) {
        Ok(tree) => {
            found.extend(configuration::examine(&tree));
            found.extend(api::examine(nginx).await);
            found.extend(ports::examine(&tree).await);
        }
        // The trial has said what is wrong with it, unless it is not ours to read.
        Err(error) => {
            let remedy = "run weir doctor as root, or name the file with --conf";
            found.push(Finding::problem("configuration", error.to_string(), remedy));
            found.extend(api::examine(nginx).await);
        }
    }
    found.extend(daemon::examine(&installation.config, &installation.socket).await);
    found.extend(clock::examine().await);
    found
}
