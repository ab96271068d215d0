//! Follows keepalived's notifications in the background.

use tokio::task::JoinHandle;

use crate::config::Config;
use crate::health::fifo::{self, Fifo, Report};
use crate::nginx::Nginx;

/// Follows the FIFO until it is dropped.
pub(super) struct Notifier(JoinHandle<()>);

impl Drop for Notifier {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Notifier {
    /// Starts if the configuration names a FIFO. If the FIFO cannot be followed, the daemon logs an error and continues: its jobs
    /// do not depend on the FIFO.
    pub(super) fn start(config: &Config) -> Option<Self> {
        let notify = config.notify.clone()?;
        let at = &config.nginx;
        let nginx = Nginx::of_configuration(at.api.clone(), at.api_token_file.as_deref());
        let nginx = nginx.inspect_err(|error| tracing::error!("keepalived is not followed: {error}")).ok()?;
        let fifo = Fifo::open(&notify.fifo);
        let fifo = fifo.inspect_err(|error| tracing::error!("keepalived is not followed: {error}")).ok()?;
        tracing::info!("following keepalived, fifo: {}", notify.fifo.display());
        Some(Self(tokio::spawn(async move {
            let error = fifo::follow(fifo, &nginx, &notify.targets, notify.only.as_ref(), log).await;
            tracing::error!("keepalived is not followed any more: {error}");
        })))
    }
}

fn log(report: Report) {
    match report {
        Report::Told(notice) => tracing::info!("keepalived: {} is {}", notice.who, notice.role),
        Report::Done(role, changed) => tracing::info!("push targets are {role}: {changed}"),
        Report::Again(error, pause) => {
            tracing::warn!("push targets not changed: {error}; again in {} ms", pause.as_millis());
        }
        Report::Refused(error) => tracing::error!("push targets not changed: {error}"),
        Report::NotANotice => tracing::warn!("not a line of keepalived's, ignored"),
    }
}
