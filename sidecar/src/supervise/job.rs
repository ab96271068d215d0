//! A job as a state machine: what happened goes in, what is to be done comes out. It has no clock: `now` is the time since
//! any moment that stays the same.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::Backoff;

/// An ffmpeg that waits for its input minds only the second SIGINT (`decode_interrupt_cb` of its `ffmpeg.c`).
const SECOND_INTERRUPT: Duration = Duration::from_millis(700);
/// Inputs that change faster than this are a failure: each run costs a start.
const LEAST_RUN: Duration = Duration::from_secs(2);

/// Why a program is killed that does nothing.
pub const NO_PROGRESS: &str = "no progress";

/// When a program is replaced, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// When it takes nothing in for so long, it is replaced.
    pub stall: Duration,
    /// When nothing comes out of it for so long, it is replaced, whatever it says of itself.
    pub starve: Duration,
    /// So long after a start there need be no progress yet.
    pub warm_up: Duration,
    /// From SIGINT to SIGKILL.
    pub grace: Duration,
    /// How long it waits before it starts again.
    pub backoff: Backoff,
    /// After so long a run the wait is the shortest again.
    pub healthy: Duration,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// About to be started for the first time.
    Starting,
    /// It has a process.
    Running,
    /// It is started again when the wait is over.
    Waiting,
    /// Its process was told to end.
    Stopping,
    /// For good.
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

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing, but a deadline may be over.
    Tick,
    /// The process is there.
    Started,
    /// What it has done.
    Progress(Work),
    /// The process is gone, or could not be made.
    Exited(Exit),
    /// It is to be started anew.
    Restart,
    /// It is to end for good.
    Stop,
}

/// How much a process has done. It counts when one of these differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Pictures, or how far the sound reaches, as far as it knows.
    pub told: Option<i64>,
    /// Bytes that came out of it.
    pub bytes: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With status 0: its input came to an end.
    Clean,
    /// Likewise, and another run of its input waits.
    Renewed,
    /// Otherwise.
    Failed,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a process, then say [`Input::Started`] or [`Input::Exited`].
    Start,
    /// Ask it to finish (SIGINT).
    Interrupt,
    /// End it (SIGKILL), and log why.
    Kill(&'static str),
    /// Nothing more will come.
    End,
}

/// One job.
#[derive(Debug)]
pub struct Job {
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
    /// Told to finish; told so again at `again_at`, and SIGKILL comes at `kill_at`.
    Finishing {
        again_at: Option<Duration>,
        kill_at: Duration,
        then: Then,
    },
    /// Was sent SIGKILL.
    Dying {
        then: Then,
    },
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// At once.
    Again,
    /// As after a failure.
    Later,
    Never,
}

impl Job {
    /// One that starts at the first tick.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            phase: Phase::Waiting { until: Duration::ZERO },
            failures: 0,
            starts: 0,
            failed_runs: 0,
        }
    }

    /// Where it is.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Waiting { .. } if self.starts == 0 => State::Starting,
            Phase::Waiting { .. } => State::Waiting,
            Phase::Running { .. } => State::Running,
            Phase::Finishing { .. } | Phase::Dying { .. } => State::Stopping,
            Phase::Ended => State::Ended,
        }
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u64 {
        self.starts.saturating_sub(1)
    }

    /// How many runs ended, or could not begin, although nobody had asked for it.
    pub fn failed_runs(&self) -> u64 {
        self.failed_runs
    }

    /// When it is to be asked with [`Input::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Running { moved, written, .. } => {
                Some((moved + self.policy.stall).min(written + self.policy.starve))
            }
            Phase::Finishing { again_at, kill_at, .. } => Some(again_at.unwrap_or(kill_at).min(kill_at)),
            Phase::Dying { .. } | Phase::Ended => None,
        }
    }

    /// Takes what happened at `now`. `jitter` is any number, a new one each time.
    pub fn step(&mut self, now: Duration, input: Input, jitter: u32) -> Option<Action> {
        match (self.phase, input) {
            (Phase::Ended, _) => None,
            (Phase::Waiting { .. }, Input::Stop) => self.end(),
            (Phase::Waiting { .. }, Input::Started) => {
                // There may be nothing to see until the input was looked at.
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
                // What makes no progress would not answer SIGINT either.
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
