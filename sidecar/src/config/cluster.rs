//! `[cluster]`, `[[region]]`, `[edge]` and `[loadbalancer]`: the machines that serve viewers together.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use weir_model::Network;
use weir_model::link::Base;

use super::check::{Checked, Problem, Text, Unfit, absolute, number, parsed, problem, text_or, time};
use crate::values::Rate;

mod balancer;
mod pair;
mod servers;

pub(crate) use balancer::LoadBalancer;
pub(super) use balancer::loadbalancer;
pub(crate) use pair::Pair;

pub(in crate::config) mod raw {
    use serde::Deserialize;
    use toml::Spanned;

    use crate::config::check::{Number, Text};

    /// `[cluster]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Cluster {
        pub secret_file: Text,
        pub peer: Text,
        pub pair_file: Text,
        pub pair_secret_file: Text,
        pub store: Text,
        pub etcd: Vec<Spanned<String>>,
        pub etcd_ca_file: Text,
        pub etcd_user: Text,
        pub etcd_password_file: Text,
        pub max_bandwidth: Text,
        pub edge: Vec<Spanned<ListedEdge>>,
    }

    impl Cluster {
        /// Returns whether it describes an origin's table of edges.
        pub(in crate::config) fn has_store(&self) -> bool {
            self.store.is_some() || !self.edge.is_empty()
        }
    }

    /// `[[cluster.edge]]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct ListedEdge {
        pub name: Text,
        pub address: Text,
        pub bandwidth: Text,
        pub region: Text,
        pub check: Text,
    }

    /// `[[region]]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Region {
        pub name: Text,
        pub networks: Vec<Spanned<String>>,
    }

    /// `[edge]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Edge {
        pub origin: Option<Spanned<Origins>>,
        pub name: Text,
        pub address: Text,
        pub bandwidth: Text,
        pub max_viewers: Number,
        pub max_chat_connections: Number,
        pub transport: Text,
        pub region: Text,
        pub rtmp: Option<Spanned<Origins>>,
        pub linger: Text,
        pub credential_file: Text,
        pub drain_file: Text,
    }

    /// One address, or several.
    #[derive(Debug, Deserialize)]
    #[serde(untagged, expecting = "expected a text in quotes, or a list of such texts")]
    pub(crate) enum Origins {
        One(String),
        Several(Vec<String>),
    }

    impl Origins {
        pub(crate) fn all(&self) -> &[String] {
            match self {
                Self::One(text) => std::slice::from_ref(text),
                Self::Several(all) => all,
            }
        }
    }

    /// `[loadbalancer]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct LoadBalancer {
        pub upstream_file: Text,
        pub scheme: Text,
        pub test: Option<Vec<String>>,
        pub reload: Option<Vec<String>>,
    }
}

/// Settings that the nodes of a cluster share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cluster {
    /// Secret that signs the requests of edges; without it, no edge can join.
    pub secret_file: Option<PathBuf>,
    /// Other node of a pair.
    pub pair: Option<Pair>,
    /// Place of the table of edges.
    pub store: Store,
    /// Maximum bandwidth that an edge counts with, in bit/s.
    pub max_bandwidth: u64,
    /// Edges that the file lists because they do not join by themselves.
    pub edges: Vec<ListedEdge>,
    /// `[[region]]`, in file order: the first region that contains a viewer's address applies.
    pub regions: Vec<Region>,
}

impl Cluster {
    /// Returns whether this node sends viewers to edges.
    pub(crate) fn is_origin(&self) -> bool {
        self.secret_file.is_some() || !self.edges.is_empty()
    }
}

/// Place of the table of edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// Memory of this daemon.
    Memory,
    /// etcd, shared by several origins.
    Etcd(Etcd),
}

/// Access to etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Etcd {
    /// URLs with `http://` or `https://`, without a path.
    pub endpoints: Vec<String>,
    /// Certificates of authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// User of etcd, and the file with the password.
    pub user: Option<(String, PathBuf)>,
}

/// An edge that the file lists.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListedEdge {
    /// Name of the edge in lists and answers.
    pub name: String,
    /// Address for viewers.
    pub address: Base,
    /// Bandwidth, in bit/s.
    pub bandwidth: u64,
    /// Name of its `[[region]]`, if it is in one.
    pub region: Option<String>,
    /// Path that the health check requests.
    pub check: String,
}

/// Networks of viewers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    /// Name, as edges use it.
    pub name: String,
    /// Networks of the region.
    pub networks: Vec<Network>,
}

/// Transport of streams from the origin to an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// RTMP, from the origin's nginx.
    Rtmp,
    /// WebSocket, from the origin's pages.
    Ws,
    /// WebRTC, from the origin's pages.
    WebRtc,
}

/// Settings of this node as an edge.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edge {
    /// Pages of the origins: the edge reports to all of them, and relays a stream from the first one that answers and has the stream.
    pub origins: Vec<Base>,
    /// Name of this edge at the origins.
    pub name: String,
    /// Address of this edge for viewers.
    pub address: Base,
    /// Bandwidth, in bit/s.
    pub bandwidth: u64,
    /// Maximum number of viewers.
    pub max_viewers: Option<u32>,
    /// Maximum number of connections to the origin for people in the chat.
    pub max_chat_connections: usize,
    /// Transport of streams from the origin.
    pub transport: Transport,
    /// Name of its `[[region]]`, if it is in one.
    pub region: Option<String>,
    /// Host and port of the nginx of each origin, for RTMP, in the order of `origins`.
    pub rtmp: Vec<super::RtmpServer>,
    /// Credential of this edge, used instead of the cluster's secret.
    pub credential_file: Option<PathBuf>,
    /// Time that the edge keeps a stream after its last viewer.
    pub linger: Duration,
    /// keepalived's `track_file`: while it contains a number other than 0, the origin sends no viewers here.
    pub drain_file: PathBuf,
}

/// Default for [`Edge::drain_file`] and `weir drain`.
pub(crate) const DRAIN_FILE: &str = "/etc/keepalived/drain";

const MAX_BANDWIDTH: u64 = 100_000_000_000;

/// Checks `[cluster]`. `secret` is the default of its `secret_file`.
pub(super) fn cluster(
    raw: raw::Cluster,
    regions: Vec<Spanned<raw::Region>>,
    secret: Option<&Path>,
) -> Checked<Cluster> {
    let edges: Vec<ListedEdge> = raw.edge.into_iter().map(listed).collect::<Checked<_>>()?;
    let secret_file = text_or(
        "secret_file",
        &raw.secret_file,
        || secret.map(Path::to_owned),
        |text| absolute(text).map(Some),
    )?;
    let ca_file = text_or("etcd_ca_file", &raw.etcd_ca_file, || None, |text| absolute(text).map(Some))?;
    let user = match (&raw.etcd_user, &raw.etcd_password_file) {
        (None, None) => None,
        (Some(user), None) => {
            return problem(user, "etcd_user: needs etcd_password_file, the file with the password");
        }
        (None, Some(file)) => {
            return problem(file, "etcd_password_file: needs etcd_user, the user with this password");
        }
        (Some(user), Some(_)) => {
            let file = text_or(
                "etcd_password_file",
                &raw.etcd_password_file,
                || None,
                |text| absolute(text).map(Some),
            )?;
            file.map(|file| (user.get_ref().clone(), file))
        }
    };
    let endpoints: Vec<String> = raw.etcd.iter().map(endpoint).collect::<Checked<_>>()?;
    let is_etcd = text_or(
        "store",
        &raw.store,
        || false,
        |text| match text {
            "memory" => Ok(false),
            "etcd" => Ok(true),
            _ => Err(Unfit::Remedy("must be \"memory\" or \"etcd\"")),
        },
    )?;
    let store = match (is_etcd, &raw.store) {
        (true, Some(text)) if endpoints.is_empty() => {
            return problem(
                text,
                "store = \"etcd\": etcd is missing, such as etcd = [\"http://127.0.0.1:2379\"]",
            );
        }
        (true, _) => Store::Etcd(Etcd { endpoints, ca_file, user }),
        (false, _) => Store::Memory,
    };
    let mut names = std::collections::BTreeSet::new();
    if let Some(twice) = edges.iter().find(|edge| !names.insert(&edge.name)) {
        let what =
            format!("[[cluster.edge]]: name = {:?} is there twice: each needs a name of its own", twice.name);
        return Err(Problem { at: raw.store.as_ref().map_or(0, |text| text.span().start), what });
    }
    Ok(Cluster {
        pair: pair::pair([&raw.peer, &raw.pair_file, &raw.pair_secret_file], secret_file.as_deref())?,
        secret_file,
        store,
        max_bandwidth: rate("max_bandwidth", &raw.max_bandwidth)?.unwrap_or(MAX_BANDWIDTH),
        edges,
        regions: regions.into_iter().map(region).collect::<Checked<_>>()?,
    })
}

fn endpoint(text: &Spanned<String>) -> Checked<String> {
    let given = text.get_ref().trim_end_matches('/');
    match given.parse::<Base>() {
        Ok(_) if given.matches('/').count() == 2 => Ok(given.to_owned()),
        _ => problem(
            text,
            format!("etcd: {given:?}: write it as http://127.0.0.1:2379 or https://etcd1.example.org:2379"),
        ),
    }
}

fn rate(key: &str, text: &Text) -> Checked<Option<u64>> {
    text_or(key, text, || None, |text| parsed::<Rate>(text).map(|rate| Some(rate.0)))
}

fn base(key: &str, text: &Text) -> Checked<Option<Base>> {
    text_or(key, text, || None, |text| parsed::<Base>(text.trim_end_matches('/')).map(Some))
}

fn name(key: &str, text: &Text) -> Checked<Option<String>> {
    text_or(
        key,
        text,
        || None,
        |text| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:[]".contains(&byte);
            match !text.is_empty() && text.len() <= 64 && text.bytes().all(fits) {
                true => Ok(Some(text.to_owned())),
                false => Err(Unfit::Remedy("must be 1 to 64 of A-Z a-z 0-9 . _ - :")),
            }
        },
    )
}

/// Returns the host and port of an address: `edge1.example.org:8443` of `https://edge1.example.org:8443/tv`.
fn host_of(address: &Base) -> String {
    let text = address.as_str();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

fn listed(written: Spanned<raw::ListedEdge>) -> Checked<ListedEdge> {
    let at = written.span().start;
    let raw = written.into_inner();
    let Some(address) = base("address", &raw.address)? else {
        let what =
            "[[cluster.edge]]: address is missing, such as address = \"https://edge1.example.org\"".into();
        return Err(Problem { at, what });
    };
    let Some(bandwidth) = rate("bandwidth", &raw.bandwidth)? else {
        let what = "[[cluster.edge]]: bandwidth is missing, such as bandwidth = \"1g\"".into();
        return Err(Problem { at, what });
    };
    let path = |text: &str| match text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err(Unfit::Remedy("write a path that begins with /, such as /healthz")),
    };
    Ok(ListedEdge {
        name: name("name", &raw.name)?.unwrap_or_else(|| host_of(&address)),
        region: name("region", &raw.region)?,
        check: text_or("check", &raw.check, || "/".to_owned(), path)?,
        address,
        bandwidth,
    })
}

fn region(written: Spanned<raw::Region>) -> Checked<Region> {
    let at = written.span().start;
    let raw = written.into_inner();
    let Some(name) = name("name", &raw.name)? else {
        return Err(Problem { at, what: "[[region]]: name is missing, such as name = \"eu\"".into() });
    };
    let network = |text: &Spanned<String>| {
        parsed(text.get_ref())
            .or_else(|why: Unfit| problem(text, format!("networks: {:?}: {why}", text.get_ref())))
    };
    Ok(Region { name, networks: raw.networks.iter().map(network).collect::<Checked<_>>()? })
}

/// Checks `[edge]`. `secret` is the `secret_file` of `[cluster]`.
pub(super) fn edge(written: Option<Spanned<raw::Edge>>, secret: Option<&Path>) -> Checked<Option<Edge>> {
    let Some(written) = written else { return Ok(None) };
    let at = written.span().start;
    let raw = written.into_inner();
    let missing = |key: &str, example: &str| Problem {
        at,
        what: format!("[edge]: {key} is missing, such as {key} = {example:?}"),
    };
    let written = raw.origin.as_ref();
    let at_origin = written.map_or(at, |origins| origins.span().start);
    let origin = |text: &String| {
        parsed::<Base>(text.trim_end_matches('/'))
            .map_err(|why| Problem { at: at_origin, what: format!("origin = {text:?}: {why}") })
    };
    let written = written.map_or(&[][..], |origins| origins.get_ref().all());
    let origins: Vec<Base> = written.iter().map(origin).collect::<Checked<_>>()?;
    if origins.is_empty() {
        return Err(missing("origin", "https://origin.example.org/tv"));
    }
    let credential_file =
        text_or("credential_file", &raw.credential_file, || None, |text| absolute(text).map(Some))?;
    if secret.is_none() && credential_file.is_none() {
        let what =
            "[edge]: needs secret_file of [cluster], a copy of the origin's file, or credential_file of [edge]"
                .into();
        return Err(Problem { at, what });
    }
    let address =
        base("address", &raw.address)?.ok_or_else(|| missing("address", "https://edge1.example.org"))?;
    let transport = |text: &str| match text {
        "rtmp" => Ok(Transport::Rtmp),
        "ws" => Ok(Transport::Ws),
        "webrtc" => Ok(Transport::WebRtc),
        _ => Err(Unfit::Remedy("must be \"rtmp\", \"ws\" or \"webrtc\"")),
    };
    Ok(Some(Edge {
        name: name("name", &raw.name)?.unwrap_or_else(|| host_of(&address)),
        bandwidth: rate("bandwidth", &raw.bandwidth)?.ok_or_else(|| missing("bandwidth", "1g"))?,
        max_viewers: match &raw.max_viewers {
            None => None,
            some => Some(number("max_viewers", some, 1, 1, 10_000_000)?),
        },
        max_chat_connections: number("max_chat_connections", &raw.max_chat_connections, 800, 1, 1_000_000)?
            as usize,
        transport: text_or("transport", &raw.transport, || Transport::Rtmp, transport)?,
        region: name("region", &raw.region)?,
        rtmp: servers::of_origins(
            raw.rtmp.as_ref().map_or(0, |servers| servers.span().start),
            raw.rtmp.as_ref().map_or(&[], |servers| servers.get_ref().all()),
            origins.iter().map(host_of).collect(),
        )?,
        linger: time("linger", &raw.linger, 30, 1, 3600)?,
        drain_file: text_or("drain_file", &raw.drain_file, || DRAIN_FILE.into(), absolute)?,
        credential_file,
        address,
        origins,
    }))
}

#[cfg(test)]
mod tests;
