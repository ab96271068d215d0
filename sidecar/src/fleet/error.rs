//! Errors of the work on an event's servers.

use std::path::PathBuf;
use std::time::Duration;

use crate::daemon::client;
use crate::http;

/// Error of a provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CloudError {
    /// There is no token.
    #[error(
        "HCLOUD_TOKEN is not set: create a token with read and write access in the project at Hetzner, and put it into the environment"
    )]
    NoToken,
    /// The provider does not accept the token.
    #[error(
        "the provider does not accept the token ({0}): check HCLOUD_TOKEN, which needs read and write access"
    )]
    Token(String),
    /// Another resource has the name.
    #[error("the name is taken: {0}")]
    Taken(String),
    /// The provider refuses the request permanently.
    #[error("the provider refuses: {message} ({code}, status {status})")]
    Refused {
        /// HTTP status; 0 for a program.
        status: u16,
        /// Code for programs.
        code: String,
        /// Message for people.
        message: String,
    },
    /// The provider refuses the request for now.
    #[error("the provider is busy: {message} ({code}, status {status})")]
    Busy {
        /// HTTP status; 0 for a program.
        status: u16,
        /// Code for programs.
        code: String,
        /// Message for people.
        message: String,
        /// Time until the next request, if the provider gives one.
        after: Option<Duration>,
    },
    /// There is no answer, so it is unknown whether the request was executed.
    #[error("no answer from the provider: {0}")]
    Away(String),
    /// The answer is not valid.
    #[error("the provider's answer makes no sense: {0}")]
    Nonsense(String),
    /// A resource that the event's file names does not exist.
    #[error("{key} = {name:?}: there is none with this name in the project")]
    Missing {
        /// Key in the event's file.
        key: &'static str,
        /// Name as given.
        name: String,
    },
}

impl CloudError {
    /// Returns whether the same request cannot succeed later.
    pub(crate) fn is_permanent(&self) -> bool {
        !matches!(self, Self::Busy { .. } | Self::Away(_))
    }

    /// Returns the wait before a request is repeated: 0.5 s, doubled with each failure, at most 30 s; or the provider's time, at most 10
    /// minutes.
    pub(crate) fn wait(&self, failures: u32) -> Duration {
        match self {
            Self::Busy { after: Some(after), .. } => (*after).min(Duration::from_secs(600)),
            _ => Duration::from_millis(500 << failures.min(6)).min(Duration::from_secs(30)),
        }
    }
}

/// Error of the work on an event's servers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The provider has reported an error.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The origin's daemon has reported an error.
    #[error("the origin: {0}")]
    Origin(#[from] client::Error),
    /// The answer of the origin's daemon is not usable.
    #[error("the origin: {0}")]
    Answer(String),
    /// A file cannot be used.
    #[error("{}: {why}", path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// The fault.
        why: String,
    },
    /// Another run works on the event.
    #[error("another weir fleet works on this event ({} is locked)", .0.display())]
    Locked(PathBuf),
    /// The event has ended.
    #[error("the event has ended at {0}: change end, or delete the servers with weir fleet down")]
    Over(weir_model::Timestamp),
    /// The budget or `max_edges` does not allow the servers.
    #[error(
        "{wanted} servers are wanted and {affordable} fit: budget is {budget} EUR, {committed} EUR are spent or planned, max_edges is {max}"
    )]
    Budget {
        /// Number of further servers that are needed.
        wanted: u32,
        /// Number of further servers that are allowed.
        affordable: u32,
        /// Budget in euros.
        budget: u32,
        /// Spent or planned, in euros.
        committed: String,
        /// Most simultaneous servers.
        max: u32,
    },
    /// Some edges do not serve.
    #[error("{0}")]
    NotReady(String),
    /// A program of the event's file has failed.
    #[error("{what}: {why}")]
    Program {
        /// Name of the program.
        what: &'static str,
        /// The fault.
        why: String,
    },
}

impl From<http::BodyError> for CloudError {
    fn from(error: http::BodyError) -> Self {
        Self::Away(error.to_string())
    }
}

impl From<reqwest::Error> for CloudError {
    fn from(error: reqwest::Error) -> Self {
        Self::Away(http::innermost(&error))
    }
}
