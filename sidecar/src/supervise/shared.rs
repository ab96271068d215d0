//! What is shared between a job and who asks about it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use weir_model::Timestamp;

use super::job::State;
use super::output::Output;
use super::progress::Progress;
use crate::clock;

/// What is told of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// `starting`, `running`, `waiting` (back-off) or `stopping`.
    pub state: State,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// All that it makes was there to be played, once.
    pub ready: bool,
    /// The process, while there is one.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u64,
    /// How the last run ended.
    pub last_exit: Option<String>,
    /// Why a run failed last; none while none did.
    pub last_error: Option<String>,
    /// What ffmpeg says of itself.
    pub progress: Progress,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunEnd {
    /// Why it failed; none when its input came to an end or it was told to.
    pub error: Option<String>,
    /// It was asked to finish.
    pub is_told: bool,
}

/// What is shared between a job and who asks about it.
#[derive(Debug)]
pub struct Shared {
    pub(super) status: Mutex<Status>,
    /// The number of the run that was started last.
    pub(super) run: AtomicU64,
    /// Bytes that came out of it.
    pub(super) bytes: AtomicU64,
    /// Another run of its input waits for the end of this one.
    pub(super) renewed: AtomicBool,
    /// Its input is to end.
    pub(super) closing: watch::Sender<bool>,
    /// Another publisher has the name of its stream.
    pub(super) succeeded: AtomicBool,
    /// The sound of its stream cannot be decoded.
    pub(super) sound_failed: AtomicBool,
    pub(super) sound_fails: Notify,
    /// Its process was killed since it made no progress.
    pub(super) stalled: AtomicBool,
    /// How the last run ended.
    pub(super) ended: watch::Sender<RunEnd>,
    /// The last lines of its standard error.
    pub output: Output,
}

impl Shared {
    /// Of a job that has not begun.
    pub fn new() -> Arc<Self> {
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

    /// Which run of the program this is: a number that no other run of any program has.
    pub fn run(&self) -> u64 {
        self.run.load(Ordering::Relaxed)
    }

    /// As it is now.
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// So many bytes came out of it.
    pub fn received(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Its input ends here, and goes on in another run of the program.
    pub fn renew(&self) {
        self.renewed.store(true, Ordering::Relaxed);
    }

    /// Another publisher has taken the name of its stream.
    pub fn succeed(&self) {
        self.succeeded.store(true, Ordering::Relaxed);
    }

    /// Whether one has.
    pub fn is_succeeded(&self) -> bool {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// The sound of its stream cannot be decoded: the job ends.
    pub fn fail_sound(&self) {
        self.sound_failed.store(true, Ordering::Relaxed);
        self.sound_fails.notify_one();
    }

    /// Whether the job has ended because of the sound.
    pub fn is_sound_failed(&self) -> bool {
        self.sound_failed.load(Ordering::Relaxed)
    }

    /// Tells of the end of each run.
    pub fn ends(&self) -> watch::Receiver<RunEnd> {
        self.ended.subscribe()
    }

    /// Becomes true when its input is to end.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Ends its input; false when that has ended already, or is not the daemon's.
    pub(super) fn close_input(&self) -> bool {
        self.closing.receiver_count() > 0 && !self.closing.send_replace(true)
    }

    /// Whether its process was asked to finish, or killed.
    /// Tells a work to end.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    pub(super) fn is_told_to_end(&self) -> bool {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).state == State::Stopping
    }

    /// All that it makes can be played.
    pub fn set_ready(&self) {
        self.update(|status| status.ready = true);
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
