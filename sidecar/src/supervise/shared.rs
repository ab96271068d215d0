//! State that a job shares with the tasks that ask about it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use weir_model::Timestamp;

use super::job::State;
use super::output::Output;
use super::progress::Progress;
use crate::clock;

/// Status of a job, as it is reported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    /// `starting`, `running`, `waiting` (back-off) or `stopping`.
    pub state: State,
    /// Start of this state.
    pub since: Timestamp,
    /// All of its outputs have been playable once.
    pub ready: bool,
    /// The process id, while there is a process.
    pub pid: Option<u32>,
    /// Number of restarts.
    pub restarts: u64,
    /// End of the last run, in words.
    pub last_exit: Option<String>,
    /// Reason of the last failed run; `None` if no run has failed.
    pub last_error: Option<String>,
    /// Progress that ffmpeg reports.
    pub progress: Progress,
}

/// End of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunEnd {
    /// Reason of the failure; `None` if the input has ended or the run was asked to end.
    pub error: Option<String>,
    /// The run was asked to finish.
    pub is_told: bool,
}

/// State that a job shares with the tasks that ask about it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) status: Mutex<Status>,
    /// Number of the last run.
    pub(super) run: AtomicU64,
    /// Bytes of output.
    pub(super) bytes: AtomicU64,
    /// Another run of the input waits for the end of this run.
    pub(super) renewed: AtomicBool,
    /// True when the input must end.
    pub(super) closing: watch::Sender<bool>,
    /// Another publisher uses the stream's name.
    pub(super) succeeded: AtomicBool,
    /// The audio of the stream cannot be decoded.
    pub(super) sound_failed: AtomicBool,
    pub(super) sound_fails: Notify,
    /// The process was killed because it made no progress.
    pub(super) stalled: AtomicBool,
    /// End of the last run.
    pub(super) ended: watch::Sender<RunEnd>,
    /// The last lines of standard error.
    pub output: Output,
}

impl Shared {
    /// Returns the state of a job that has not begun.
    pub(crate) fn new() -> Arc<Self> {
        let status = Status {
            state: State::Starting,
            since: clock::now(),
            ready: false,
            pid: None,
            restarts: 0,
            last_exit: None,
            last_error: None,
            progress: Progress::default(),
        };
        Arc::new(Self {
            status: Mutex::new(status),
            run: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            renewed: AtomicBool::new(false),
            closing: watch::Sender::new(false),
            succeeded: AtomicBool::new(false),
            sound_failed: AtomicBool::new(false),
            sound_fails: Notify::new(),
            stalled: AtomicBool::new(false),
            ended: watch::Sender::default(),
            output: Output::default(),
        })
    }

    /// Returns the number of the run. No other run of any program has the same number.
    pub(crate) fn run(&self) -> u64 {
        self.run.load(Ordering::Relaxed)
    }

    /// Returns the current status.
    pub(crate) fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the bytes of output of all runs.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Adds bytes of output.
    pub(crate) fn received(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes that the input ends here and continues in another run of the program.
    pub(crate) fn renew(&self) {
        self.renewed.store(true, Ordering::Relaxed);
    }

    /// Notes that another publisher has taken the stream's name.
    pub(crate) fn succeed(&self) {
        self.succeeded.store(true, Ordering::Relaxed);
    }

    /// Returns whether another publisher has taken the stream's name.
    pub(crate) fn is_succeeded(&self) -> bool {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// Ends the job because the audio of its stream cannot be decoded.
    pub(crate) fn fail_sound(&self) {
        self.sound_failed.store(true, Ordering::Relaxed);
        self.sound_fails.notify_one();
    }

    /// Returns whether the job has ended because of the audio.
    pub(crate) fn is_sound_failed(&self) -> bool {
        self.sound_failed.load(Ordering::Relaxed)
    }

    /// Subscribes to the end of each run.
    pub(crate) fn ends(&self) -> watch::Receiver<RunEnd> {
        self.ended.subscribe()
    }

    /// Subscribes to the end of the input: the value becomes true.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Ends the input. Returns false if the input has ended already, or does not come from the daemon.
    pub(super) fn close_input(&self) -> bool {
        self.closing.receiver_count() > 0 && !self.closing.send_replace(true)
    }

    /// Tells a task to end.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Returns whether the process was asked to finish, or was killed.
    pub(super) fn is_told_to_end(&self) -> bool {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).state == State::Stopping
    }

    /// Notes that all outputs are playable.
    pub(crate) fn set_ready(&self) {
        self.update(|status| status.ready = true);
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
