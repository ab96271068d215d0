//! Starts programs for the daemon; no other file does. Each program leads its own process group, and the kernel kills it when the daemon
//! dies.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::output::{self, Line};
use super::progress::{Progress, Reader};
use super::shared::Shared;

/// A line that ffmpeg logs several times per converted frame of a full-range stream. The range is set, so the line is harmless.
const HARMLESS: &str = "deprecated pixel format used, make sure you did set range correctly";
/// Longest wait for the end of standard error. Children of a program that has ended may hold it open.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The hidden command of this program that becomes the child.
pub(crate) const BECOME: &str = "become";

/// A program to start.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// Path of the program, or a name to find in `PATH`.
    pub program: &'a Path,
    /// Arguments without secrets: other users can read them in the process list.
    pub arguments: &'a [OsString],
    /// Niceness, 0 to 19.
    pub nice: u8,
    /// `APP/NAME`, for the log.
    pub stream: &'a str,
    /// Name of the job, for the log.
    pub job: &'a str,
}

/// An event of a child.
#[derive(Debug)]
pub(crate) enum ChildEvent {
    /// The program reports its progress.
    Progress(Progress),
    /// The process has ended and is reaped.
    Exited(ExitStatus),
}

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: tokio::process::Child,
    progress: Option<Lines<BufReader<ChildStdout>>>,
    reader: Reader,
    errors: JoinHandle<()>,
}

impl Child {
    /// Starts a program. The parent-death signal depends on the thread that starts the process, so this thread must live as long as the
    /// daemon. The daemon's runtime has only this thread.
    pub(crate) fn spawn(launch: &Launch<'_>, shared: Arc<Shared>) -> io::Result<Self> {
        let mut process = command(launch.program, launch.arguments, launch.nice)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // The variables are for uploads, and ffmpeg reads what strangers publish.
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env_remove("AWS_SESSION_TOKEN")
            .spawn()?;
        let (Some(stdout), Some(stderr)) = (process.stdout.take(), process.stderr.take()) else {
            return Err(io::Error::other("no pipes"));
        };
        let (stream, job) = (launch.stream.to_owned(), launch.job.to_owned());
        let errors = tokio::spawn(output::listen(stderr, move |line| keep(&line, &shared, &stream, &job)));
        let progress = Some(BufReader::new(stdout).lines());
        Ok(Self { process, progress, reader: Reader::default(), errors })
    }

    /// Returns the process id until the process is reaped.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Sends a signal to the whole process group. An unreaped process keeps its id, so the signal cannot reach another process.
    pub(crate) fn signal(&self, signal: Signal) {
        let Some(pid) = self.process.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
        // killpg fails if the group has ended or does not exist yet.
        if killpg(Pid::from_raw(pid), signal).is_err() {
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), signal);
        }
    }

    /// Waits for the next event. Cancel-safe.
    pub(crate) async fn next(&mut self) -> ChildEvent {
        loop {
            let Some(progress) = &mut self.progress else { return ChildEvent::Exited(self.wait().await) };
            tokio::select! {
                line = progress.next_line() => match line {
                    Ok(Some(line)) => {
                        if let Some(progress) = self.reader.line(&line, Instant::now()) {
                            return ChildEvent::Progress(progress);
                        }
                    }
                    // The program may have closed its standard output without ending.
                    Ok(None) | Err(_) => self.progress = None,
                },
                status = self.process.wait() => return ChildEvent::Exited(status.unwrap_or_default()),
            }
        }
    }

    async fn wait(&mut self) -> ExitStatus {
        self.process.wait().await.unwrap_or_default()
    }

    /// Reads the last lines of a process that has ended.
    pub(crate) async fn drain(self) {
        last_words(self.errors).await;
    }
}

/// Returns the command for a program, as the daemon starts all of them. The caller sets standard input and output.
pub(crate) fn command(program: &Path, arguments: &[OsString], nice: u8) -> Command {
    // The link leads to this program even after its file was replaced.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(BECOME)
        .arg(std::process::id().to_string())
        .arg(nice.to_string())
        .arg(program)
        .args(arguments)
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC")
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Stores and logs a line that a program wrote.
fn keep(line: &str, shared: &Shared, stream: &str, job: &str) {
    if shared.output.is_confidential(line) {
        return;
    }
    let (mut level, text) = output::parse(&shared.output.without_hidden(line));
    if shared.is_told_to_end() {
        // ffmpeg logs its interruption as an error.
        level = "info";
    }
    if text.is_empty() || text.contains(HARMLESS) {
        return;
    }
    tell_rest(shared, stream, job);
    if !shared.output.admits(Instant::now()) {
        shared.output.note(level, &text);
        return;
    }
    match level {
        "error" | "fatal" => tracing::error!(stream, job, "ffmpeg: {text}"),
        "warning" => tracing::warn!(stream, job, "ffmpeg: {text}"),
        _ => tracing::info!(stream, job, "ffmpeg: {text}"),
    }
    shared.output.push(Line { at: crate::clock::now(), level, text });
}

/// Logs how many lines were left out, once the window is over.
pub(crate) fn tell_rest(shared: &Shared, stream: &str, job: &str) {
    if let Some(count) = shared.output.left_out(Instant::now()) {
        let text = format!("{count} more lines");
        tracing::warn!(stream, job, "ffmpeg: {text}");
        shared.output.push(Line { at: crate::clock::now(), level: "warning", text });
    }
}

/// Reads the last lines of a program that has ended.
pub(crate) async fn last_words(mut listening: JoinHandle<()>) {
    if timeout(LAST_WORDS, &mut listening).await.is_err() {
        listening.abort();
    }
}
