//! Kills nginx workers whose event loop hangs, if `[health] restart_stuck_worker` is set. nginx's master then starts new workers.
//!
//! [`Watch`] decides (pure), [`Keeper`] asks nginx and kills.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::WorkerKilled;
use weir_model::snapshot::WorkerSnapshot;

use crate::clock;
use crate::config::Config;
use crate::events::Bus;
use crate::nginx::{Error, Nginx};

/// Interval between requests.
const LOOK: Duration = Duration::from_secs(2);
/// Longest time that a working worker takes to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answer about nginx's workers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer<'a> {
    /// A worker has answered, for all workers.
    Workers(&'a [WorkerSnapshot]),
    /// The connection is open, and no worker answers.
    Silent,
    /// There is no connection, so there is no nginx.
    Gone,
}

/// State of the watch: known workers, and the start of a silence.
#[derive(Debug)]
pub(crate) struct Watch {
    limit: Duration,
    known: Vec<u32>,
    silent_since: Option<Duration>,
}

impl Watch {
    /// Creates a watch. A worker hangs if its event loop has not turned for `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, known: Vec::new(), silent_since: None }
    }

    /// Takes an answer at `now`, the time since any fixed moment. Returns the workers to kill, each once. If nobody answers, all workers
    /// hang: a working worker would have accepted the connection.
    pub(crate) fn look(&mut self, now: Duration, answer: Answer<'_>) -> Vec<u32> {
        match answer {
            Answer::Workers(workers) => {
                self.silent_since = None;
                self.known = workers.iter().map(|worker| worker.pid).collect();
                let hangs =
                    |worker: &&WorkerSnapshot| u128::from(worker.heartbeat_ms) >= self.limit.as_millis();
                workers.iter().filter(hangs).map(|worker| worker.pid).collect()
            }
            Answer::Silent => {
                let since = *self.silent_since.get_or_insert(now);
                if now.saturating_sub(since) < self.limit {
                    return Vec::new();
                }
                self.silent_since = None;
                std::mem::take(&mut self.known)
            }
            Answer::Gone => {
                self.silent_since = None;
                self.known.clear();
                Vec::new()
            }
        }
    }
}

/// Watches the workers until it is dropped.
#[derive(Debug)]
pub(crate) struct Keeper(tokio::task::JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Keeper {
    /// Starts, if the configuration asks for it.
    pub(crate) fn start(config: &Config, bus: &Arc<Bus>) -> Option<Self> {
        let limit = config.restart_stuck_worker?;
        let at = &config.nginx;
        let nginx = Nginx::of_configuration(at.api.clone(), at.api_token_file.as_deref());
        let nginx = nginx.inspect_err(|error| tracing::error!("workers are not watched: {error}")).ok()?;
        let bus = bus.clone();
        Some(Self(tokio::spawn(async move {
            let (origin, mut watch) = (Instant::now(), Watch::new(limit));
            loop {
                let answer = timeout(PATIENCE, nginx.health()).await;
                let now = origin.elapsed();
                let stuck = match &answer {
                    Ok(Ok(health)) => watch.look(now, Answer::Workers(&health.value.workers)),
                    Ok(Err(Error::Unreachable { .. })) => watch.look(now, Answer::Gone),
                    Ok(Err(_)) => Vec::new(),
                    Err(_) => watch.look(now, Answer::Silent),
                };
                for pid in stuck {
                    end(pid, &bus);
                }
                sleep(LOOK).await;
            }
        })))
    }
}

/// Kills a worker, unless another program has its process id by now.
fn end(pid: u32, bus: &Bus) {
    let is_worker = std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| String::from_utf8_lossy(&line).starts_with("nginx: worker process"));
    let Some(id) = i32::try_from(pid).ok().filter(|_| is_worker) else { return };
    match kill(Pid::from_raw(id), Signal::SIGKILL) {
        Ok(()) => {
            tracing::error!(pid, "nginx worker killed: its event loop hangs, nginx starts another");
            bus.tell(&DaemonEvent::WorkerKilled(WorkerKilled { at: clock::now(), pid }));
        }
        Err(Errno::EPERM) => tracing::error!(
            pid,
            "nginx worker hangs and may not be killed: give the daemon CAP_KILL, see [health] in docs/configuration.md"
        ),
        Err(error) => tracing::error!(pid, "nginx worker hangs and is not killed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(heartbeats: &[(u32, u64)]) -> Vec<WorkerSnapshot> {
        let worker = |(pid, heartbeat_ms): &(u32, u64)| {
            let (pid, heartbeat_ms) = (*pid, *heartbeat_ms);
            WorkerSnapshot { pid, heartbeat_ms, ..WorkerSnapshot::default() }
        };
        heartbeats.iter().map(worker).collect()
    }

    #[test]
    fn who_hangs_for_the_whole_time_is_ended() {
        let mut watch = Watch::new(Duration::from_secs(30));
        let mut look = |second, heartbeats: &[(u32, u64)]| {
            watch.look(Duration::from_secs(second), Answer::Workers(&workers(heartbeats)))
        };
        assert_eq!(look(0, &[(1, 80), (2, 29_999)]), [] as [u32; 0]);
        assert_eq!(look(2, &[(1, 80), (2, 30_000)]), [2]);
    }

    #[test]
    fn where_nobody_answers_all_hang() {
        let mut watch = Watch::new(Duration::from_secs(30));
        let s = Duration::from_secs;
        watch.look(s(0), Answer::Workers(&workers(&[(1, 80), (2, 90)])));
        assert_eq!(watch.look(s(2), Answer::Silent), [] as [u32; 0]);
        assert_eq!(watch.look(s(31), Answer::Silent), [] as [u32; 0]);
        // nginx restarts in the meantime.
        assert_eq!(watch.look(s(33), Answer::Gone), [] as [u32; 0]);
        watch.look(s(34), Answer::Workers(&workers(&[(3, 80), (4, 90)])));
        watch.look(s(36), Answer::Silent);
        assert_eq!(watch.look(s(66), Answer::Silent), [3, 4]);
        assert_eq!(watch.look(s(68), Answer::Silent), [] as [u32; 0]);
    }
}
