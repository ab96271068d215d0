//! Errors of commands.

use std::io;
use std::path::{Path, PathBuf};

use crate::admin::accounts;
use crate::{config, daemon, fleet, health, nginx, test_stream};

/// Exit status for wrong usage.
pub(crate) const WRONG_USAGE: u8 = 2;
/// Error code for wrong usage.
pub(crate) const USAGE: &str = "usage";

/// Error of a command; each message has one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The arguments are invalid.
    #[error("{0}")]
    Usage(String),
    /// The API refused the request, or does not answer.
    #[error(transparent)]
    Nginx(#[from] nginx::Error),
    /// A file cannot be read or written.
    #[error("{}{}: {why}", option.map(|option| format!("{option} ")).unwrap_or_default(), path.display())]
    File {
        /// Option that names the file; `None` for an argument without a name.
        option: Option<&'static str>,
        /// Path, as given.
        path: PathBuf,
        /// Reason.
        why: String,
    },
    /// Standard input has no valid content.
    #[error("standard input: {0}")]
    Input(String),
    /// The result cannot be printed.
    #[error("standard output: {source}{}", consequence.as_deref().unwrap_or_default())]
    Output {
        /// Message of the operating system.
        source: io::Error,
        /// Consequence, and how to recover.
        consequence: Option<String>,
    },
    /// An error of the operating system, such as missing random bytes.
    #[error("{0}")]
    System(String),
    /// The terminal cannot be used, or signals cannot be received.
    #[error("terminal: {0}")]
    Terminal(io::Error),
    /// nginx's configuration cannot be read.
    #[error(transparent)]
    Configuration(#[from] weir_model::lint::ReadError),
    /// A check failed.
    #[error(transparent)]
    Unhealthy(#[from] health::Unhealthy),
    /// The daemon cannot work with its configuration.
    #[error("{}: {problems}", path.display())]
    Check {
        /// Path of the configuration.
        path: PathBuf,
        /// Problems, on one line.
        problems: String,
    },
    /// An error with the accounts of the dashboard.
    #[error(transparent)]
    Accounts(#[from] accounts::Error),
    /// The file of an event is wrong.
    #[error(transparent)]
    EventFile(config::Error),
    /// An error with the servers of an event.
    #[error(transparent)]
    Fleet(#[from] fleet::error::Error),
    /// The daemon cannot run.
    #[error(transparent)]
    Daemon(#[from] daemon::Error),
    /// The daemon refused the request, or does not answer.
    #[error(transparent)]
    DaemonClient(#[from] daemon::client::Error),
    /// The test stream failed.
    #[error(transparent)]
    TestStream(#[from] test_stream::Error),
}

/// Fields and arguments of the API, with the options of the command line for them.
const OPTIONS: [(&str, &str); 13] = [
    ("action", "--action"),
    ("app", "APP"),
    ("ban_s", "--ban"),
    ("enabled", "--disabled"),
    ("expires_at", "--expires"),
    ("ip", "--ip"),
    ("note", "--note"),
    ("overlap_s", "--overlap"),
    ("publish_from", "--from"),
    ("server", "--server-block"),
    ("stream", "STREAM"),
    ("ttl_s", "--ttl"),
    ("url", "URL"),
];

/// Replaces the beginning `field "NAME": ` or `argument "NAME": ` of an API message with the name of the option.
fn with_option(message: String) -> String {
    let rest = ["field \"", "argument \""].iter().find_map(|kind| message.strip_prefix(kind));
    let named = rest.and_then(|rest| rest.split_once("\": "));
    let option = named.and_then(|(name, why)| {
        OPTIONS.iter().find(|(field, _)| *field == name).map(|(_, option)| format!("{option}: {why}"))
    });
    option.unwrap_or(message)
}

impl From<config::Error> for Error {
    /// weir.toml is wrong, or cannot be read.
    fn from(error: config::Error) -> Self {
        Self::Daemon(error.into())
    }
}

impl Error {
    /// Returns the error code for programs: the API's code if the API refused.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Usage(_) => USAGE,
            Self::TestStream(error) if error.is_usage() => USAGE,
            Self::Nginx(nginx::Error::Refused { code, .. }) => code,
            Self::Nginx(nginx::Error::Unreachable { .. } | nginx::Error::NotTheApi { .. }) => "unreachable",
            Self::DaemonClient(_) => "daemon",
            Self::Unhealthy(_) => "unhealthy",
            Self::Check { .. } | Self::Configuration(_) | Self::EventFile(_) => "configuration",
            Self::Daemon(daemon::Error::Config(_)) => "configuration",
            Self::Accounts(accounts::Error::File { .. } | accounts::Error::Damaged { .. })
            | Self::File { .. }
            | Self::Nginx(nginx::Error::TokenFile { .. }) => "file",
            _ => "failed",
        }
    }

    /// Returns the exit status: 2 for wrong usage, otherwise 1.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Configuration(_) => WRONG_USAGE,
            Self::TestStream(error) if error.is_usage() => WRONG_USAGE,
            _ => 1,
        }
    }

    /// Replaces the API's names of fields and arguments with the names of options.
    pub(super) fn in_words_of_the_command_line(self) -> Self {
        match self {
            Self::Nginx(nginx::Error::Refused { status, code, message }) => {
                Self::Nginx(nginx::Error::Refused { status, code, message: with_option(message) })
            }
            other => other,
        }
    }

    pub(super) fn file(path: &Path, why: impl ToString) -> Self {
        Self::File { option: None, path: path.into(), why: why.to_string() }
    }

    /// Creates the error for a file that an option names.
    pub(super) fn file_of(option: &'static str, path: &Path, why: impl ToString) -> Self {
        Self::File { option: Some(option), path: path.into(), why: why.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_api_name_the_options() {
        for (message, expected) in [
            (
                "argument \"ban_s\": expected seconds from 0 to 86400",
                "--ban: expected seconds from 0 to 86400",
            ),
            (
                "field \"expires_at\": expected a time in the future",
                "--expires: expected a time in the future",
            ),
            ("field \"stream\": empty name", "STREAM: empty name"),
            ("field \"colour\": unknown", "field \"colour\": unknown"),
            ("there is no key \"k1\"", "there is no key \"k1\""),
        ] {
            assert_eq!(with_option(message.to_owned()), expected);
        }
    }
}
