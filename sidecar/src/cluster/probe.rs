//! Checks whether the edges that the configuration lists are live.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::interval;

use crate::config::cluster::ListedEdge;
use crate::http;

/// Interval of the checks, and time limit of an edge's answer.
const ASK: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_millis(1500);
/// Number of failed checks in a row after which an edge counts as gone.
const FAILURES: u32 = 2;

/// A listed edge, and whether it is live.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) edge: ListedEdge,
    lives: AtomicBool,
}

impl Listed {
    /// Returns a listed edge. It counts as live before the first check.
    pub(super) fn new(edge: ListedEdge) -> Arc<Self> {
        Arc::new(Self { edge, lives: AtomicBool::new(true) })
    }

    pub(super) fn lives(&self) -> bool {
        self.lives.load(Ordering::Relaxed)
    }
}

/// Checks one edge repeatedly. Calls `changed` after each change.
pub(super) async fn run(listed: Arc<Listed>, changed: impl Fn()) {
    let Ok(client) = http::client().timeout(TIMEOUT).build() else { return };
    let edge = &listed.edge;
    let url = format!("{}{}", edge.address.as_str(), edge.check);
    let (mut failures, mut ticks) = (0, interval(ASK));
    loop {
        ticks.tick().await;
        let answer = client.get(&url).send().await;
        // Any answer except a server error shows that the edge serves.
        let lives = answer.as_ref().is_ok_and(|answer| !answer.status().is_server_error());
        failures = if lives { 0 } else { failures + 1 };
        let now = lives || (failures < FAILURES && listed.lives());
        if listed.lives.swap(now, Ordering::Relaxed) != now {
            match answer {
                Err(error) => tracing::warn!("edge lost: {}, edge: {}", http::innermost(&error), edge.name),
                Ok(answer) if !now => {
                    tracing::warn!("edge lost: status {}, edge: {}", answer.status(), edge.name)
                }
                Ok(_) => tracing::info!("edge answers again, edge: {}", edge.name),
            }
            changed();
        }
    }
}
