//! Decides when inputs run: always, at some times of the day, or while somebody watches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, interval, timeout};

use crate::clock;
use crate::config::Config;
use crate::config::input::{Input, Start};
use crate::demand::Demand;
use crate::nginx::Nginx;
use crate::streams::StreamId;

/// Interval between checks.
const LOOK: Duration = Duration::from_secs(1);
/// Time for which an input runs after its last viewer has left.
const LINGER: Duration = Duration::from_secs(10);

/// Reports which inputs are due, at the start and at each change, until it is dropped.
#[derive(Debug)]
pub(crate) struct Due {
    task: tokio::task::JoinHandle<()>,
    /// Streams of the due inputs.
    pub changes: mpsc::Receiver<BTreeSet<StreamId>>,
}

/// Waits for the next change of the due inputs. Never returns if there are no inputs.
pub(crate) async fn next(inputs: &mut Option<Due>) -> BTreeSet<StreamId> {
    match inputs {
        Some(due) => match due.changes.recv().await {
            Some(due) => due,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Due {
    /// Starts, unless the configuration has no inputs.
    pub(crate) fn start(config: &Arc<Config>, demand: &Arc<Demand>) -> Option<Self> {
        let on_demand = config.inputs.iter().filter(|input| input.start == Start::OnDemand);
        demand.offer(on_demand.map(id).collect());
        if config.inputs.is_empty() {
            return None;
        }
        let (sender, changes) = mpsc::channel(4);
        let task = tokio::spawn(look(config.clone(), demand.clone(), sender));
        Some(Self { task, changes })
    }
}

fn id(input: &Input) -> StreamId {
    (input.app.clone(), input.stream.clone())
}

async fn look(config: Arc<Config>, demand: Arc<Demand>, changes: mpsc::Sender<BTreeSet<StreamId>>) {
    let at = &config.nginx;
    let asks = config.inputs.iter().any(|input| input.start == Start::OnDemand);
    let nginx = Nginx::of_configuration(at.api.clone(), at.api_token_file.as_deref()).ok().filter(|_| asks);
    let mut watched = Watched::default();
    let mut told: Option<BTreeSet<StreamId>> = None;
    let mut ticks = interval(LOOK);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = demand.asked() => {}
        }
        watched.see(demand.wanted(), Instant::now());
        if let Some(nginx) = &nginx
            && let Ok(Ok(streams)) = timeout(LOOK, nginx.watched()).await
        {
            watched.see(streams, Instant::now());
        }
        let minute = clock::minute_of_day();
        let due = due(&config.inputs, minute, |id| watched.is_watched(id, Instant::now()));
        if told.as_ref() != Some(&due) {
            if changes.send(due.clone()).await.is_err() {
                return;
            }
            told = Some(due);
        }
    }
}

/// Returns the streams of the inputs that must run.
fn due(inputs: &[Input], minute: u16, is_watched: impl Fn(&StreamId) -> bool) -> BTreeSet<StreamId> {
    let is_due = |input: &&Input| match input.start {
        Start::OnDemand => is_watched(&id(input)),
        start => start.is_due(minute),
    };
    inputs.iter().filter(is_due).map(id).collect()
}

/// Times at which streams were last watched.
#[derive(Debug, Default)]
struct Watched(BTreeMap<StreamId, Instant>);

impl Watched {
    fn see(&mut self, streams: impl IntoIterator<Item = StreamId>, now: Instant) {
        self.0.retain(|_, at| now - *at < LINGER);
        self.0.extend(streams.into_iter().map(|id| (id, now)));
    }

    fn is_watched(&self, id: &StreamId, now: Instant) -> bool {
        self.0.get(id).is_some_and(|at| now - *at < LINGER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_runs_on_for_a_while_after_its_last_viewer() {
        let id: StreamId = ("live".parse().unwrap(), "a".parse().unwrap());
        let (mut watched, start) = (Watched::default(), Instant::now());
        watched.see([id.clone()], start);
        watched.see([], start + LINGER - LOOK);
        assert!(watched.is_watched(&id, start + LINGER - LOOK));
        assert!(!watched.is_watched(&id, start + LINGER));
    }
}
