//! `weir history`.

use clap::{Args, Subcommand};
use weir_model::{AppName, StreamName};

use super::JsonArg;
use super::daemon::SocketArg;
use crate::history::read::Table;
use crate::values::Since;

/// `weir history ...`
#[derive(Debug, Subcommand)]
pub(crate) enum HistoryCommand {
    /// List past and live streams, the newest first
    List(HistoryListArgs),
    /// Show one stream: quality, viewers per minute, targets, recordings
    Show(HistoryShowArgs),
    /// Print a table of the history for other programs
    Export(HistoryExportArgs),
}

/// Which rows.
#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Only this nginx-rtmp application
    #[arg(long)]
    pub app: Option<AppName>,
    /// Only the streams with this public name
    #[arg(long)]
    pub stream: Option<StreamName>,
    /// Not before: 2026-11-20T18:00:00Z, or 30d, 12h ago
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
}

/// `weir history list`
#[derive(Debug, Args)]
pub(crate) struct HistoryListArgs {
    /// Which streams
    #[command(flatten)]
    pub which: WhichArgs,
    /// Limit of lines
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir history show`
#[derive(Debug, Args)]
pub(crate) struct HistoryShowArgs {
    /// ID of the session, from `weir history list`
    pub session: String,
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Text or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir history export`
#[derive(Debug, Args)]
pub(crate) struct HistoryExportArgs {
    /// sessions, minutes, targets, recordings, chat or admin
    #[arg(default_value = "sessions")]
    pub table: Table,
    /// Print comma-separated values
    #[arg(long, required_unless_present = "json", conflicts_with = "json")]
    pub csv: bool,
    /// Which rows
    #[command(flatten)]
    pub which: WhichArgs,
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// JSON
    #[command(flatten)]
    pub json: JsonArg,
}
