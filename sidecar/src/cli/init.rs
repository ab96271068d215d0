//! `weir init`.
#![allow(rustdoc::bare_urls, reason = "clap prints these texts as they are")]

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum, ValueHint};
use weir_model::link::Base;

use super::JsonArg;
use crate::init::Role;
use crate::values::{Host, Rate, ValueError};

/// Transport of streams to an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportName {
    /// from the origin's nginx
    Rtmp,
    /// from the origin's pages
    Ws,
    /// from the origin's pages over WebRTC
    #[value(name = "webrtc")]
    WebRtc,
}

impl TransportName {
    /// Returns the word for weir.toml.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Ws => "ws",
            Self::WebRtc => "webrtc",
        }
    }
}

/// `rtmp://HOST[:PORT]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OriginRtmp(pub String);

impl FromStr for OriginRtmp {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::new("write it as rtmp://origin.example.org:1935, without an application");
        let place = s.strip_prefix("rtmp://").ok_or_else(wrong)?;
        let Host(host) = place.trim_end_matches('/').parse().map_err(|_| wrong())?;
        Ok(Self(format!("rtmp://{host}")))
    }
}

/// `weir init`
#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal, the command asks for what no option says. Otherwise each answer without a default \
needs its option. The files are the samples of nginx-conf/ with your names in them."
)]
pub(crate) struct InitArgs {
    /// Role of this machine
    #[arg(value_enum)]
    pub role: Role,
    /// Folder for the files; must be empty or must not exist
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
    /// Write into a folder that is not empty; secrets that are there stay
    #[arg(long)]
    pub force: bool,
    /// single, origin: address of this server for viewers: http(s)://HOST[:PORT]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub url: Option<Base>,
    /// restream: host of this server for encoders
    #[arg(long, value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub public_name: Option<Host>,
    /// single: files beside Debian's nginx.conf instead of a whole one, so the sites of this machine stay
    #[arg(long)]
    pub drop_in: bool,
    /// edge: pages of the origin, such as https://origin.example.org/tv; with --cache, its nginx
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub origin: Option<Base>,
    /// edge: the origin's nginx: rtmp://HOST[:PORT] [default: port 1935 of the host of --origin]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub origin_rtmp: Option<OriginRtmp>,
    /// edge: address of this machine for viewers, such as https://edge1.example.org
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub address: Option<Base>,
    /// edge: what the network of this machine can send, in bits per second: 500m, 1g, 10g
    #[arg(long, value_name = "RATE")]
    pub bandwidth: Option<Rate>,
    /// edge: how streams come from the origin [default: rtmp]
    #[arg(long, value_enum)]
    pub transport: Option<TransportName>,
    /// edge: nginx alone, which caches the files of the origin
    #[arg(long)]
    pub cache: bool,
    /// edge, loadbalancer: the origin's cluster.secret, which is copied; origin: that of another origin [default: a new one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub cluster_secret: Option<PathBuf>,
    /// weir_secret of another machine, which is copied, so that tokens of both are valid here [default: a new one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub secret: Option<PathBuf>,
    /// restream, origin, loadbalancer: address that two machines share, by keepalived
    #[arg(long, value_name = "IP")]
    pub virtual_ip: Option<IpAddr>,
    /// Address of the first of the two machines
    #[arg(long, value_name = "IP")]
    pub machine_a: Option<IpAddr>,
    /// Address of the second of the two machines
    #[arg(long, value_name = "IP")]
    pub machine_b: Option<IpAddr>,
    /// Network interface of these addresses [default: eth0]
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
    /// Prefix length of their network [default: 24, or 64 for IPv6]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=128))]
    pub prefix: Option<u8>,
    /// Number of the pair, which no other pair of the network uses [default: 51, for load balancers 52]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=255))]
    pub router_id: Option<u8>,
    /// Port of nginx for viewers and the API
    #[arg(long, value_name = "PORT", default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..))]
    pub http_port: u16,
    /// Port of nginx for RTMP
    #[arg(long, value_name = "PORT", default_value_t = 1935, value_parser = clap::value_parser!(u16).range(1..))]
    pub rtmp_port: u16,
    /// Lines or JSON
    #[command(flatten)]
    pub json: JsonArg,
}
