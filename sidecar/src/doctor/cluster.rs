//! Checks the other machines: whether an edge has joined, which edges an origin has, and whether a load balancer's nginx knows
//! them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use super::finding::Finding;
use crate::clock;
use crate::cluster::agent::Standing;
use crate::cluster::members::{COPY_SECRET, Leak, OTHER_SECRET};
use crate::cluster::origin::View;
use crate::cluster::pull::HERE;
use crate::cluster::troubles::Trouble;
use crate::config::Config;
use crate::config::cluster::{Edge, LoadBalancer, Transport};
use crate::daemon::client::{Client, Error};
use crate::http;

const PART: &str = "cluster";
/// Maximum wait. An edge renews its entry every two seconds; the balancer writes its file at most three seconds after a change.
const PATIENCE: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(3);
/// Differences between clocks, in seconds: the first is the origin's limit, the second one is reported.
const SKEWS: [u64; 2] = [30, 2];

#[derive(Deserialize)]
struct Edges {
    edges: Vec<View>,
    stale: Option<String>,
}

#[derive(Deserialize)]
struct Standings {
    origins: Vec<Standing>,
    #[serde(default)]
    pulls: Vec<Trouble>,
}

/// Checks the cluster; returns nothing on a machine that belongs to no cluster.
pub(super) async fn examine(config: &Config, socket: &Path) -> Vec<Finding> {
    let client = match Client::new(socket) {
        Ok(client) => client,
        // The daemon's part has reported the error.
        Err(_) => return Vec::new(),
    };
    if let Some(edge) = &config.edge {
        let mut found = edge_standings(edge, &client).await;
        found.extend(skew(edge).await);
        found.push(own_address(edge).await);
        return found;
    }
    if !config.cluster.is_origin() {
        return Vec::new();
    }
    match &config.loadbalancer {
        Some(settings) => balancer(settings, &client).await,
        None => origin(edges(&client).await),
    }
}

async fn edges(client: &Client) -> Result<Edges, Error> {
    let text = client.ask(Method::GET, &["v1", "edges"]).await?;
    Ok(serde_json::from_str(&text).unwrap_or(Edges { edges: Vec::new(), stale: None }))
}

/// Checks whether this edge has joined its origins. A node that has just started gets some time to join.
async fn edge_standings(edge: &Edge, client: &Client) -> Vec<Finding> {
    let begin = Instant::now();
    loop {
        let found = match client.ask(Method::GET, &["v1", "edge"]).await {
            Ok(text) => match serde_json::from_str::<Standings>(&text) {
                Ok(Standings { origins, pulls }) => {
                    let pulls = pulls.iter().map(|pull| not_pulled(pull, edge.transport));
                    origins.iter().map(standing).chain(leaks(&origins)).chain(pulls).collect()
                }
                Err(error) => vec![Finding::problem(PART, error.to_string(), "restart weir serve")],
            },
            Err(error) => vec![no_answer(&error)],
        };
        let is_well = found.iter().all(|finding: &Finding| finding.remedy.is_none());
        if is_well || begin.elapsed() > PATIENCE {
            return found;
        }
        sleep(PAUSE).await;
    }
}

/// Reports streams for members only that this edge gives to everybody, and streams that it cannot pull. If the daemon does not answer,
/// its own part reports that.
pub(super) async fn streams_of_edge(config: &Config, socket: &Path) -> Vec<Finding> {
    let (Some(edge), Ok(client)) = (&config.edge, Client::new(socket)) else { return Vec::new() };
    let Ok(text) = client.ask(Method::GET, &["v1", "edge"]).await else { return Vec::new() };
    let Ok(Standings { origins, pulls }) = serde_json::from_str(&text) else { return Vec::new() };
    leaks(&origins).into_iter().chain(pulls.iter().map(|pull| not_pulled(pull, edge.transport))).collect()
}

/// Reports a stream that this edge cannot pull.
fn not_pulled(Trouble { stream, error }: &Trouble, transport: Transport) -> Finding {
    let is_here = error.starts_with(HERE);
    let remedy = match transport {
        _ if is_here => "start nginx on this machine, and see its error log",
        _ if error.contains("invalid token") => "then reload nginx, and systemctl restart weir",
        Transport::Rtmp => {
            "this edge must reach the RTMP port of the origin (rtmp of [edge]); where only HTTPS is open, set transport = \"ws\" in [edge]"
        }
        Transport::Ws => "compare origin of [edge] with the address of the origin's pages",
        Transport::WebRtc => {
            "the origin needs [webrtc], and its UDP port must be open for this edge; where it is not, set transport = \"ws\" in [edge]"
        }
    };
    Finding::problem(PART, format!("{stream} cannot be pulled: {error}"), remedy)
}

/// Returns each fault of streams for members once, also if several origins ask for the same tokens.
fn leaks(origins: &[Standing]) -> Vec<Finding> {
    let leaks: BTreeSet<&Leak> = origins.iter().flat_map(|origin| &origin.leaks).collect();
    let other = origins.iter().find(|origin| origin.has_other_secret);
    let other = other.map(|_| Finding::problem(PART, OTHER_SECRET, COPY_SECRET));
    let leaks = leaks.into_iter().map(|leak| Finding::problem(PART, leak.fault(), leak.remedy()));
    leaks.chain(other).collect()
}

fn standing(Standing { origin, state, .. }: &Standing) -> Finding {
    let remedy = match state.get(..10) {
        Some("status 502" | "status 503" | "status 504") => "systemctl enable --now weir on the origin",
        Some("status 404") => {
            "set origin of [edge] to the address of the origin's pages, such as https://origin.example.org/tv"
        }
        _ => "compare origin of [edge] and secret_file of [cluster] with the origin's",
    };
    match state.as_str() {
        "joined" => Finding::ok(PART, format!("this edge has joined {origin}")),
        "drained" => {
            let remedy = "weir edge undrain on the origin";
            Finding::hint(PART, format!("an administrator has drained this edge at {origin}"), remedy)
        }
        "" => Finding::problem(PART, format!("{origin} has not answered yet"), remedy),
        why => Finding::problem(PART, format!("this edge has not joined {origin}: {why}"), remedy),
    }
}

fn no_answer(error: &Error) -> Finding {
    let text = error.to_string();
    Finding::problem(PART, text, "systemctl enable --now weir, then journalctl -u weir")
}

fn origin(asked: Result<Edges, Error>) -> Vec<Finding> {
    let Edges { edges, stale } = match asked {
        Ok(edges) => edges,
        Err(error) => return vec![no_answer(&error)],
    };
    let mut found = Vec::new();
    if let Some(why) = stale {
        let message = format!("the table of edges may be out of date: {why}");
        found.push(Finding::problem(PART, message, "start etcd, or correct etcd of [cluster]"));
    }
    for edge in edges.iter().filter(|edge| edge.state == "down") {
        found.push(match edge.listed {
            true => {
                let message = format!("edge {} does not answer at {}", edge.id, edge.address);
                Finding::hint(PART, message, "start it, or remove its [[cluster.edge]]")
            }
            false => Finding::hint(
                PART,
                format!("the nginx of edge {} does not answer", edge.id),
                "start nginx there",
            ),
        });
    }
    for edge in edges.iter().filter(|edge| !edge.failing.is_empty()) {
        let message = format!("edge {} cannot pull {}", edge.id, edge.failing.join(", "));
        found.push(Finding::hint(PART, message, "weir check node --all there says why"));
    }
    for edge in edges.iter().filter(|edge| !edge.refused.is_empty()) {
        let message =
            format!("edge {} serves no viewers of application {}", edge.id, edge.refused.join(", "));
        found.push(Finding::hint(PART, message, "weir check node --all there says why"));
    }
    let count = |state: &str| edges.iter().filter(|edge| edge.state == state).count();
    let up = count("up");
    found.push(match (up, edges.len()) {
        (0, _) if count("full") > 0 => Finding::hint(
            PART,
            "all edges that take viewers are full: new viewers wait",
            "start another edge",
        ),
        (0, _) => Finding::hint(
            PART,
            "no edge takes viewers: they watch at this machine",
            "start an edge, and see weir edge list",
        ),
        (up, all) => Finding::ok(PART, format!("{up} of {all} edges take viewers")),
    });
    found
}

/// Checks that nginx's file contains each live edge.
async fn balancer(settings: &LoadBalancer, client: &Client) -> Vec<Finding> {
    let begin = Instant::now();
    loop {
        let found = match edges(client).await {
            Ok(known) => written(settings, &std::fs::read_to_string(&settings.upstream_file), &known.edges),
            Err(error) => no_answer(&error),
        };
        if found.remedy.is_none() || begin.elapsed() > PATIENCE {
            return vec![found];
        }
        sleep(PAUSE).await;
    }
}

fn written(settings: &LoadBalancer, file: &std::io::Result<String>, edges: &[View]) -> Finding {
    let path = settings.upstream_file.display();
    let remedy = "see journalctl -u weir: the names of edges must resolve on this machine, an edge with a credential must have an address \
                  of its own, and upstream_file of [loadbalancer] must be writable for the user weir";
    let text = match file {
        Ok(text) => text,
        Err(error) => return Finding::problem(PART, format!("{path}: {error}"), remedy),
    };
    let scheme = format!("{}://", settings.scheme);
    let lives = |edge: &&View| matches!(edge.state.as_str(), "up" | "full");
    let hosts: Vec<&str> = edges
        .iter()
        .filter(lives)
        .filter_map(|edge| edge.address.strip_prefix(&scheme)?.split('/').next())
        .collect();
    // The line of an edge with a credential has the address of the name, and the name behind it.
    let is_there =
        |host: &&&str| text.contains(&format!("server {host} ")) || text.contains(&format!("; # {host}\n"));
    let missing: Vec<&str> = hosts.iter().filter(|host| !is_there(host)).copied().collect();
    match (missing.is_empty(), hosts.is_empty()) {
        (false, _) => Finding::problem(PART, format!("{path} has no {}", missing.join(", ")), remedy),
        (true, true) => {
            let message = "no edge has joined this load balancer";
            Finding::hint(PART, message, "add its address to origin of [edge] of the edges")
        }
        (true, false) => {
            let edges = if hosts.len() == 1 { "edge" } else { "edges" };
            Finding::ok(PART, format!("{path} has every live edge: {} {edges}", hosts.len()))
        }
    }
}

/// Requests the edge's address for viewers. Behind NAT, a machine may not reach itself by its public name, so a failure is a hint.
async fn own_address(edge: &Edge) -> Finding {
    let address = edge.address.as_str().trim_end_matches('/');
    let asked = async {
        let client = http::client().build().map_err(|error| http::innermost(&error))?;
        let request = client.get(format!("{address}/v1/node"));
        request.send().await.map(|response| response.status()).map_err(|error| http::innermost(&error))
    };
    match timeout(LIMIT, asked).await {
        Ok(Ok(status)) if status.is_success() => {
            Finding::ok(PART, format!("{address}, the address for viewers, answers"))
        }
        Ok(Ok(status)) => unreached(address, &format!("status {}", status.as_u16())),
        Ok(Err(why)) => unreached(address, &why),
        Err(_) => unreached(address, &format!("no answer within {} s", LIMIT.as_secs())),
    }
}

fn unreached(address: &str, why: &str) -> Finding {
    let message = format!("{address}, the address for viewers, does not answer this machine: {why}");
    let remedy = "let nginx, or a server with TLS before it, listen there; if only this machine cannot reach it (NAT), \
                  test it from another machine";
    Finding::hint(PART, message, remedy)
}

/// Compares this machine's clock with the first origin's; returns `None` if the origin reports no time.
async fn skew(edge: &Edge) -> Option<Finding> {
    let origin = edge.origins.first()?.as_str();
    let request = http::client().build().ok()?.get(format!("{origin}/v1/node"));
    let response = timeout(LIMIT, request.send()).await.ok()?.ok()?;
    let theirs = clock::http_date(response.headers().get("date")?.to_str().ok()?)?;
    let seconds = clock::now().as_millis().abs_diff(theirs.as_millis()) / 1000;
    Some(apart(seconds, origin))
}

fn apart(seconds: u64, origin: &str) -> Finding {
    const PART: &str = "clock";
    let message = format!("{seconds} s apart from the clock of {origin}");
    let remedy = "set both by NTP: tokens and the requests of edges need the right time";
    match seconds {
        far if far > SKEWS[0] => Finding::problem(PART, message, remedy),
        near if near > SKEWS[1] => Finding::hint(PART, message, remedy),
        _ => Finding::ok(PART, format!("as the clock of {origin}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use crate::cluster::members::Open;

    fn view(id: &str, state: &str) -> View {
        View {
            id: id.into(),
            address: format!("http://{id}:8080"),
            region: None,
            state: state.into(),
            bandwidth: 1,
            egress: 0,
            viewers: 0,
            load: 0.0,
            version: String::new(),
            streams: Vec::new(),
            age_ms: None,
            skew_ms: None,
            figures: None,
            listed: false,
            failing: Vec::new(),
            refused: Vec::new(),
        }
    }

    #[test]
    fn what_an_origin_says_of_its_edges() {
        let said = |edges: &[View], stale: Option<&str>| {
            let asked = Edges { edges: edges.to_vec(), stale: stale.map(str::to_owned) };
            origin(Ok(asked)).iter().map(|finding| finding.state).collect::<Vec<_>>()
        };
        assert_eq!(said(&[view("a", "up"), view("b", "drained")], None), [State::Ok]);
        assert_eq!(said(&[view("a", "down")], None), [State::Hint, State::Hint]);
        assert_eq!(said(&[view("a", "up")], Some("etcd")), [State::Problem, State::Ok]);
        let text = |edges: Vec<View>| origin(Ok(Edges { edges, stale: None }))[0].to_string();
        assert_eq!(
            text(vec![view("a", "down")]),
            "hint: cluster: the nginx of edge a does not answer: start nginx there"
        );
        let down = View { listed: true, ..view("a", "down") };
        assert!(text(vec![down]).starts_with("hint: cluster: edge a does not answer at http://a:8080"));
        let failing = View { failing: vec!["live/show".into()], ..view("a", "up") };
        assert_eq!(
            text(vec![failing]),
            "hint: cluster: edge a cannot pull live/show: weir check node --all there says why"
        );
        let refused = View { refused: vec!["live".into()], ..view("a", "up") };
        assert_eq!(
            text(vec![refused]),
            "hint: cluster: edge a serves no viewers of application live: weir check node --all there says why"
        );
        assert!(text(vec![view("a", "drained")]).contains("they watch at this machine"));
        assert!(text(vec![view("a", "drained"), view("b", "full")]).contains("are full: new viewers wait"));
    }

    #[test]
    fn a_stream_that_cannot_be_pulled_has_a_remedy() {
        let said = |error: &str, transport| {
            let trouble = Trouble { stream: "live/show".into(), error: error.into() };
            not_pulled(&trouble, transport).to_string()
        };
        let rtmp = said("cannot connect to rtmp://o/live/***: timed out", Transport::Rtmp);
        assert!(
            rtmp.starts_with("problem: cluster: live/show cannot be pulled: cannot connect to"),
            "{rtmp}"
        );
        assert!(rtmp.contains("must reach the RTMP port of the origin"), "{rtmp}");
        assert!(said("status 404", Transport::WebRtc).contains("the origin needs [webrtc]"));
        let here = format!("{HERE}: cannot connect to rtmp://127.0.0.1/live/***: Connection refused");
        assert!(said(&here, Transport::Rtmp).ends_with("start nginx on this machine, and see its error log"));
    }

    #[test]
    fn an_edge_that_nginx_does_not_know_is_named() {
        let settings =
            LoadBalancer { upstream_file: "/u".into(), scheme: "http", test: Vec::new(), reload: Vec::new() };
        let edges = [view("a", "up"), view("b", "up"), view("c", "drained")];
        let text = "server a:8080 weight=1 max_fails=2;";
        let found = written(&settings, &Ok(text.into()), &edges);
        assert_eq!((found.state, found.message.as_str()), (State::Problem, "/u has no b:8080"));
        assert_eq!(written(&settings, &Ok(text.into()), &edges[..1]).state, State::Ok);
        let rented = format!("{text}\nserver 192.0.2.7:8080 weight=1; # b:8080\n");
        assert_eq!(written(&settings, &Ok(rented), &edges).state, State::Ok);
        assert_eq!(written(&settings, &Ok(text.into()), &edges[2..]).state, State::Hint);
        let missing = Err(std::io::Error::other("no"));
        assert_eq!(written(&settings, &missing, &edges).state, State::Problem);
    }

    fn at(origin: &str, state: &str, leaks: Vec<Leak>) -> Standing {
        Standing { origin: origin.into(), state: state.into(), skew_ms: None, leaks, has_other_secret: false }
    }

    #[test]
    fn streams_that_are_open_here_and_not_at_the_origins_are_a_problem() {
        let leak = |open| Leak { app: "live".parse().unwrap(), open };
        let found = leaks(&[
            at("http://a", "joined", vec![leak(Open::All)]),
            at("http://b", "joined", vec![leak(Open::All)]),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        let said = found[0].to_string();
        assert!(
            said.starts_with("problem: cluster: application \"live\" needs play tokens at the origin"),
            "{said}"
        );
        assert!(said.contains(": add \"weir_play token;\" to application live"), "{said}");
        assert_eq!(leaks(&[at("http://a", "joined", Vec::new())]), []);
        let other = Standing { has_other_secret: true, ..at("http://a", "joined", Vec::new()) };
        let said = leaks(&[other.clone(), other]).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(said, [format!("problem: cluster: {OTHER_SECRET}: {COPY_SECRET}")]);
        let old: Standing = serde_json::from_str(r#"{"origin":"http://a","state":"joined"}"#).unwrap();
        assert_eq!(old.leaks, []);
    }

    #[test]
    fn standings_and_clocks() {
        let of = |state: &str| standing(&at("http://o", state, Vec::new())).state;
        assert_eq!(
            ["joined", "drained", "", "status 401"].map(of),
            [State::Ok, State::Hint, State::Problem, State::Problem]
        );
        let said = |state: &str| standing(&at("http://o", state, Vec::new())).to_string();
        assert!(said("status 502: x").ends_with("x: systemctl enable --now weir on the origin"));
        assert!(
            said("status 404: x").contains("x: set origin of [edge] to the address of the origin's pages")
        );
        assert!(said("status 401: x").contains("x: compare origin of [edge]"));
        assert_eq!(
            [1, 10, 31].map(|seconds| apart(seconds, "o").state),
            [State::Ok, State::Hint, State::Problem]
        );
    }
}
