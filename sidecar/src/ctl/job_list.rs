//! `weir job list`

use reqwest::Method;
use serde::Deserialize;

use super::table::{age, table};
use super::{Error, Output, now};
use crate::cli::daemon::JobListArgs;
use crate::daemon::client::Client;
use crate::jobs::View;

/// Path of the list in the daemon's API.
pub(super) const PATH: [&str; 2] = ["v1", "jobs"];

#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) jobs: Vec<View>,
}

pub(super) async fn run(args: &JobListArgs) -> Result<Output, Error> {
    let text = Client::new(&args.daemon.socket)?.ask(Method::GET, &PATH).await?;
    if args.json.json {
        return Ok(Output::json(&text));
    }
    let answer: Answer =
        serde_json::from_str(&text).map_err(|e| Error::System(format!("weir serve: {e}")))?;
    Ok(render(&answer.jobs).into())
}

fn render(jobs: &[View]) -> String {
    let rows: Vec<_> = jobs
        .iter()
        .map(|job| {
            let status = &job.status;
            [
                job.id.clone(),
                status.state.to_string(),
                if status.ready { "yes" } else { "no" }.into(),
                age(status.since, now()),
                status.pid.map(|pid| pid.to_string()).unwrap_or_default(),
                status.restarts.to_string(),
                status.progress.fps.map(|fps| format!("{fps:.0}")).unwrap_or_default(),
                status.progress.speed.map(|speed| format!("{speed:.2}x")).unwrap_or_default(),
                job.renditions.join(","),
                status.last_error.clone().unwrap_or_default().chars().take(60).collect(),
            ]
        })
        .collect();
    table(
        ["JOB", "STATE", "READY", "SINCE", "PID", "RESTARTS", "FPS", "SPEED", "RENDITIONS", "LAST ERROR"],
        &rows,
    )
}
