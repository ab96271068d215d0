//! Why the servers of an event are not as they should be.

use std::path::PathBuf;
use std::time::Duration;

use crate::daemon::client;
use crate::http;

/// What a provider answers instead of what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    /// No token.
    #[error(
        "HCLOUD_TOKEN is not set: create a token with read and write access in the project at Hetzner, and put it into the environment"
    )]
    NoToken,
    /// Not this token.
    #[error(
        "the provider does not accept the token ({0}): check HCLOUD_TOKEN, which needs read and write access"
    )]
    Token(String),
    /// The name is taken by something else.
    #[error("the name is taken: {0}")]
    Taken(String),
    /// In the provider's words, for good.
    #[error("the provider refuses: {message} ({code}, status {status})")]
    Refused {
        /// Of HTTP; 0 of a program.
        status: u16,
        /// For programs.
        code: String,
        /// For people.
        message: String,
    },
    /// In the provider's words, for now.
    #[error("the provider is busy: {message} ({code}, status {status})")]
    Busy {
        /// Of HTTP; 0 of a program.
        status: u16,
        /// For programs.
        code: String,
        /// For people.
        message: String,
        /// When to ask again, where the provider says so.
        after: Option<Duration>,
    },
    /// No answer: nobody knows whether the request was carried out.
    #[error("no answer from the provider: {0}")]
    Away(String),
    /// An answer that makes no sense.
    #[error("the provider's answer makes no sense: {0}")]
    Nonsense(String),
    /// Something that the file names is not there.
    #[error("{key} = {name:?}: there is none with this name in the project")]
    Missing {
        /// Of the event's file.
        key: &'static str,
        /// As given.
        name: String,
    },
}

impl CloudError {
    /// Whether the same request cannot succeed later.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Busy { .. } | Self::Away(_))
    }

    /// The wait before the next try of a request that may succeed later: 0.5 s and doubled each time, up to 30 s; or what the provider
    /// says, up to 10 minutes.
    pub fn wait(&self, failures: u32) -> Duration {
        match self {
            Self::Busy { after: Some(after), .. } => (*after).min(Duration::from_secs(600)),
            _ => Duration::from_millis(500 << failures.min(6)).min(Duration::from_secs(30)),
        }
    }
}

/// Why the servers of an event are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The provider.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The origin's daemon.
    #[error("the origin: {0}")]
    Origin(#[from] client::Error),
    /// Its answer.
    #[error("the origin: {0}")]
    Answer(String),
    /// A file.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another run.
    #[error("another weir fleet works on this event ({} is locked)", .0.display())]
    Locked(PathBuf),
    /// The event.
    #[error("the event has ended at {0}: change end, or delete the servers with weir fleet down")]
    Over(weir_model::Timestamp),
    /// The money, or the number.
    #[error(
        "{wanted} servers are wanted and {affordable} fit: budget is {budget} EUR, {committed} EUR are spent or planned, max_edges is {max}"
    )]
    Budget {
        /// So many more.
        wanted: u32,
        /// So many more are allowed.
        affordable: u32,
        /// In euros.
        budget: u32,
        /// Likewise.
        committed: String,
        /// Servers at once.
        max: u32,
    },
    /// Some do not serve.
    #[error("{0}")]
    NotReady(String),
    /// A program of the file.
    #[error("{what}: {why}")]
    Program {
        /// Which.
        what: &'static str,
        /// What went wrong.
        why: String,
    },
    /// No HTTP client.
    #[error("no HTTP client: {0}")]
    Http(String),
}

impl From<reqwest::Error> for CloudError {
    fn from(error: reqwest::Error) -> Self {
        Self::Away(http::innermost(&error))
    }
}
