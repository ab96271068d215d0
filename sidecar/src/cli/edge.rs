//! `weir edge` and `weir drain`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::JsonArg;
use super::daemon::SocketArg;
use crate::cluster::record::EdgeId;

/// `weir edge ...`
#[derive(Debug, Subcommand)]
pub enum EdgeCommand {
    /// List the edges of this origin
    List(EdgeListArgs),
    /// Send no more viewers to an edge
    Drain(EdgeDrainArgs),
    /// Send viewers to an edge again
    Undrain(EdgeDrainArgs),
}

/// `weir edge list`
#[derive(Debug, Args)]
pub struct EdgeListArgs {
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir edge drain` and `weir edge undrain`
#[derive(Debug, Args)]
pub struct EdgeDrainArgs {
    /// Name of the edge, from `weir edge list`
    #[arg(value_name = "EDGE")]
    pub id: EdgeId,
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Line or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// Out of service or in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// out of service
    On,
    /// in service
    Off,
}

/// `weir drain`
#[derive(Debug, Args)]
#[command(
    after_help = "keepalived reads the number in the file with track_file, `weir serve` of an edge with drain_file."
)]
pub struct DrainArgs {
    /// on: out of service; off: in service
    #[arg(value_enum)]
    pub switch: Switch,
    /// The file that keepalived and `weir serve` read
    #[arg(long, value_name = "FILE", default_value = crate::config::cluster::DRAIN_FILE, value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// What keepalived adds to the machine's priority while it is drained: -253 to -1
    #[arg(long, value_name = "N", default_value_t = -100, allow_negative_numbers = true, value_parser = clap::value_parser!(i16).range(-253..=-1))]
    pub priority: i16,
    /// Line or JSON
    #[command(flatten)]
    pub json: JsonArg,
}
