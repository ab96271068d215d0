//! Edges that the configuration lists: whether they live is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::interval;

use crate::config::cluster::ListedEdge;
use crate::http;

/// Between questions, and how long an edge may take.
const ASK: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_millis(1500);
/// So many questions without an answer, and the edge is gone.
const FAILURES: u32 = 2;

/// A listed edge, and whether it lives.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) edge: ListedEdge,
    lives: AtomicBool,
}

impl Listed {
    /// One that was not asked yet lives.
    pub(super) fn new(edge: ListedEdge) -> Arc<Self> {
        Arc::new(Self { edge, lives: AtomicBool::new(true) })
    }

    pub(super) fn lives(&self) -> bool {
        self.lives.load(Ordering::Relaxed)
    }
}

/// Asks one edge again and again; each change goes to `changed`.
pub(super) async fn run(listed: Arc<Listed>, changed: impl Fn()) {
    let Ok(client) = http::client().timeout(TIMEOUT).build() else { return };
    let edge = &listed.edge;
    let url = format!("{}{}", edge.address.as_str(), edge.check);
    let (mut failures, mut ticks) = (0, interval(ASK));
    loop {
        ticks.tick().await;
        let answer = client.get(&url).send().await;
        // Whatever it says of this path, it serves.
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
