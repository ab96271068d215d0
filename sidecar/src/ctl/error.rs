//! Why a command did not do what it was asked for.

use std::io;
use std::path::{Path, PathBuf};

use crate::admin::accounts;
use crate::{config, daemon, fleet, health, nginx, test_stream};

/// Wrong usage, as an exit status.
pub const WRONG_USAGE: u8 = 2;
/// And as the code of an error.
pub const USAGE: &str = "usage";

/// Why a command did not do what it was asked for. One line each.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The API refused, or there is none.
    #[error(transparent)]
    Nginx(#[from] nginx::Error),
    /// A file cannot be read or written.
    #[error("{}{}: {why}", option.map(|option| format!("{option} ")).unwrap_or_default(), path.display())]
    File {
        /// What named it; none for an argument without a name.
        option: Option<&'static str>,
        /// As it was given.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Standard input has nothing fitting.
    #[error("standard input: {0}")]
    Input(String),
    /// The result cannot be printed.
    #[error("standard output: {source}{}", consequence.as_deref().unwrap_or_default())]
    Output {
        /// What the system says.
        source: io::Error,
        /// What is lost, and how to get it back.
        consequence: Option<String>,
    },
    /// The runtime, random bytes and such.
    #[error("{0}")]
    System(String),
    /// A terminal that cannot be written to, or no signals.
    #[error("terminal: {0}")]
    Terminal(io::Error),
    /// nginx's configuration cannot be read.
    #[error(transparent)]
    Configuration(#[from] weir_model::lint::ReadError),
    /// A token that cannot be minted.
    #[error("{0}")]
    Token(String),
    /// What was checked is not healthy.
    #[error(transparent)]
    Unhealthy(#[from] health::Unhealthy),
    /// The daemon could not work with its configuration.
    #[error("{}: {problems}", path.display())]
    Check {
        /// The configuration.
        path: PathBuf,
        /// What it could not use, on one line.
        problems: String,
    },
    /// The accounts of the dashboard.
    #[error(transparent)]
    Accounts(#[from] accounts::Error),
    /// The file of an event.
    #[error(transparent)]
    EventFile(config::Error),
    /// The servers of an event.
    #[error(transparent)]
    Fleet(#[from] fleet::error::Error),
    /// The daemon cannot run.
    #[error(transparent)]
    Daemon(#[from] daemon::Error),
    /// The daemon refused, or there is none.
    #[error(transparent)]
    DaemonClient(#[from] daemon::client::Error),
    /// The test stream ended otherwise than asked for.
    #[error(transparent)]
    TestStream(#[from] test_stream::Error),
}

/// Fields and arguments of the API, and how the commands call them.
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

/// A message of the API, which may begin with `field "NAME": ` or `argument "NAME": `, with the option in that place.
fn with_option(message: String) -> String {
    let rest = ["field \"", "argument \""].iter().find_map(|kind| message.strip_prefix(kind));
    let named = rest.and_then(|rest| rest.split_once("\": "));
    let option = named.and_then(|(name, why)| {
        OPTIONS.iter().find(|(field, _)| *field == name).map(|(_, option)| format!("{option}: {why}"))
    });
    option.unwrap_or(message)
}

impl Error {
    /// The kind of error, for programs: the API's own word where it refused.
    pub fn code(&self) -> &str {
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

    /// 2 for wrong usage, 1 for all else.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Configuration(_) => WRONG_USAGE,
            Self::TestStream(error) if error.is_usage() => WRONG_USAGE,
            _ => 1,
        }
    }

    /// The API names fields and arguments; whoever typed a command knows options.
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

    /// As [`file`](Self::file), of a file that an option names.
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
