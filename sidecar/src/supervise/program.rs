//! An ffmpeg between two pipes. It works for viewers and publishers of this process.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::helpers::Helper;
use super::{child, output};
use crate::config::Jobs;

/// First arguments of each ffmpeg.
const COMMON: &str = "-hide_banner -nostdin -nostats -loglevel level+error";

/// A running ffmpeg.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) running: Running,
}

/// A running process. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    process: Child,
    errors: JoinHandle<()>,
}

impl Program {
    /// Starts ffmpeg. The arguments contain no secrets, and no argument contains a space.
    pub(crate) fn start(jobs: &Jobs, helper: &Helper, arguments: &str) -> io::Result<Self> {
        let mut process = ffmpeg(jobs, arguments).stderr(Stdio::piped()).spawn()?;
        let pipes = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("no pipes"));
        };
        let (stream, shared) = (helper.stream(), helper.shared().clone());
        let errors = tokio::spawn(output::listen(stderr, move |line| {
            let (level, text) = output::parse(&line);
            tracing::warn!(stream, "ffmpeg for WebRTC: {text}");
            Helper::said(&shared, level, text);
        }));
        helper.started(process.id());
        Ok(Self { stdin, stdout, running: Running { process, errors } })
    }

    /// Returns the process id until the process is reaped.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.process.id()
    }
}

/// Returns the command for an ffmpeg between two pipes.
fn ffmpeg(jobs: &Jobs, arguments: &str) -> Command {
    let words = COMMON.split_whitespace().chain(arguments.split_whitespace());
    let arguments: Vec<OsString> = words.map(OsString::from).collect();
    let mut command = child::command(&jobs.ffmpeg, &arguments, jobs.nice);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env_remove("AWS_SESSION_TOKEN");
    command
}

/// Runs ffmpeg once with this input, and returns its output, which may have `most` bytes. The arguments are as for [`Program::start`]. The
/// process is killed if the future is dropped.
pub(crate) async fn convert(jobs: &Jobs, arguments: &str, input: &[Bytes], most: u64) -> io::Result<Vec<u8>> {
    let mut process = ffmpeg(jobs, arguments).stderr(Stdio::null()).spawn()?;
    let (Some(mut stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
        return Err(io::Error::other("no pipes"));
    };
    let feed = async move {
        for bytes in input {
            // ffmpeg may have enough, or report its own error.
            if stdin.write_all(bytes).await.is_err() {
                return;
            }
        }
    };
    let mut output = Vec::new();
    let mut stdout = stdout.take(most + 1);
    let ((), read) = tokio::join!(feed, stdout.read_to_end(&mut output));
    if read? as u64 > most {
        return Err(io::Error::other(format!("the output has more than {most} bytes")));
    }
    let status = process.wait().await?;
    if !status.success() || output.is_empty() {
        return Err(io::Error::other(format!("ffmpeg could not decode the stream: {status}")));
    }
    Ok(output)
}

impl Running {
    /// Kills the process, and waits until it has ended.
    pub(crate) async fn end(mut self) {
        let _ = self.process.kill().await;
        self.errors.abort();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.errors.abort();
    }
}
