//! nginx in front of the edges: writes a file with the live edges, which nginx includes, and reloads nginx after a change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::origin::Origin;
use super::store::{LEASE, Table};
use crate::config::cluster::LoadBalancer;
use crate::files::PUBLISHED;

mod names;
mod rented;

use names::{COMMENT, Names, Nothing, name, port};
use rented::{Trust, Unfit, is_own};

/// Time in which changes are collected for one reload.
const BUNCH: Duration = Duration::from_millis(500);
/// Shortest time between two reloads.
const PAUSE: Duration = Duration::from_secs(3);
/// Time limit of a program.
const PROGRAM: Duration = Duration::from_secs(20);
/// Interval of checks without news, because listed edges come and go.
const LOOK: Duration = Duration::from_secs(1);
/// Time after which a server that was left out is tried again, and the address of a rented one is checked again: DNS may have changed.
const AGAIN: Duration = Duration::from_secs(60);
/// Bit/s per unit of weight.
const WEIGHT: u64 = 100_000_000;
/// Shared memory of nginx, in KiB: its own part, the part of each address (nginx 1.22 takes 0.9 KiB), that of the TLS session of each
/// address (ngx_http_upstream_save_round_robin_peer_session), and the step of the whole.
const ZONE: [usize; 4] = [64, 2, 4, 256];
/// Assumed number of addresses of a name that nginx resolved for an earlier daemon.
const ADDRESSES: usize = 8;

/// Reason why nginx does not have the edges.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: std::io::Error },
    #[error("{program}: {why}")]
    Program { program: String, why: String },
    #[error("{host}: the name does not resolve: {why}")]
    Name { host: String, why: String },
    #[error("{host}: {why}")]
    Rented { host: String, why: Unfit },
    #[error(transparent)]
    Nothing(#[from] Nothing),
}

/// A server for the file. Among several with the same host, the first in this order counts: a rented one replaces no other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Server {
    host: String,
    trust: Trust,
    weight: u64,
}

/// A server in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    /// Host and port for nginx: of a rented server, an address that was checked.
    place: String,
    host: String,
    weight: u64,
    /// Number of addresses that nginx finds for the place.
    addresses: usize,
}

/// Keeps the file up to date until the future is dropped.
pub(crate) async fn run(settings: LoadBalancer, origin: Arc<Origin>) {
    let mut table = origin.watch();
    // After a restart of this daemon, edges that join by themselves need a moment.
    let began = Instant::now();
    let mut written: Option<Vec<Server>> = None;
    let mut failed: Option<String> = None;
    let mut again: Option<Instant> = None;
    // nginx may have missed the file of an earlier daemon.
    let mut needs_reload = true;
    // The names of the last file have resolved when nginx took it.
    let mut names = Names::of(&std::fs::read_to_string(&settings.upstream_file).unwrap_or_default());
    loop {
        let _ = timeout(LOOK, table.changed()).await;
        sleep(BUNCH).await;
        let servers = servers(&settings, &origin, &table);
        let is_early = began.elapsed() < LEASE && written.is_none();
        let is_same = written.as_ref() == Some(&servers) && again.is_none_or(|at| Instant::now() < at);
        if is_early || is_same {
            continue;
        }
        match apply(&settings, servers.clone(), &mut names, &mut needs_reload).await {
            Ok(left_out) => {
                let count = servers.len() - left_out.len();
                if written.as_ref() != Some(&servers) || !left_out.is_empty() {
                    tracing::info!("edges of the load balancer changed, servers: {count}");
                }
                for why in &left_out {
                    tracing::error!("edge left out of the load balancer: {why}");
                }
                let has_rented = servers.iter().any(|server| server.trust != Trust::Cluster);
                again = (has_rented || !left_out.is_empty()).then(|| Instant::now() + AGAIN);
                (written, failed) = (Some(servers), None);
            }
            Err(error) => {
                let error = error.to_string();
                if failed.as_ref() != Some(&error) {
                    tracing::error!("edges of the load balancer stay as they were: {error}");
                }
                failed = Some(error);
            }
        }
        sleep(PAUSE).await;
    }
}

fn servers(settings: &LoadBalancer, origin: &Origin, table: &watch::Receiver<Arc<Table>>) -> Vec<Server> {
    let table = table.borrow().clone();
    let scheme = format!("{}://", settings.scheme);
    let server = |address: &str, bandwidth: u64, trust: Trust| {
        let host = address.strip_prefix(&scheme)?.split('/').next()?.to_owned();
        Some(Server { host, trust, weight: (bandwidth / WEIGHT).clamp(1, 1000) })
    };
    let joined = table.edges.values().filter(|record| {
        let report = &record.report;
        !report.draining && !table.drained.contains(&report.id)
    });
    let joined = joined
        .filter_map(|record| server(&record.report.address, record.report.bandwidth, Trust::of(record.from)));
    let listed = origin.listed().filter(|edge| !table.drained.iter().any(|id| id.as_str() == edge.name));
    let listed = listed.filter_map(|edge| server(edge.address.as_str(), edge.bandwidth, Trust::Cluster));
    let mut all: Vec<Server> = joined.chain(listed).collect();
    all.sort();
    all.dedup_by(|a, b| a.host == b.host);
    all
}

/// Returns the line of a server, by the last resolution of its name.
fn line(Server { host, trust, weight }: Server, names: &Names) -> Result<Line, Error> {
    let addresses = names.addresses(&host);
    if trust == Trust::Cluster {
        let addresses = if addresses.is_empty() { ADDRESSES } else { addresses.len() };
        return Ok(Line { place: host.clone(), host, weight, addresses });
    }
    let address = match trust.choose(&addresses, is_own) {
        Ok(address) => address,
        Err(why) => return Err(Error::Rented { host, why }),
    };
    // nginx would resolve a name again, and its owner could answer with another address.
    let place = match name(&host) {
        None => host.clone(),
        Some(_) if address.is_ipv6() => format!("[{address}]{}", port(&host)),
        Some(_) => format!("{address}{}", port(&host)),
    };
    Ok(Line { place, host, weight, addresses: 1 })
}

/// Returns the size of nginx's shared memory for these servers, in KiB.
fn zone(lines: &[Line], scheme: &str) -> usize {
    let [base, address, session, step] = ZONE;
    let each = address + if scheme == "https" { session } else { 0 };
    let addresses: usize = lines.iter().map(|line| line.addresses).sum();
    (base + addresses * each).next_multiple_of(step)
}

/// Returns the text of the file. The key of the hash is a variable that nginx.conf sets.
fn text(lines: &[Line], scheme: &str) -> String {
    let zone = zone(lines, scheme);
    let mut text = format!(
        "# Written by `weir serve` ([loadbalancer] of weir.toml): the edges that live. Changes here are lost.\n\
         upstream weir_edges {{\n    zone weir_edges {zone}k;\n    hash $weir_balance consistent;\n    keepalive 64;\n",
    );
    for Line { place, host, weight, .. } in lines {
        let name = if place == host { String::new() } else { format!("{COMMENT}{host}") };
        text += &format!("    server {place} weight={weight} max_fails=2 fail_timeout=5s;{name}\n");
    }
    if lines.is_empty() {
        // nginx requires at least one server.
        text += "    server 127.0.0.1:9 down;\n";
    }
    text + "}\n"
}

/// Writes the servers, without those whose names do not resolve, rented ones with an address that they must not have, and those that nginx
/// refuses, and returns the reason for each of these. If nginx complains about anything else, the old file is restored. `needs_reload` says
/// whether nginx may have another file than this one.
async fn apply(
    settings: &LoadBalancer,
    mut servers: Vec<Server>,
    names: &mut Names,
    needs_reload: &mut bool,
) -> Result<Vec<Error>, Error> {
    let path = &settings.upstream_file;
    let mut left_out = Vec::new();
    // `test` may check nothing: the daemon of the samples may not run nginx.
    for (missing, why) in names.missing(servers.iter().map(|server| server.host.as_str())).await? {
        for Server { host, .. } in servers.extract_if(.., |server| name(&server.host) == Some(&missing)) {
            left_out.push(Error::Name { host, why: why.clone() });
        }
    }
    let mut lines = Vec::new();
    for server in servers {
        match line(server, names) {
            Ok(line) => lines.push(line),
            Err(why) => left_out.push(why),
        }
    }
    let before = std::fs::read(path).ok();
    let mut now = before.clone();
    loop {
        let text = Some(text(&lines, settings.scheme).into_bytes());
        if now != text
            && let Some(text) = &text
        {
            replace(path, text)?;
        }
        let is_as_before = before == text;
        now = text;
        if is_as_before && !*needs_reload {
            return Ok(left_out);
        }
        let Err(error) = program(&settings.test).await else { break };
        let Some(named) = lines.iter().position(|line| error.names(line)) else {
            match &before {
                Some(before) => replace(path, before)?,
                None => drop(std::fs::remove_file(path)),
            }
            return Err(error);
        };
        lines.remove(named);
        left_out.push(error);
    }
    *needs_reload = true;
    program(&settings.reload).await?;
    *needs_reload = false;
    Ok(left_out)
}

impl Error {
    /// Returns whether nginx complains about this server: `host not found in upstream "HOST:PORT" in FILE:LINE`
    /// (ngx_http_upstream_server).
    fn names(&self, line: &Line) -> bool {
        matches!(self, Self::Program { why, .. } if why.contains(&format!("\"{}\"", line.place)))
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    PUBLISHED
        .replace(path, Path::new(&unfinished), bytes)
        .map_err(|why| Error::File { path: path.to_owned(), why })
}

async fn program(words: &[String]) -> Result<(), Error> {
    let Some((name, arguments)) = words.split_first() else { return Ok(()) };
    let failed = |why: String| Error::Program { program: words.join(" "), why };
    let run =
        Command::new(name).args(arguments).kill_on_drop(true).stdin(std::process::Stdio::null()).output();
    let output = match timeout(PROGRAM, run).await {
        Ok(output) => output.map_err(|error| failed(error.to_string()))?,
        Err(_) => return Err(failed("no end within 20 s".into())),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| line.contains("[emerg]")).or(said.lines().last()).unwrap_or_default();
    Err(failed(format!("{}: {}", output.status, weir_model::text::clean(line))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, trust: Trust) -> Server {
        Server { host: host.into(), trust, weight: 10 }
    }

    #[test]
    fn the_file_is_what_nginx_includes() {
        let names = Names::of("    server 192.0.2.7:80 weight=1; # rented:80\n");
        let of = |host: &str, trust| line(server(host, trust), &names);
        let lines = [
            of("10.0.0.1:8080", Trust::Cluster).unwrap(),
            of("edge1:8080", Trust::Cluster).unwrap(),
            of("rented:8080", Trust::Private).unwrap(),
        ];
        let written = text(&lines, "http");
        assert!(written.contains("hash $weir_balance consistent;"), "{written}");
        for (place, more) in [("10.0.0.1:8080", ""), ("edge1:8080", ""), ("192.0.2.7:8080", " # rented:8080")]
        {
            let line = format!("\n    server {place} weight=10 max_fails=2 fail_timeout=5s;{more}\n");
            assert!(written.contains(&line), "{written}");
        }
        assert_eq!(Names::of(&written).addresses("rented:1"), names.addresses("rented:1"));
        assert!(text(&[], "http").contains("server 127.0.0.1:9 down;"));
        // The same host belongs to the edge with the secret of the cluster.
        assert!(server("a", Trust::Cluster) < server("a", Trust::Private));
        let refused = of("127.0.0.1:33025", Trust::Public).unwrap_err().to_string();
        assert!(refused.starts_with("127.0.0.1:33025: 127.0.0.1 is loopback"), "{refused}");
        assert!(of("127.0.0.1:33025", Trust::Cluster).is_ok(), "edges on one machine");
    }

    #[test]
    fn the_shared_memory_has_a_place_for_each_address() {
        let lines = |count: usize, addresses| {
            let line = Line { place: "e".into(), host: "e".into(), weight: 1, addresses };
            vec![line; count]
        };
        assert_eq!((zone(&[], "http"), zone(&lines(96, 1), "http")), (256, 256));
        // nginx 1.22 takes 262 KiB for 300 addresses, and 4104 KiB for 5000.
        assert_eq!((zone(&lines(300, 1), "http"), zone(&lines(30, 10), "http")), (768, 768));
        assert_eq!((zone(&lines(5000, 1), "http"), zone(&lines(300, 1), "https")), (10_240, 2048));
    }
}
