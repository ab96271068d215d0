//! The log: to journald with fields, or as lines of text or JSON.

use std::os::fd::AsFd;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::{Daemon, LogFormat};

/// Error that keeps the log from being written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// journald does not run, or cannot be reached.
    #[error("journald cannot be reached: {0}; log = \"text\" writes to standard error")]
    Journald(std::io::Error),
    /// Another log was set up already.
    #[error(transparent)]
    Taken(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Sets up `tracing` to write to the configured log.
pub(crate) fn init(config: &Daemon) -> Result<(), Error> {
    // Libraries log warnings and errors only. Remote clients can cause any number of warnings in these libraries, so only their
    // errors are logged.
    let quiet = ["str0m", "is::", "dimpl", "sctp_proto"].map(|target| (target, LevelFilter::ERROR));
    let level = Targets::new()
        .with_target("weir", config.log_level)
        .with_targets(quiet)
        .with_default(LevelFilter::WARN);
    let text = || tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format(config.log) {
        LogFormat::Journald => Box::new(tracing_journald::layer().map_err(Error::Journald)?),
        LogFormat::Json => Box::new(text().json().flatten_event(true)),
        LogFormat::Text | LogFormat::Auto => Box::new(text()),
    };
    let subscriber = Registry::default().with(layer.with_filter(level));
    Ok(tracing::subscriber::set_global_default(subscriber)?)
}

/// Sets up the log of a command that runs for a while: lines on standard error.
pub(crate) fn to_standard_error() -> Result<(), Error> {
    let level = Targets::new().with_target("weir", LevelFilter::INFO).with_default(LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let subscriber = Registry::default().with(lines.with_filter(level));
    Ok(tracing::subscriber::set_global_default(subscriber)?)
}

/// Chooses the format. systemd sets this variable to the device and inode of the journal. A process that a service started has
/// inherited the variable even if its standard error leads elsewhere (systemd.exec(5)).
fn format(asked: LogFormat) -> LogFormat {
    let journal = || std::env::var("JOURNAL_STREAM").ok();
    match asked {
        LogFormat::Auto if journal().is_some_and(|at| leads_to(&at, std::io::stderr())) => {
            LogFormat::Journald
        }
        other => other,
    }
}

/// Returns whether an output leads to `DEVICE:INODE`.
fn leads_to(place: &str, output: impl AsFd) -> bool {
    nix::sys::stat::fstat(output).is_ok_and(|there| place == format!("{}:{}", there.st_dev, there.st_ino))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_journal_is_where_the_output_leads_and_not_what_was_inherited() {
        let file = tempfile::tempfile().unwrap();
        let there = file.metadata().unwrap();
        assert!(leads_to(&format!("{}:{}", there.dev(), there.ino()), &file));
        for elsewhere in [format!("{}:{}", there.dev(), there.ino() + 1), "9:1".into(), String::new()] {
            assert!(!leads_to(&elsewhere, &file), "{elsewhere}");
        }
    }
}
