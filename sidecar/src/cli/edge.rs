//! `weir edge`, `weir pair` and `weir drain`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use weir_model::link::Base;

use super::JsonArg;
use super::daemon::SocketArg;
use crate::cluster::record::EdgeId;
use crate::values::Span;

/// `weir edge ...`
#[derive(Debug, Subcommand)]
pub(crate) enum EdgeCommand {
    /// List the edges of this origin
    List(EdgeListArgs),
    /// Send no more viewers to an edge
    Drain(EdgeDrainArgs),
    /// Send viewers to an edge again
    Undrain(EdgeDrainArgs),
    /// Create a ticket on an origin, with which one edge joins once
    Ticket(EdgeTicketArgs),
    /// Exchange a ticket for the credential of an edge
    Join(EdgeJoinArgs),
}

/// `weir edge list`
#[derive(Debug, Args)]
pub(crate) struct EdgeListArgs {
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir edge drain` and `weir edge undrain`
#[derive(Debug, Args)]
pub(crate) struct EdgeDrainArgs {
    /// Name of the edge, from `weir edge list`; its host is enough if only one edge has it
    #[arg(value_name = "EDGE")]
    pub id: EdgeId,
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Line or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir edge ticket`
#[derive(Debug, Args)]
pub(crate) struct EdgeTicketArgs {
    /// Name of the edge: `name` of [edge] in its weir.toml
    #[arg(value_name = "EDGE")]
    pub id: EdgeId,
    /// How long the ticket is valid: 1h, 30m
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub ttl: Span,
    /// How long the edge may use its credential
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub credential_ttl: Span,
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Line or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir edge join`
#[derive(Debug, Args)]
#[command(
    after_help = "The file is for credential_file of [edge] in weir.toml. With it, an edge needs no copy of the cluster's secret."
)]
pub(crate) struct EdgeJoinArgs {
    /// Address of the origin's pages
    #[arg(value_name = "ORIGIN", value_hint = ValueHint::Url)]
    pub origin: Base,
    /// Where the credential is written
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub credential_file: PathBuf,
    /// File with the ticket, from `weir edge ticket` on the origin
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ticket_file: PathBuf,
    /// User who owns the file
    #[arg(long, value_name = "USER", value_hint = ValueHint::Username)]
    pub owner: Option<String>,
    /// How long to retry if the origin does not answer
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub timeout: Span,
    /// Line or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// `weir pair`
#[derive(Debug, Args)]
pub(crate) struct PairArgs {
    /// Which daemon
    #[command(flatten)]
    pub daemon: SocketArg,
    /// Table or JSON
    #[command(flatten)]
    pub json: JsonArg,
}

/// State of a machine: out of service, or in service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
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
pub(crate) struct DrainArgs {
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
