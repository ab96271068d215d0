//! The file of an event, as parsed.

use serde::Deserialize;
use toml::Spanned;

use crate::config::check::{Number, Text};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct File {
    pub event: Text,
    pub start: Text,
    pub end: Text,
    pub lead: Text,
    pub edges: Number,
    pub max_edges: Number,
    pub budget: Number,
    pub drain: Text,
    pub boot: Text,
    pub replace_after: Text,
    pub timeout: Text,
    pub provider: Text,
    pub command: Option<Spanned<Vec<String>>>,
    pub server: Server,
    pub edge: Edge,
    pub dns: Option<Spanned<Dns>>,
    pub autoscale: Option<Spanned<Autoscale>>,
}

/// `[server]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Server {
    #[serde(rename = "type")]
    pub kind: Text,
    pub location: Text,
    pub image: Text,
    pub ssh_keys: Vec<Spanned<String>>,
    pub network: Text,
    pub firewall: Text,
    pub placement_group: Option<bool>,
}

/// `[edge]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Edge {
    pub origin: Text,
    pub address: Text,
    pub bandwidth: Text,
    pub transport: Text,
    pub rtmp: Text,
    pub test_stream: Text,
    pub packages: Option<Spanned<Vec<Spanned<String>>>>,
    pub setup: Option<String>,
}

/// `[dns]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Dns {
    pub command: Vec<String>,
    pub timeout: Text,
}

/// `[autoscale]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Autoscale {
    pub viewers_per_edge: Number,
    pub egress_share: Number,
    pub hysteresis: Number,
    pub cool_down: Text,
    pub interval: Text,
    pub min: Number,
    pub max: Number,
}
