//! `weir job logs`

use reqwest::Method;
use serde::Deserialize;

use super::table::plain;
use super::{Error, Output};
use crate::cli::daemon::JobLogsArgs;
use crate::daemon::client::Client;

#[derive(Deserialize)]
struct Answer {
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    at: String,
    level: String,
    text: String,
}

pub(super) async fn run(args: &JobLogsArgs) -> Result<Output, Error> {
    let text = Client::new(&args.daemon.socket)?.ask(Method::GET, &["v1", "jobs", &args.id, "logs"]).await?;
    if args.json.json {
        return Ok(Output::json(&text));
    }
    let answer: Answer =
        serde_json::from_str(&text).map_err(|e| Error::System(format!("weir serve: {e}")))?;
    let line = |line: Line| format!("{} {:7} {}\n", line.at, line.level, plain(line.text));
    Ok(answer.lines.into_iter().map(line).collect::<String>().into())
}
