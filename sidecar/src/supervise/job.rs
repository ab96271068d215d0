//! A job as a state machine: events go in, actions come out. It has no clock: `now` is the time since a fixed moment.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::Backoff;

/// An ffmpeg that waits for its input obeys only the second SIGINT (`decode_interrupt_cb` of its `ffmpeg.c`).
const SECOND_INTERRUPT: Duration = Duration::from_millis(700);
/// Shortest run after which a new run of the input is no failure. Each run costs a start, so faster changes are a failure.
const LEAST_RUN: Duration = Duration::from_secs(2);

/// Reason to kill a program that makes no progress.
pub(crate) const NO_PROGRESS: &str = "no progress";

/// When and how fast a program is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Longest time without progress.
    pub stall: Duration,
    /// Longest time without output, whatever progress the program reports.
    pub starve: Duration,
    /// Time after a start in which no progress is needed.
    pub warm_up: Duration,
    /// Time from SIGINT to SIGKILL.
    pub grace: Duration,
    /// Wait before a restart.
    pub backoff: Backoff,
    /// Length of a run after which the wait is the shortest again.
    pub healthy: Duration,
}

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// The job will start for the first time.
    Starting,
    /// The job has a process.
    Running,
    /// The job starts again after a wait.
    Waiting,
    /// The process was asked to end.
    Stopping,
    /// The job has ended for good.
    Ended,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
        })
    }
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Time has passed, and a deadline may be over.
    Tick,
    /// The process has started.
    Started,
    /// The process reports its progress.
    Progress(Work),
    /// The process has ended, or could not start.
    Exited(Exit),
    /// The job must restart.
    Restart,
    /// The job must end for good.
    Stop,
}

/// Progress of a process. A change of either value counts as progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Number of video frames, or the end time of the audio, as the process reports it.
    pub told: Option<i64>,
    /// Bytes of output.
    pub bytes: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The process ended with status 0: its input has ended.
    Clean,
    /// Like `Clean`, and another run of its input waits.
    Renewed,
    /// The process failed.
    Failed,
}

/// What the supervisor must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a process, then report [`Input::Started`] or [`Input::Exited`].
    Start,
    /// Ask the process to finish (SIGINT).
    Interrupt,
    /// Kill the process (SIGKILL), and log the reason.
    Kill(&'static str),
    /// End: no further action follows.
    End,
}

/// One job.
#[derive(Debug)]
pub(crate) struct Job {
    policy: Policy,
    phase: Phase,
    /// Failures in a row.
    failures: u32,
    starts: u64,
    failed_runs: u64,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Waiting {
        until: Duration,
    },
    Running {
        since: Duration,
        work: Work,
        moved: Duration,
        written: Duration,
    },
    /// Asked to finish. It gets a second SIGINT at `again_at`, and SIGKILL at `kill_at`.
    Finishing {
        again_at: Option<Duration>,
        kill_at: Duration,
        then: Then,
    },
    /// Got SIGKILL.
    Dying {
        then: Then,
    },
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Immediately.
    Again,
    /// After a wait, as after a failure.
    Later,
    Never,
}

impl Job {
    /// Returns a job that starts at the first tick.
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            phase: Phase::Waiting { until: Duration::ZERO },
            failures: 0,
            starts: 0,
            failed_runs: 0,
        }
    }

    /// Returns the state.
    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::Waiting { .. } if self.starts == 0 => State::Starting,
            Phase::Waiting { .. } => State::Waiting,
            Phase::Running { .. } => State::Running,
            Phase::Finishing { .. } | Phase::Dying { .. } => State::Stopping,
            Phase::Ended => State::Ended,
        }
    }

    /// Returns the number of restarts.
    pub(crate) fn restarts(&self) -> u64 {
        self.starts.saturating_sub(1)
    }

    /// Returns how many runs ended, or could not start, although nobody had asked for it.
    pub(crate) fn failed_runs(&self) -> u64 {
        self.failed_runs
    }

    /// Returns the latest time for the next [`Input::Tick`].
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Running { moved, written, .. } => {
                Some((moved + self.policy.stall).min(written + self.policy.starve))
            }
            Phase::Finishing { again_at, kill_at, .. } => Some(again_at.unwrap_or(kill_at).min(kill_at)),
            Phase::Dying { .. } | Phase::Ended => None,
        }
    }

    /// Handles an event at `now`. `jitter` is any number, a new one for each call.
    pub(crate) fn step(&mut self, now: Duration, input: Input, jitter: u32) -> Option<Action> {
        match (self.phase, input) {
            (Phase::Ended, _) => None,
            (Phase::Waiting { .. }, Input::Stop) => self.end(),
            (Phase::Waiting { .. }, Input::Started) => {
                // ffmpeg may report nothing until it has analyzed its input.
                let moved = now + self.policy.warm_up.saturating_sub(self.policy.stall);
                self.phase = Phase::Running { since: now, work: Work::default(), moved, written: moved };
                None
            }
            (Phase::Waiting { .. }, Input::Exited(_)) => self.after_failure(now, jitter),
            (Phase::Waiting { until }, Input::Tick | Input::Restart) => {
                if input == Input::Tick && now < until {
                    return None;
                }
                self.starts += 1;
                Some(Action::Start)
            }
            (Phase::Running { since, .. }, Input::Exited(Exit::Renewed))
                if now.saturating_sub(since) >= LEAST_RUN =>
            {
                self.failures = 0;
                self.phase = Phase::Waiting { until: now };
                None
            }
            (Phase::Running { since, .. }, Input::Exited(_)) => {
                if now.saturating_sub(since) >= self.policy.healthy {
                    self.failures = 0;
                }
                self.after_failure(now, jitter)
            }
            (Phase::Running { since, work, moved, written }, Input::Progress(now_done)) => {
                let has_moved = now_done.told.is_some() && now_done.told != work.told;
                let has_written = now_done.bytes != work.bytes;
                self.phase = Phase::Running {
                    since,
                    work: now_done,
                    moved: if has_moved || has_written { now } else { moved },
                    written: if has_written { now } else { written },
                };
                None
            }
            (Phase::Running { since, moved, written, .. }, Input::Tick) => {
                if now < moved + self.policy.stall && now < written + self.policy.starve {
                    return None;
                }
                if now.saturating_sub(since) >= self.policy.healthy {
                    self.failures = 0;
                }
                // A process without progress would not obey SIGINT either.
                self.phase = Phase::Dying { then: Then::Later };
                Some(Action::Kill(NO_PROGRESS))
            }
            (Phase::Running { .. }, Input::Restart) => self.finish(now, Then::Again),
            (Phase::Running { .. }, Input::Stop) => self.finish(now, Then::Never),
            (Phase::Finishing { again_at, kill_at, .. }, Input::Stop) => {
                self.phase = Phase::Finishing { again_at, kill_at, then: Then::Never };
                None
            }
            (Phase::Dying { .. }, Input::Stop) => {
                self.phase = Phase::Dying { then: Then::Never };
                None
            }
            (Phase::Finishing { kill_at, then, .. }, Input::Tick) if now >= kill_at => {
                self.phase = Phase::Dying { then };
                Some(Action::Kill("it did not end when asked to"))
            }
            (Phase::Finishing { again_at: Some(again_at), kill_at, then }, Input::Tick)
                if now >= again_at =>
            {
                self.phase = Phase::Finishing { again_at: None, kill_at, then };
                Some(Action::Interrupt)
            }
            (Phase::Finishing { then, .. } | Phase::Dying { then }, Input::Exited(_)) => match then {
                Then::Never => self.end(),
                Then::Later => self.after_failure(now, jitter),
                Then::Again => {
                    self.failures = 0;
                    self.phase = Phase::Waiting { until: now };
                    None
                }
            },
            (
                Phase::Running { .. } | Phase::Finishing { .. } | Phase::Dying { .. } | Phase::Waiting { .. },
                _,
            ) => None,
        }
    }

    fn finish(&mut self, now: Duration, then: Then) -> Option<Action> {
        let again_at = Some(now + SECOND_INTERRUPT);
        self.phase = Phase::Finishing { again_at, kill_at: now + self.policy.grace, then };
        Some(Action::Interrupt)
    }

    fn after_failure(&mut self, now: Duration, jitter: u32) -> Option<Action> {
        let wait = self.policy.backoff.wait(self.failures, jitter);
        self.failures = self.failures.saturating_add(1);
        self.failed_runs += 1;
        self.phase = Phase::Waiting { until: now + wait };
        None
    }

    fn end(&mut self) -> Option<Action> {
        self.phase = Phase::Ended;
        Some(Action::End)
    }
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
