//! The log: to journald with fields, or as lines of text or JSON.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::{Daemon, LogFormat};

/// From now on `tracing` writes there.
pub fn init(config: &Daemon) -> Result<(), String> {
    // What libraries say is of interest when it is a warning.
    let level = Targets::new().with_target("weir", config.log_level).with_default(LevelFilter::WARN);
    let text = || tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format(config.log) {
        LogFormat::Journald => Box::new(tracing_journald::layer().map_err(|error| error.to_string())?),
        LogFormat::Json => Box::new(text().json().flatten_event(true)),
        LogFormat::Text | LogFormat::Auto => Box::new(text()),
    };
    let subscriber = Registry::default().with(layer.with_filter(level));
    tracing::subscriber::set_global_default(subscriber).map_err(|error| error.to_string())
}

/// systemd says by this variable that standard error is the journal.
fn format(asked: LogFormat) -> LogFormat {
    match asked {
        LogFormat::Auto if std::env::var_os("JOURNAL_STREAM").is_some() => LogFormat::Journald,
        other => other,
    }
}
