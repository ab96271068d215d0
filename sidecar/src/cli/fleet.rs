//! `weir fleet`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::JsonArg;
use super::daemon::SocketArg;

/// `weir fleet ...`
#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Show the servers of an event, their times and their price, and create nothing
    Plan(FleetPlanArgs),
    /// Create the servers of an event, and wait until each serves the test stream
    Up(FleetUpArgs),
    /// Drain and delete all servers of an event
    Down(FleetDownArgs),
    /// Show the servers that an event has now, their age and their cost
    Status(FleetStatusArgs),
}

/// `weir fleet plan`
#[derive(Debug, Args)]
#[command(after_help = "Exit status 1: the plan does not fit into the budget.")]
pub(crate) struct FleetPlanArgs {
    /// The event's file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Text or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir fleet up`
#[derive(Debug, Args)]
#[command(
    after_help = "HCLOUD_TOKEN is the token of the project at Hetzner, HCLOUD_ENDPOINT another address of its API."
)]
pub(crate) struct FleetUpArgs {
    /// The event's file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Stay until the event's end: wait for it, scale as [autoscale] says, then drain and delete the servers
    #[arg(long)]
    pub follow: bool,
    /// Exit when the servers are created
    #[arg(long, conflicts_with = "follow")]
    pub no_wait: bool,
    /// Where the cost of deleted servers is kept
    #[command(flatten)]
    pub state: StateArg,
    /// The origin's daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Text or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir fleet down`
#[derive(Debug, Args)]
pub(crate) struct FleetDownArgs {
    /// The event's file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Delete the servers without waiting for their viewers
    #[arg(long)]
    pub now: bool,
    /// Where the cost of deleted servers is kept
    #[command(flatten)]
    pub state: StateArg,
    /// The origin's daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Text or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir fleet status`
#[derive(Debug, Args)]
#[command(after_help = "Exit status 1: servers are running although the event is over.")]
pub(crate) struct FleetStatusArgs {
    /// The event's file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Where the cost of deleted servers is kept
    #[command(flatten)]
    pub state: StateArg,
    /// The origin's daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `--state`
#[derive(Debug, Args)]
pub(crate) struct StateArg {
    /// Folder for the cost of servers that are deleted already
    #[arg(long = "state", value_name = "DIR", default_value = "/var/lib/weir/fleet", value_hint = ValueHint::DirPath)]
    pub folder: PathBuf,
}
