//! `weir doctor`

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::JsonArg;
use super::daemon::SocketOrConfigArg;

/// `weir doctor`
#[derive(Debug, Args)]
#[command(
    after_help = "Run it as root: others may not read all files. Exit status: 0 no problem found, 1 problems found."
)]
pub(crate) struct DoctorArgs {
    /// nginx's main configuration file; its includes are read too
    #[arg(long, value_name = "FILE", default_value = "/etc/nginx/nginx.conf", value_hint = ValueHint::FilePath)]
    pub conf: PathBuf,
    /// The nginx program: a path, or a name in PATH
    #[arg(long, value_name = "PROGRAM", default_value = "/usr/sbin/nginx", value_hint = ValueHint::CommandName)]
    pub nginx: PathBuf,
    /// Configuration of the daemon; without this file, no daemon is expected
    #[arg(long, value_name = "FILE", default_value = crate::config::DEFAULT_PATH, value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketOrConfigArg,
    /// Lines or JSON
    #[command(flatten)]
    pub json: JsonArg,
}
