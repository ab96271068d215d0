//! An ffmpeg between two pipes. It ends with the thread of WebRTC, which lives as long as the daemon.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;

use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use crate::config::Jobs;
use crate::supervise::helpers::Helper;
use crate::supervise::{child, output};

/// What each of them begins with.
const COMMON: &str = "-hide_banner -nostdin -nostats -loglevel level+error";

/// A running ffmpeg.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) running: Running,
}

/// Killed when dropped.
#[derive(Debug)]
pub(super) struct Running {
    process: Child,
    errors: JoinHandle<()>,
}

impl Program {
    /// Starts one. The arguments have no secret and no blank inside.
    pub(super) fn start(jobs: &Jobs, helper: &Helper, arguments: &str) -> io::Result<Self> {
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

    /// The process, until it is reaped.
    pub(super) fn pid(&self) -> Option<u32> {
        self.running.process.id()
    }
}

impl Running {
    /// Ends it, and waits until it is gone.
    pub(super) async fn end(mut self) {
        let _ = self.process.kill().await;
        self.errors.abort();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.errors.abort();
    }
}
