//! Keeps programs running: [`job`] decides, [`child`] starts and stops processes, and [`run`] connects the two. [`work`] does the same
//! for tasks of this process.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

pub(crate) mod backoff;
pub(crate) mod child;
pub(crate) mod helpers;
pub(crate) mod job;
pub(crate) mod mask;
pub(crate) mod output;
pub(crate) mod program;
pub(crate) mod progress;
mod shared;
pub(crate) mod work;

use child::{Child, ChildEvent, Launch};
use job::{Action, Exit, Input, Job, Policy, Work};
use output::Line;
use progress::Progress;
pub(crate) use shared::{RunEnd, Shared, Status};

use crate::clock;

/// Pause before a job is tried again that could not even start.
const PAUSE: Duration = Duration::from_secs(5);
/// Number of runs without output in a row after which audio is blamed.
const SILENT_RUNS: u32 = 2;

/// A job: a program that is kept running.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// Name in logs and commands.
    pub id: String,
    /// `APP/NAME` of the job's stream.
    pub stream: String,
    /// The program. It is never a shell.
    pub program: PathBuf,
    /// Its arguments, without any secret.
    pub arguments: Vec<OsString>,
    /// Niceness, 0 to 19.
    pub nice: u8,
    /// When and how fast the process is replaced.
    pub policy: Policy,
    /// The job decodes audio, and there would be video without it.
    pub decodes_sound: bool,
}

/// An order of an operator or of the daemon to a running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// End the process and start it again.
    Restart,
    /// End the process for good.
    Stop,
}

/// Keeps the job running until it gets [`Order::Stop`], and returns when its process has ended.
pub(crate) async fn run(spec: Spec, shared: Arc<Shared>, commands: &mut mpsc::Receiver<Order>) {
    let origin = Instant::now();
    let mut job = Job::new(spec.policy);
    let mut child: Option<Child> = None;
    let mut input = Input::Tick;
    let mut silent = Silent::default();
    loop {
        let has_failed = matches!(input, Input::Exited(Exit::Failed));
        let action = job.step(origin.elapsed(), input, clock::random_u32());
        report(&spec.stream, &spec.id, &shared, &job);
        if spec.decodes_sound && silent.is_over(has_failed, &job, action, shared.status().ready) {
            return shared.fail_sound();
        }
        match action {
            Some(Action::Start) => {
                input = start(&spec, &shared, &mut child);
                continue;
            }
            // ffmpeg writes a complete last frame when its input ends.
            Some(Action::Interrupt) if shared.close_input() => {}
            Some(Action::Interrupt) => signal(child.as_ref(), Signal::SIGINT),
            Some(Action::Kill(why)) => {
                shared.stalled.store(why == job::NO_PROGRESS, Ordering::Relaxed);
                let why = format!("ffmpeg killed: {why}");
                tracing::warn!(stream = spec.stream, job = spec.id, "{why}");
                shared.update(|status| status.last_error = Some(why.clone()));
                shared.output.push(Line { at: clock::now(), level: "warning", text: why });
                signal(child.as_ref(), Signal::SIGKILL);
            }
            Some(Action::End) => return,
            None => {}
        }
        let deadline = job.deadline().map(|at| (origin + at).into());
        input = tokio::select! {
            command = commands.recv() => match command {
                Some(Order::Restart) => Input::Restart,
                // The sender of the orders is gone.
                Some(Order::Stop) | None => Input::Stop,
            },
            event = next_event(&mut child) => event_input(&spec, &shared, &mut child, event).await,
            () = shared.sound_fails.notified() => Input::Stop,
            () = async { match deadline { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => Input::Tick,
        };
    }
}

/// Counts failures of a job that has never been ready. ffmpeg writes nothing before it knows the format of all tracks, so audio that it
/// cannot decode stops the video as well.
#[derive(Debug, Default)]
struct Silent {
    runs: u32,
    failed_runs: u64,
    killed: bool,
}

impl Silent {
    /// Takes the job's last step. Returns true if the job has failed often enough.
    fn is_over(&mut self, has_failed: bool, job: &Job, action: Option<Action>, is_ready: bool) -> bool {
        let failed_runs = job.failed_runs();
        let is_failure = std::mem::replace(&mut self.failed_runs, failed_runs) != failed_runs;
        if is_failure && has_failed && !is_ready {
            // A killed run had all the time that it needed, so it counts as enough failures.
            self.runs += if self.killed { SILENT_RUNS } else { 1 };
        }
        self.killed = matches!(action, Some(Action::Kill(_))) || (self.killed && !is_failure);
        self.runs >= SILENT_RUNS
    }
}

/// Reports why a job could not start, and waits before the caller tries again.
pub(crate) async fn could_not_begin(
    stream: &str,
    job: &str,
    why: &io::Error,
    shared: &Shared,
    commands: &mut mpsc::Receiver<Order>,
) {
    let why = format!("job cannot run: {why}");
    tracing::error!(stream, job, "{why}");
    shared.update(|status| status.last_error = Some(why.clone()));
    shared.output.push(Line { at: clock::now(), level: "error", text: why });
    // The wait also ends with an order to stop. It is needed because retries do not free a full disk.
    let _ = timeout(PAUSE, commands.recv()).await;
}

fn report(stream: &str, id: &str, shared: &Shared, job: &Job) {
    shared.update(|status| {
        status.restarts = job.restarts();
        if status.state != job.state() {
            tracing::debug!(stream, job = id, "job is {}", job.state());
            status.state = job.state();
            status.since = clock::now();
        }
    });
}

fn start(spec: &Spec, shared: &Arc<Shared>, child: &mut Option<Child>) -> Input {
    let launch = Launch {
        program: &spec.program,
        arguments: &spec.arguments,
        nice: spec.nice,
        stream: &spec.stream,
        job: &spec.id,
    };
    shared.run.store(clock::next_number(), Ordering::Relaxed);
    shared.renewed.store(false, Ordering::Relaxed);
    shared.closing.send_replace(false);
    shared.output.begin();
    match Child::spawn(&launch, shared.clone()) {
        Ok(started) => {
            let pid = started.pid();
            tracing::info!(stream = spec.stream, job = spec.id, pid, "ffmpeg started");
            shared.update(|status| {
                status.pid = pid;
                status.progress = Progress::default();
            });
            *child = Some(started);
            Input::Started
        }
        Err(why) => {
            let why = format!("{} cannot be started: {why}", spec.program.display());
            tracing::error!(stream = spec.stream, job = spec.id, "{why}");
            shared.update(|status| {
                (status.last_exit, status.last_error) = (Some(why.clone()), Some(why.clone()))
            });
            shared.ended.send_replace(RunEnd { error: Some(why), is_told: false });
            Input::Exited(Exit::Failed)
        }
    }
}

fn signal(child: Option<&Child>, signal: Signal) {
    if let Some(child) = child {
        child.signal(signal);
    }
}

async fn next_event(child: &mut Option<Child>) -> ChildEvent {
    match child {
        Some(child) => child.next().await,
        None => std::future::pending().await,
    }
}

async fn event_input(spec: &Spec, shared: &Shared, child: &mut Option<Child>, event: ChildEvent) -> Input {
    match event {
        ChildEvent::Progress(progress) => {
            let bytes = shared.bytes.load(Ordering::Relaxed);
            shared.update(|status| status.progress = Progress { bytes, ..progress });
            child::tell_rest(shared, &spec.stream, &spec.id);
            // If there is video, only frames count as progress: a jumping clock is no work.
            let pictures = progress.frame.and_then(|frame| i64::try_from(frame).ok());
            Input::Progress(Work { told: pictures.or(progress.out_time_us), bytes })
        }
        ChildEvent::Exited(status) => {
            if let Some(child) = child.take() {
                child.drain().await;
            }
            child::tell_rest(shared, &spec.stream, &spec.id);
            let words = status.to_string();
            tracing::info!(stream = spec.stream, job = spec.id, "ffmpeg ended: {words}");
            let why = shared.output.error_of_run().unwrap_or_else(|| format!("ffmpeg ended: {words}"));
            let is_told = shared.is_told_to_end();
            let has_failed = !status.success() && !is_told;
            let renewed = shared.renewed.load(Ordering::Relaxed);
            shared.update(|now| {
                now.pid = None;
                now.last_exit = Some(words);
                if has_failed {
                    now.last_error = Some(why.clone());
                }
            });
            let error = match shared.stalled.swap(false, Ordering::Relaxed) {
                true => Some(format!("ffmpeg killed: {}", job::NO_PROGRESS)),
                false => has_failed.then_some(why),
            };
            shared.ended.send_replace(RunEnd { error, is_told });
            Input::Exited(match (status.success(), renewed) {
                (true, true) => Exit::Renewed,
                (true, false) => Exit::Clean,
                (false, _) => Exit::Failed,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let second = Duration::from_secs(1);
        Policy {
            stall: second * 10,
            starve: second * 30,
            warm_up: second * 20,
            grace: second,
            backoff: backoff::Backoff { first: second, max: second },
            healthy: second * 60,
        }
    }

    /// Runs a job through failures. Returns true if it gives up because of the audio.
    fn is_over(steps: &[(u64, Input)], is_ready: bool) -> bool {
        let (mut job, mut silent) = (Job::new(policy()), Silent::default());
        steps.iter().any(|(second, input)| {
            let has_failed = matches!(input, Input::Exited(Exit::Failed));
            let action = job.step(Duration::from_secs(*second), *input, 0);
            silent.is_over(has_failed, &job, action, is_ready)
        })
    }

    #[test]
    fn two_failures_or_a_long_silence_before_the_first_output_are_the_sounds() {
        use Input::{Exited, Restart, Started, Stop, Tick};
        let once = [(0, Tick), (0, Started), (1, Exited(Exit::Failed))];
        let twice = [(10, Tick), (10, Started), (11, Exited(Exit::Failed))];
        assert!(!is_over(&once, false));
        assert!(is_over(&[once, twice].concat(), false));
        assert!(!is_over(&[once, twice].concat(), true));
        let clean = [(0, Tick), (0, Started), (1, Exited(Exit::Clean))];
        assert!(!is_over(&[clean, twice].concat(), false));
        // The run is killed because no output appears.
        assert!(is_over(&[(0, Tick), (0, Started), (90, Tick), (91, Exited(Exit::Failed))], false));
        // The job gets an order to end, and the process is killed because it does not end.
        let told = |input| [(0, Tick), (0, Started), (5, input), (9, Tick), (9, Exited(Exit::Failed))];
        assert!(!is_over(&told(Restart), false));
        assert!(!is_over(&told(Stop), false));
    }
}
