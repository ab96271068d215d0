//! `weir edge list`

use reqwest::Method;
use serde::Deserialize;

use super::table::table;
use super::{Error, Output};
use crate::cli::edge::EdgeListArgs;
use crate::cluster::origin::View;
use crate::daemon::client::Client;

#[derive(Deserialize)]
struct Answer {
    edges: Vec<View>,
    stale: Option<String>,
}

pub(super) async fn run(args: &EdgeListArgs) -> Result<Output, Error> {
    let text = Client::new(&args.daemon.socket)?.ask(Method::GET, &["v1", "edges"]).await?;
    if args.json.json {
        return Ok(Output::json(&text));
    }
    let answer: Answer =
        serde_json::from_str(&text).map_err(|e| Error::System(format!("weir serve: {e}")))?;
    let stale = answer.stale.map(|why| format!("weir: warning: the list may be out of date: {why}\n"));
    let refusing = answer.edges.iter().filter(|edge| !edge.refused.is_empty()).map(|edge| {
        format!(
            "weir: warning: edge {} serves no viewers of application {}: weir check node --all there says why\n",
            edge.id,
            edge.refused.join(", ")
        )
    });
    Ok(Output {
        stdout: render(&answer.edges),
        stderr: stale.into_iter().chain(refusing).collect(),
        if_unread: None,
    })
}

fn render(edges: &[View]) -> String {
    let rows: Vec<_> = edges
        .iter()
        .map(|edge| {
            [
                edge.id.clone(),
                edge.state.clone(),
                edge.address.clone(),
                edge.region.clone().unwrap_or_default(),
                edge.viewers.to_string(),
                megabits(edge.egress),
                megabits(edge.bandwidth),
                format!("{:.2}", edge.load),
                edge.streams.len().to_string(),
                edge.version.clone(),
            ]
        })
        .collect();
    table(
        ["EDGE", "STATE", "ADDRESS", "REGION", "VIEWERS", "MBIT/S", "OF", "LOAD", "STREAMS", "VERSION"],
        &rows,
    )
}

fn megabits(rate: u64) -> String {
    format!("{:.0}", rate as f64 / 1e6)
}
