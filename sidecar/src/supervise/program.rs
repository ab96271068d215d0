//! An ffmpeg between two pipes. It works for media over WebRTC.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;

use tokio::process::{Child, ChildStdin, ChildStdout};
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
        let words = COMMON.split_whitespace().chain(arguments.split_whitespace());
        let arguments: Vec<OsString> = words.map(OsString::from).collect();
        let mut process = child::command(&jobs.ffmpeg, &arguments, jobs.nice)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env_remove("AWS_SESSION_TOKEN")
            .spawn()?;
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
