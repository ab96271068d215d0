//! The answers to `weir init`.

use std::net::IpAddr;

use clap::ValueEnum;
use weir_model::link::Base;

/// Role of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// everything on one machine
    Single,
    /// one stream in, pushed to many services
    Restream,
    /// publishers come here, and edges fetch the streams
    Origin,
    /// serves viewers
    Edge,
    /// sends viewers to the edges
    Loadbalancer,
}

impl Role {
    /// Returns the role's word on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Restream => "restream",
            Self::Origin => "origin",
            Self::Edge => "edge",
            Self::Loadbalancer => "loadbalancer",
        }
    }
}

/// All data that the files need.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// Role of the machine.
    pub(crate) role: Role,
    /// Port of nginx for viewers and the API.
    pub(crate) http_port: u16,
    /// Port of nginx for RTMP.
    pub(crate) rtmp_port: u16,
    /// URL of this server for viewers; for `single` and `origin`.
    pub(crate) url: Option<Base>,
    /// Name of this server for encoders; for `restream`.
    pub(crate) public_name: Option<String>,
    /// Whether the files are added to Debian's nginx.conf; for `single`.
    pub(crate) drop_in: bool,
    /// Data of an `edge`.
    pub(crate) edge: Option<Edge>,
    /// Two machines with one address; for `restream`, `origin` and `loadbalancer`.
    pub(crate) pair: Option<Pair>,
}

/// Data of an edge.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// Pages of the origin; for an edge with only nginx, the origin's nginx.
    pub(crate) origin: Base,
    /// The origin's nginx for RTMP, if it does not use the default port.
    pub(crate) origin_rtmp: Option<String>,
    /// URL of this machine for viewers.
    pub(crate) address: Base,
    /// Bandwidth, as in weir.toml.
    pub(crate) bandwidth: String,
    /// Transport, as in weir.toml.
    pub(crate) transport: &'static str,
    /// Whether the edge runs only nginx.
    pub(crate) cache: bool,
}

/// Two machines with one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Shared address.
    pub(crate) address: IpAddr,
    /// Addresses of the two machines.
    pub(crate) machines: [IpAddr; 2],
    /// Network interface of these addresses.
    pub(crate) interface: String,
    /// Prefix length of the network.
    pub(crate) prefix: u8,
    /// `virtual_router_id`
    pub(crate) router_id: u8,
}

/// Returns `HOST[:PORT]` of an address.
pub(super) fn authority(base: &Base) -> &str {
    let text = base.as_str();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// Returns the host of an address; an IPv6 address is in brackets.
pub(crate) fn host(base: &Base) -> &str {
    let authority = authority(base);
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}
