//! Viewers who ask an origin for an edge, the answers, and the list of edges.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::cluster::figures::Figures;
use crate::cluster::record::EdgeId;

/// Answer for a viewer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Place {
    /// Name of the edge.
    pub edge: String,
    /// Address of the edge for viewers.
    pub address: String,
}

/// Reason why there is no edge for a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPlace {
    /// No edge is live that can serve the viewer, or all are drained.
    #[error("there is no edge at the moment")]
    NoEdge,
    /// All live edges that can serve the viewer and are not drained are full.
    #[error("all edges are full")]
    Full,
}

/// A viewer who asks where to watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer<'v> {
    /// Hash that is always the same for the same viewer.
    pub hash: u64,
    /// Address of the viewer.
    pub address: IpAddr,
    /// Bitrate of the stream, in bit/s; 0 if unknown. `None` if the stream is not live: the edge sends this viewer nothing.
    pub bitrate: Option<u64>,
    /// The stream, as `APP/NAME`.
    pub stream: &'v str,
    /// The viewer needs an edge with a daemon: an nginx that only caches has no pages.
    pub needs_daemon: bool,
    /// Edges that the viewer could not reach.
    pub not: &'v [EdgeId],
}

/// An edge in the list of edges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct View {
    /// Name of the edge.
    pub id: String,
    /// Address for viewers.
    pub address: String,
    /// Region of the edge.
    pub region: Option<String>,
    /// `up`, `full`, `draining` (as the edge reports), `drained` (by an administrator), or `down` (the
    /// edge or its nginx does not answer).
    pub state: String,
    /// Rate that the edge can send, in bit/s.
    pub bandwidth: u64,
    /// Rate that the edge reports as sent, in bit/s.
    pub egress: u64,
    /// Number of viewers.
    pub viewers: u32,
    /// Load per core.
    pub load: f64,
    /// Version of the edge's daemon.
    pub version: String,
    /// Streams that are live on the edge.
    pub streams: Vec<String>,
    /// weir.toml lists the edge.
    pub listed: bool,
    /// Time since the edge's last report, in milliseconds; `None` if the edge sends no reports.
    #[serde(default)]
    pub age_ms: Option<u64>,
    /// The edge's clock minus this server's, in milliseconds; `None` if unknown.
    #[serde(default)]
    pub skew_ms: Option<i64>,
    /// Workers, zone, disks and load of the edge; `None` if it does not report them.
    #[serde(default)]
    pub figures: Option<Figures>,
    /// Streams that the edge cannot pull.
    #[serde(default)]
    pub failing: Vec<String>,
    /// Applications whose viewers the edge cannot serve.
    #[serde(default)]
    pub refused: Vec<String>,
}
