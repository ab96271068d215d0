//! The file of a rented fleet: the servers to rent, the time and the budget. `weir fleet` reads it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use weir_model::link::Base;
use weir_model::{AppName, StreamName, Timestamp};

use super::check::{Checked, Number, Text, Unfit, number, parsed, problem, text_or, time};
use super::{Error, RtmpServer, understand};
use crate::http::public::host_may_be_public;
use crate::values::Rate;

mod raw;
mod scale;
#[cfg(test)]
mod tests;

pub(crate) use scale::Autoscale;

/// Maximum number of servers per event.
const MOST: u32 = 500;
/// Maximum length of an event, in seconds: an event of this length pays at most one monthly price per server.
const LONGEST: u64 = 28 * 86_400;

/// The checked file of an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fleet {
    /// Name of the event; the names of its servers start with it.
    pub event: String,
    /// Time when viewers arrive.
    pub start: Timestamp,
    /// Time when viewers have left.
    pub end: Timestamp,
    /// Time before `start` at which the servers are created.
    pub lead: Duration,
    /// Number of edges from the start.
    pub edges: u32,
    /// Maximum number of servers that exist simultaneously.
    pub max_edges: u32,
    /// Maximum cost of the whole event, in euros.
    pub budget: u32,
    /// Time that a server waits for its viewers to leave before its deletion.
    pub drain: Duration,
    /// Time within which a new server must serve the test stream.
    pub boot: Duration,
    /// Time without a report to the origin after which a server is replaced.
    pub replace_after: Duration,
    /// Provider of the servers.
    pub provider: Provider,
    /// Kind of server to rent.
    pub server: Server,
    /// Settings of the edge on each server.
    pub edge: Edge,
    /// Program that publishes DNS names of the edges.
    pub dns: Option<Dns>,
    /// Automatic scaling of the number of edges.
    pub autoscale: Option<Autoscale>,
}

/// Provider of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    /// Hetzner Cloud.
    Hetzner {
        /// Maximum duration of one request.
        timeout: Duration,
    },
    /// A program of the administrator.
    Command {
        /// Program and its first arguments.
        run: Vec<String>,
        /// Maximum duration of one call.
        timeout: Duration,
    },
}

/// Kind of server to rent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// Server type, in the provider's terms.
    pub kind: String,
    /// Location, in the provider's terms.
    pub location: String,
    /// Image, in the provider's terms.
    pub image: String,
    /// Names of SSH keys at the provider.
    pub ssh_keys: Vec<String>,
    /// Name of an existing network.
    pub network: Option<String>,
    /// Name of an existing firewall.
    pub firewall: Option<String>,
    /// Whether the servers run on different hosts.
    pub placement_group: bool,
}

/// Settings of the edge on a rented server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edge {
    /// Pages of the origin.
    pub origin: Base,
    /// Address for viewers, with `{ip}` and `{name}`.
    pub address: String,
    /// Bandwidth, in bit/s.
    pub bandwidth: u64,
    /// Transport, as `transport` of `[edge]` in weir.toml.
    pub transport: &'static str,
    /// nginx of the origin, for RTMP.
    pub rtmp: Option<RtmpServer>,
    /// Stream that each server has to serve before viewers arrive.
    pub test_stream: (AppName, StreamName),
    /// Packages for apt: names, paths on the server, or URLs that end with the SHA-256.
    pub packages: Vec<String>,
    /// A script that runs on the server before nginx starts.
    pub setup: Option<PathBuf>,
}

/// Program that publishes DNS names of the edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dns {
    /// Program and its arguments.
    pub command: Vec<String>,
    /// Maximum duration of a call.
    pub timeout: Duration,
}

/// Reads and checks a file.
///
/// # Errors
///
/// Returns an error with the file, or with the line, the key and what would be right.
pub(crate) fn load(path: &Path) -> Result<Fleet, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::Unread { path: path.into(), why: error.to_string() })?;
    parse(path, &text)
}

/// Checks a text; `path` is only for messages.
///
/// # Errors
///
/// Returns the same errors as [`load`].
pub(crate) fn parse(path: &Path, text: &str) -> Result<Fleet, Error> {
    understand(path, text, fleet).map_err(|error| match error {
        Error::Wrong { path, line, what } if what.starts_with("budget: invalid type") => {
            Error::Wrong { path, line, what: what.replace("a whole number", "whole euros, such as 3") }
        }
        other => other,
    })
}

fn fleet(file: raw::File) -> Checked<Fleet> {
    let event = required("event", &file.event, "gala", name)?;
    let (Some(at), moment) = (&file.end, |key: &str, text: &Text| required(key, text, EXAMPLE, moment))
    else {
        return Err(missing("end", EXAMPLE));
    };
    let (start, end) = (moment("start", &file.start)?, moment("end", &file.end)?);
    if end <= start || end.millis_since(start) > LONGEST * 1000 {
        return problem(at, "end: must be after start, by at most 28d");
    }
    let edges = whole("edges", &file.edges, 1, MOST)?;
    let max_edges = number("max_edges", &file.max_edges, edges, edges, MOST)?;
    let provider = provider(&file)?;
    let autoscale = file.autoscale.map(|written| scale::autoscale(written, edges, max_edges)).transpose()?;
    let dns = match file.dns {
        None => None,
        Some(written) => {
            let at = written.span().start;
            let raw = written.into_inner();
            let command = program(at, "[dns]: command", raw.command)?;
            Some(Dns { command, timeout: time("timeout", &raw.timeout, 30, 1, 600)? })
        }
    };
    Ok(Fleet {
        event,
        start,
        end,
        lead: time("lead", &file.lead, 1800, 0, 86_400)?,
        edges,
        max_edges,
        budget: whole("budget", &file.budget, 1, 1_000_000)?,
        drain: time("drain", &file.drain, 300, 0, 86_400)?,
        boot: time("boot", &file.boot, 600, 10, 7200)?,
        replace_after: time("replace_after", &file.replace_after, 120, 10, 28 * 86_400)?,
        provider,
        server: server(file.server)?,
        edge: edge(file.edge)?,
        dns,
        autoscale,
    })
}

const EXAMPLE: &str = "2026-12-24T18:00:00+01:00";

fn missing(key: &str, example: &str) -> super::check::Problem {
    super::check::Problem { at: 0, what: format!("{key} is missing, such as {key} = {example:?}") }
}

fn required<T>(
    key: &str,
    text: &Text,
    example: &str,
    parse: impl FnOnce(&str) -> Result<T, Unfit>,
) -> Checked<T> {
    let value = text_or(key, text, || None, |text| parse(text).map(Some))?;
    value.ok_or_else(|| missing(key, example))
}

fn whole(key: &str, written: &Number, least: u32, most: u32) -> Checked<u32> {
    match written {
        None => Err(super::check::Problem { at: 0, what: format!("{key} is missing, such as {key} = 3") }),
        some => number(key, some, least, least, most),
    }
}

fn moment(text: &str) -> Result<Timestamp, Unfit> {
    text.parse().map_err(|_| Unfit::Remedy("write it as 2026-12-24T18:00:00Z or 2026-12-24T19:00:00+01:00"))
}

/// Checks a name that becomes part of host names and labels.
fn name(text: &str) -> Result<String, Unfit> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_good = !text.is_empty() && text.len() <= 40 && text.bytes().all(fits);
    match is_good && !text.starts_with('-') && !text.ends_with('-') {
        true => Ok(text.to_owned()),
        false => Err(Unfit::Remedy("must be 1 to 40 of a-z 0-9 -, and begin and end with a letter or digit")),
    }
}

/// Checks a term of the provider, such as a server type.
fn word(text: &str) -> Result<String, Unfit> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match !text.is_empty() && text.len() <= 128 && text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(Unfit::Remedy("must be 1 to 128 of A-Z a-z 0-9 . _ -")),
    }
}

fn program(at: usize, key: &str, words: Vec<String>) -> Checked<Vec<String>> {
    match words.first() {
        Some(program) if program.starts_with('/') => Ok(words),
        _ => Err(super::check::Problem {
            at,
            what: format!(
                "{key}: write a program with its whole path, and its arguments: [\"/usr/local/bin/program\", \"argument\"]"
            ),
        }),
    }
}

fn provider(file: &raw::File) -> Checked<Provider> {
    let is_command = text_or(
        "provider",
        &file.provider,
        || false,
        |text| match text {
            "hetzner" => Ok(false),
            "command" => Ok(true),
            _ => Err(Unfit::Remedy("must be \"hetzner\" or \"command\"")),
        },
    )?;
    let timeout = time("timeout", &file.timeout, if is_command { 120 } else { 20 }, 1, 600)?;
    match (is_command, &file.command) {
        (false, None) => Ok(Provider::Hetzner { timeout }),
        (false, Some(command)) => problem(command, "command: is for provider = \"command\""),
        (true, None) => Err(super::check::Problem {
            at: file.provider.as_ref().map_or(0, |text| text.span().start),
            what:
                "provider = \"command\": command is missing, such as command = [\"/usr/local/bin/my-cloud\"]"
                    .into(),
        }),
        (true, Some(command)) => {
            let run = program(command.span().start, "command", command.get_ref().clone())?;
            Ok(Provider::Command { run, timeout })
        }
    }
}

fn server(raw: raw::Server) -> Checked<Server> {
    let keys = |text: &Spanned<String>| match text.get_ref().is_empty()
        || text.get_ref().contains(char::is_control)
    {
        true => {
            problem(text, format!("ssh_keys: {:?}: write the name that the provider shows", text.get_ref()))
        }
        false => Ok(text.get_ref().clone()),
    };
    let named = |key: &str, text: &Text| text_or(key, text, || None, |text| word(text).map(Some));
    Ok(Server {
        kind: required("type", &raw.kind, "cx33", word)?,
        location: required("location", &raw.location, "fsn1", word)?,
        image: text_or("image", &raw.image, || "debian-13".into(), word)?,
        ssh_keys: raw.ssh_keys.iter().map(keys).collect::<Checked<_>>()?,
        network: named("network", &raw.network)?,
        firewall: named("firewall", &raw.firewall)?,
        placement_group: raw.placement_group.unwrap_or(true),
    })
}

fn edge(raw: raw::Edge) -> Checked<Edge> {
    let origin = required("origin", &raw.origin, "https://origin.example.org/tv", origin)?;
    let example = "packages = [\"https://example.org/weir.deb#sha256=...\"]";
    let packages = match &raw.packages {
        None => {
            return Err(super::check::Problem {
                at: 0,
                what: format!("packages is missing, such as {example}"),
            });
        }
        Some(written) if written.get_ref().is_empty() => {
            return problem(written, format!("packages = []: must name a package, such as {example}"));
        }
        Some(written) => written.get_ref().iter().map(package).collect::<Checked<Vec<_>>>()?,
    };
    let stream = |text: &str| {
        let (app, name) =
            text.split_once('/').ok_or(Unfit::Remedy("write it as APP/NAME, such as live/test"))?;
        Ok((parsed(app)?, parsed(name)?))
    };
    Ok(Edge {
        origin,
        address: text_or("address", &raw.address, || "http://{ip}:8080".into(), address)?,
        bandwidth: required("bandwidth", &raw.bandwidth, "1g", |text| {
            parsed::<Rate>(text).map(|rate| rate.0)
        })?,
        transport: text_or(
            "transport",
            &raw.transport,
            || "rtmp",
            |text| match text {
                "rtmp" => Ok("rtmp"),
                "ws" => Ok("ws"),
                _ => Err(Unfit::Remedy("must be \"rtmp\" or \"ws\"")),
            },
        )?,
        rtmp: text_or("rtmp", &raw.rtmp, || None, |text| super::nginx::rtmp_server(text).map(Some))?,
        test_stream: required("test_stream", &raw.test_stream, "live/test", stream)?,
        packages,
        setup: raw.setup.map(PathBuf::from),
    })
}

/// Checks the URL of the origin. A server receives its credential from there, so the connection must be private or encrypted.
fn origin(text: &str) -> Result<Base, Unfit> {
    let base: Base = parsed(text.trim_end_matches('/'))?;
    let host = reqwest::Url::parse(base.as_str()).ok();
    let is_address = |url: &reqwest::Url| {
        url.host_str().is_some_and(|host| host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok())
    };
    let is_private = host.is_some_and(|url| is_address(&url) && !host_may_be_public(&url));
    match base.as_str().starts_with("https://") || is_private {
        true => Ok(base),
        false => Err(Unfit::Remedy(
            "must begin with https://, or be an address of a private network such as http://10.0.0.2:8090",
        )),
    }
}

fn address(text: &str) -> Result<String, Unfit> {
    let example = text.replace("{ip}", "192.0.2.1").replace("{name}", "gala-1");
    match example.contains(['{', '}']) || !text.contains('{') {
        true => Err(Unfit::Remedy(
            "must contain {ip} or {name}, such as http://{ip}:8080 or https://{name}.example.org",
        )),
        false => parsed::<Base>(&example).map(|_| text.trim_end_matches('/').to_owned()),
    }
}

/// Checks a package. Its name is written into a script.
fn package(text: &Spanned<String>) -> Checked<String> {
    let given = text.get_ref();
    let is_plain = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/:._~+%=-".contains(&byte))
    };
    let is_good = match given.strip_prefix("https://") {
        Some(rest) => rest.split_once("#sha256=").is_some_and(|(address, sum)| {
            is_plain(address) && sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit())
        }),
        None => {
            is_plain(given)
                && given.starts_with(|c: char| c == '/' || c.is_ascii_alphanumeric())
                && !given.contains("://")
        }
    };
    match is_good {
        true => Ok(given.clone()),
        false => problem(
            text,
            format!(
                "packages: {given:?}: write the name of a package, a path on the server, or https://ADDRESS.deb#sha256=64-HEX-DIGITS"
            ),
        ),
    }
}
