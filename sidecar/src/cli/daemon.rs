//! `weir serve` and `weir job`.
// Brackets in a help text are no links.
#![allow(rustdoc::broken_intra_doc_links)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};

use super::JsonArg;
use crate::config;

/// `weir serve`
#[derive(Debug, Args)]
#[command(after_help = "SIGHUP reloads the configuration. SIGTERM stops all jobs, then the daemon.")]
pub(crate) struct ServeArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH, value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// Check the configuration and exit
    #[arg(long)]
    pub check: bool,
}

/// `weir job ...`
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List the daemon's ffmpeg jobs
    List(JobListArgs),
    /// Print the last output lines of a job's ffmpeg
    Logs(JobLogsArgs),
    /// Restart a job's ffmpeg
    Restart(JobRestartArgs),
}

/// `weir job list`
#[derive(Debug, Args)]
pub(crate) struct JobListArgs {
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir job logs`
#[derive(Debug, Args)]
pub(crate) struct JobLogsArgs {
    /// Name of the job, from `weir job list`
    #[arg(value_name = "JOB")]
    pub id: String,
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Text or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir job restart`
#[derive(Debug, Args)]
pub(crate) struct JobRestartArgs {
    /// Name of the job, from `weir job list`
    #[arg(value_name = "JOB")]
    pub id: String,
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Text or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `--socket`
#[derive(Debug, Args)]
pub(crate) struct SocketArg {
    /// Socket of the daemon (or in WEIR_SOCKET)
    #[arg(
        long,
        value_name = "FILE",
        env = "WEIR_SOCKET",
        hide_env = true,
        default_value = config::DEFAULT_SOCKET,
        value_hint = ValueHint::FilePath
    )]
    pub socket: PathBuf,
}

/// `--socket` of a command with `--config`
#[derive(Debug, Args)]
pub(crate) struct SocketOrConfigArg {
    /// Socket of the daemon (or in WEIR_SOCKET) [default: socket of [daemon] in the file of --config]
    #[arg(long, value_name = "FILE", env = "WEIR_SOCKET", hide_env = true, value_hint = ValueHint::FilePath)]
    pub socket: Option<PathBuf>,
}

impl SocketOrConfigArg {
    /// Returns the socket; `file` is the file of `--config`.
    pub(crate) fn path(&self, file: &Path) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| config::socket_of(file))
    }
}

/// `weir become`
#[derive(Debug, Args)]
pub(crate) struct BecomeArgs {
    /// Exit when this process exits
    pub parent: i32,
    /// Nice value, 0 to 19
    pub nice: u8,
    /// Program and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub command: Vec<OsString>,
}
