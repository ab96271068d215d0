//! `weir chat`.

use clap::{Args, Subcommand};

use super::JsonArg;
use super::daemon::SocketArg;
use super::history::WhichArgs;

/// `weir chat ...`
#[derive(Debug, Subcommand)]
pub(crate) enum ChatCommand {
    /// Print the messages of the chat for other programs, the oldest first
    Export(ChatExportArgs),
}

/// `weir chat export`
#[derive(Debug, Args)]
pub(crate) struct ChatExportArgs {
    /// Print comma-separated values
    #[arg(long, required_unless_present = "json", conflicts_with = "json")]
    pub csv: bool,
    /// Which messages
    #[command(flatten)]
    pub which: WhichArgs,
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// JSON
    #[command(flatten)]
    pub json: JsonArg,
}
