//! `weir serve` and `weir job`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::JsonArg;

/// `weir serve`
#[derive(Debug, Args)]
#[command(after_help = "SIGHUP reads the configuration again, SIGTERM ends all jobs first.")]
pub struct ServeArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = crate::config::DEFAULT_PATH, value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// Only say whether the configuration is good
    #[arg(long)]
    pub check: bool,
}

/// `weir job ...`
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// List the ffmpeg jobs of the daemon
    List(JobListArgs),
    /// Print the last lines that a job's ffmpeg wrote
    Logs(JobLogsArgs),
    /// End a job's ffmpeg and start it anew
    Restart(JobRestartArgs),
}

/// `weir job list`
#[derive(Debug, Args)]
pub struct JobListArgs {
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir job logs`
#[derive(Debug, Args)]
pub struct JobLogsArgs {
    /// The job, from `weir job list`
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
pub struct JobRestartArgs {
    /// The job, from `weir job list`
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
pub struct SocketArg {
    /// The socket of weir serve (or in WEIR_SOCKET)
    #[arg(
        long,
        value_name = "FILE",
        env = "WEIR_SOCKET",
        hide_env = true,
        default_value = "/run/weir/weir.sock",
        value_hint = ValueHint::FilePath
    )]
    pub socket: PathBuf,
}

/// `weir become`
#[derive(Debug, Args)]
pub struct BecomeArgs {
    /// The process whose death is this one's too
    pub parent: i32,
    /// 0 to 19
    pub nice: u8,
    /// What to become
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub command: Vec<OsString>,
}
