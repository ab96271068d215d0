//! The only place that starts programs for the daemon. Each leads a process group of its own and is killed by the kernel when
//! the daemon dies.

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

/// What ffmpeg says of a stream of full range, several times for each frame that it converts. The range is set.
const HARMLESS: &str = "deprecated pixel format used, make sure you did set range correctly";
/// Children of a program that is gone may hold its standard error open; nobody waits for them longer.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The hidden command of this program that becomes the child.
pub const BECOME: &str = "become";

/// What to start.
#[derive(Debug)]
pub struct Launch<'a> {
    /// A path, or a name to be found in `PATH`.
    pub program: &'a Path,
    /// Without secrets: they can be read in the list of processes.
    pub arguments: &'a [OsString],
    /// 0 to 19.
    pub nice: u8,
    /// For the log.
    pub stream: &'a str,
    /// For the log.
    pub job: &'a str,
}

/// What a child does.
#[derive(Debug)]
pub enum ChildEvent {
    /// It says how far it is.
    Progress(Progress),
    /// It is gone, and reaped.
    Exited(ExitStatus),
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    progress: Option<Lines<BufReader<ChildStdout>>>,
    reader: Reader,
    errors: JoinHandle<()>,
}

impl Child {
    /// Starts it. The parent-death signal belongs to the thread that starts a process, so this thread has to live as long as
    /// the daemon: the daemon's runtime has no other.
    pub fn spawn(launch: &Launch<'_>, shared: Arc<Shared>) -> io::Result<Self> {
        let mut process = command(launch.program, launch.arguments, launch.nice)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // For uploads; ffmpeg reads what strangers publish.
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

    /// The process, until it is reaped.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// To the whole group. A process that is not reaped yet still has its id, so nobody else can be hit.
    pub fn signal(&self, signal: Signal) {
        let Some(pid) = self.process.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
        // Fails when the group is gone, or is not made yet.
        if killpg(Pid::from_raw(pid), signal).is_err() {
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), signal);
        }
    }

    /// Waits for what it does next; may be dropped and called again.
    pub async fn next(&mut self) -> ChildEvent {
        loop {
            let Some(progress) = &mut self.progress else { return ChildEvent::Exited(self.wait().await) };
            tokio::select! {
                line = progress.next_line() => match line {
                    Ok(Some(line)) => {
                        if let Some(progress) = self.reader.line(&line, Instant::now()) {
                            return ChildEvent::Progress(progress);
                        }
                    }
                    // It may have closed its standard output, and live.
                    Ok(None) | Err(_) => self.progress = None,
                },
                status = self.process.wait() => return ChildEvent::Exited(status.unwrap_or_default()),
            }
        }
    }

    async fn wait(&mut self) -> ExitStatus {
        self.process.wait().await.unwrap_or_default()
    }

    /// Reads the last words of a process that is gone.
    pub async fn drain(self) {
        last_words(self.errors).await;
    }
}

/// A program as the daemon starts all of them; what it reads and writes is for the caller to say.
pub fn command(program: &Path, arguments: &[OsString], nice: u8) -> Command {
    // The link leads to this very program even when its file was replaced.
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

/// Keeps and logs a line that a program says.
fn keep(line: &str, shared: &Shared, stream: &str, job: &str) {
    if shared.output.is_confidential(line) {
        return;
    }
    let (mut level, text) = output::parse(&shared.output.without_hidden(line));
    if shared.is_told_to_end() {
        // ffmpeg calls it an error that it was interrupted.
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

/// Says how many lines were left out, when it is time to.
pub fn tell_rest(shared: &Shared, stream: &str, job: &str) {
    if let Some(count) = shared.output.left_out(Instant::now()) {
        let text = format!("{count} more lines");
        tracing::warn!(stream, job, "ffmpeg: {text}");
        shared.output.push(Line { at: crate::clock::now(), level: "warning", text });
    }
}

/// Reads the last words of a program that is gone.
pub async fn last_words(mut listening: JoinHandle<()>) {
    if timeout(LAST_WORDS, &mut listening).await.is_err() {
        listening.abort();
    }
}
