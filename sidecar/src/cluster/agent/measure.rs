//! Keeps the report of an edge up to date: its load, its viewers and its streams, and whether its nginx answers.

use std::sync::{Arc, PoisonError};

use tokio::time::error::Elapsed;
use tokio::time::{MissedTickBehavior, interval, timeout};
use weir_model::snapshot::StreamSnapshot;

use super::{NGINX, Shared};
use crate::cluster::figures::{self, Gauge, UNREACHABLE};
use crate::cluster::machine::Meter;
use crate::cluster::store::RENEW;
use crate::config::Config;
use crate::nginx::Error;

/// Number of looks in a row without an answer after which nginx counts as gone.
const SILENT: u32 = 2;

impl Shared {
    /// Keeps the report up to date.
    pub(super) async fn measure(self: Arc<Self>, config: Arc<Config>) {
        let (gauge, folders) = (Gauge::default(), figures::folders(&config));
        let (meter, mut ticks) = (Meter::default(), interval(RENEW / 2));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut presence = Presence::default();
        loop {
            ticks.tick().await;
            let busy = meter.look();
            let (mut viewers, mut streams, mut look) = (None, None, Look::Silent);
            if let Some(nginx) = &self.nginx {
                let counted = timeout(NGINX, nginx.count_viewers()).await;
                if let Ok(Ok(all)) = &counted {
                    viewers = Some(u32::try_from(*all).unwrap_or(u32::MAX));
                }
                let listed = timeout(NGINX, nginx.streams()).await.map(|listed| listed.map(|all| all.value));
                look = Look::of(&counted).max(Look::of(&listed));
                if let Ok(Ok(all)) = listed {
                    let path = |stream: StreamSnapshot| format!("{}/{}", stream.app, stream.name);
                    streams = Some(all.streams.into_iter().map(path).collect());
                }
            }
            let figures = gauge.read(self.nginx.as_ref(), folders.clone()).await;
            // A busy nginx may answer the third request.
            if figures.nginx.as_ref().is_some_and(|health| health.status != UNREACHABLE) {
                look = Look::Answers;
            }
            if presence.note(look) {
                presence.tell(&self.edge.name);
            }
            let drain = std::fs::read_to_string(&self.edge.drain_file).unwrap_or_default();
            let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
            (report.load, report.egress) = (busy.load, busy.egress);
            report.viewers = viewers.unwrap_or(report.viewers);
            report.streams = streams.unwrap_or_else(|| std::mem::take(&mut report.streams));
            // Origins of all versions send no viewers to an edge that drains.
            report.draining = is_draining(&drain) || presence.is_gone;
            report.figures = Some(figures);
        }
    }
}

/// Returns whether keepalived's `track_file` asks for a drain: any number but 0.
fn is_draining(text: &str) -> bool {
    text.trim().parse::<i64>().is_ok_and(|number| number != 0)
}

/// Outcome of a look at this edge's nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    Silent,
    /// No program listens at the address of the API.
    Refused,
    Answers,
}

impl Look {
    fn of<T>(answer: &Result<Result<T, Error>, Elapsed>) -> Self {
        match answer {
            Ok(Err(Error::Unreachable { why, .. })) if why.contains("refused") => Self::Refused,
            Err(_) | Ok(Err(Error::Unreachable { .. })) => Self::Silent,
            Ok(_) => Self::Answers,
        }
    }
}

/// Whether this edge's nginx answers.
#[derive(Debug, Default)]
struct Presence {
    has_answered: bool,
    /// Number of looks without an answer since the last one with an answer.
    silent: u32,
    is_gone: bool,
}

impl Presence {
    /// Notes a look, and returns whether nginx is gone or back since it.
    fn note(&mut self, look: Look) -> bool {
        let was_gone = self.is_gone;
        match look {
            Look::Answers => *self = Self { has_answered: true, ..Self::default() },
            // Without any answer so far, the API may be off: only a refusal shows that no nginx runs.
            Look::Silent if !self.has_answered => self.silent = 0,
            Look::Silent | Look::Refused => {
                self.silent = self.silent.saturating_add(1);
                self.is_gone |= self.silent >= SILENT;
            }
        }
        self.is_gone != was_gone
    }

    fn tell(&self, edge: &str) {
        match self.is_gone {
            true => tracing::warn!(
                "edge takes no viewers: its nginx does not answer: start nginx on this machine, edge: {edge}"
            ),
            false => tracing::info!("edge takes viewers again: its nginx answers, edge: {edge}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_track_file_drains() {
        assert!(is_draining("-100\n") && is_draining("5") && !is_draining("0\n") && !is_draining(""));
    }

    #[test]
    fn an_nginx_that_stops_is_gone_after_two_looks() {
        use Look::{Answers, Refused, Silent};
        let news = |looks: &[Look]| {
            let mut presence = Presence::default();
            looks.iter().map(|look| presence.note(*look)).collect::<Vec<_>>()
        };
        assert_eq!(news(&[Answers, Refused, Refused, Refused]), [false, false, true, false]);
        assert_eq!(news(&[Answers, Silent, Answers, Silent, Silent]), [false, false, false, false, true]);
        assert_eq!(news(&[Refused, Refused, Answers, Answers]), [false, true, true, false]);
        assert_eq!(news(&[Silent, Silent, Silent]), [false; 3], "an edge without an API");
    }
}
