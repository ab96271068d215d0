//! What was asked for.

use std::net::IpAddr;

use clap::ValueEnum;
use weir_model::link::Base;

/// What a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
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
    /// As on the command line.
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

/// All that the files need to know.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// What the machine is.
    pub(crate) role: Role,
    /// nginx for viewers and the API.
    pub(crate) http_port: u16,
    /// nginx for RTMP.
    pub(crate) rtmp_port: u16,
    /// This server for viewers: of `single` and `origin`.
    pub(crate) url: Option<Base>,
    /// This server for encoders: of `restream`.
    pub(crate) public_name: Option<String>,
    /// Files beside Debian's nginx.conf: of `single`.
    pub(crate) drop_in: bool,
    /// Of `edge`.
    pub(crate) edge: Option<Edge>,
    /// Two machines with one address: of `restream`, `origin` and `loadbalancer`.
    pub(crate) pair: Option<Pair>,
}

/// What an edge knows.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// Pages of the origin; of an edge of nginx alone, the origin's nginx.
    pub(crate) origin: Base,
    /// The origin's nginx, if it is not at the usual port.
    pub(crate) origin_rtmp: Option<String>,
    /// This machine for viewers.
    pub(crate) address: Base,
    /// As weir.toml has it.
    pub(crate) bandwidth: String,
    /// Likewise.
    pub(crate) transport: &'static str,
    /// nginx alone.
    pub(crate) cache: bool,
}

/// Two machines with one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The shared one.
    pub(crate) address: IpAddr,
    /// Their own ones.
    pub(crate) machines: [IpAddr; 2],
    /// Where all of these are.
    pub(crate) interface: String,
    /// Length of their network's prefix.
    pub(crate) prefix: u8,
    /// `virtual_router_id`
    pub(crate) router_id: u8,
}

/// `HOST[:PORT]` of an address.
pub(super) fn authority(base: &Base) -> &str {
    let text = base.as_str();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// The host of an address, of IPv6 in brackets.
pub(crate) fn host(base: &Base) -> &str {
    let authority = authority(base);
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}
