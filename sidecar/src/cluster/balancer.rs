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

use names::{Names, Nothing, name};

/// Time in which changes are collected for one reload.
const BUNCH: Duration = Duration::from_millis(500);
/// Shortest time between two reloads.
const PAUSE: Duration = Duration::from_secs(3);
/// Time limit of a program.
const PROGRAM: Duration = Duration::from_secs(20);
/// Interval of checks without news, because listed edges come and go.
const LOOK: Duration = Duration::from_secs(1);
/// Time after which a server that was left out is tried again: DNS may have its name by then.
const AGAIN: Duration = Duration::from_secs(60);
/// Bit/s per unit of weight.
const WEIGHT: u64 = 100_000_000;

/// Reason why nginx does not have the edges.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: std::io::Error },
    #[error("{program}: {why}")]
    Program { program: String, why: String },
    #[error("{host}: the name does not resolve: {why}")]
    Name { host: String, why: String },
    #[error(transparent)]
    Nothing(#[from] Nothing),
}

/// A server in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Server {
    host: String,
    weight: u64,
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
                tracing::info!("edges of the load balancer changed, servers: {count}");
                for why in &left_out {
                    tracing::error!("edge left out of the load balancer: {why}");
                }
                again = (!left_out.is_empty()).then(|| Instant::now() + AGAIN);
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
    let server = |address: &str, bandwidth: u64| {
        let host = address.strip_prefix(&scheme)?.split('/').next()?.to_owned();
        Some(Server { host, weight: (bandwidth / WEIGHT).clamp(1, 1000) })
    };
    let joined = table.edges.values().map(|record| &record.report);
    let joined = joined.filter(|report| !report.draining && !table.drained.contains(&report.id));
    let joined = joined.filter_map(|report| server(&report.address, report.bandwidth));
    let listed = origin.listed().filter(|edge| !table.drained.iter().any(|id| id.as_str() == edge.name));
    let listed = listed.filter_map(|edge| server(edge.address.as_str(), edge.bandwidth));
    let mut all: Vec<Server> = joined.chain(listed).collect();
    all.sort();
    all.dedup_by(|a, b| a.host == b.host);
    all
}

/// Returns the text of the file. The key of the hash is a variable that nginx.conf sets.
fn text(servers: &[Server]) -> String {
    let mut text = String::from(
        "# Written by `weir serve` ([loadbalancer] of weir.toml): the edges that live. Changes here are lost.\n\
         upstream weir_edges {\n    zone weir_edges 256k;\n    hash $weir_balance consistent;\n    keepalive 64;\n",
    );
    for Server { host, weight } in servers {
        text += &format!("    server {host} weight={weight} max_fails=2 fail_timeout=5s;\n");
    }
    if servers.is_empty() {
        // nginx requires at least one server.
        text += "    server 127.0.0.1:9 down;\n";
    }
    text + "}\n"
}

/// Writes the servers, without those whose names do not resolve and those that nginx refuses, and returns the reason for each of these. If
/// nginx complains about anything else, the old file is restored. `needs_reload` says whether nginx may have another file than this one.
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
    let before = std::fs::read(path).ok();
    let mut now = before.clone();
    loop {
        let text = Some(text(&servers).into_bytes());
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
        let Some(named) = servers.iter().position(|server| error.names(server)) else {
            match &before {
                Some(before) => replace(path, before)?,
                None => drop(std::fs::remove_file(path)),
            }
            return Err(error);
        };
        servers.remove(named);
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
    fn names(&self, server: &Server) -> bool {
        matches!(self, Self::Program { why, .. } if why.contains(&format!("\"{}\"", server.host)))
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

    #[test]
    fn the_file_is_what_nginx_includes() {
        let servers = [Server { host: "10.0.0.1:8080".into(), weight: 10 }];
        let written = text(&servers);
        assert!(written.contains("hash $weir_balance consistent;"), "{written}");
        assert!(
            written.contains("\n    server 10.0.0.1:8080 weight=10 max_fails=2 fail_timeout=5s;\n"),
            "{written}"
        );
        assert!(text(&[]).contains("server 127.0.0.1:9 down;"));
    }
}
