//! `weir edge ticket`

use reqwest::Method;
use serde::Deserialize;

use super::{Error, Output};
use crate::cli::edge::EdgeTicketArgs;
use crate::daemon::client::Client;

#[derive(Deserialize)]
struct Answer {
    ticket: String,
}

pub(super) async fn run(args: &EdgeTicketArgs) -> Result<Output, Error> {
    let query = [
        ("ttl_s", args.ttl.seconds().to_string()),
        ("credential_s", args.credential_ttl.seconds().to_string()),
    ];
    let path = ["v1", "edges", args.id.as_str(), "ticket"];
    let text = Client::new(&args.daemon.socket)?.ask_for(Method::POST, &path, &query).await?;
    if args.json.json {
        return Ok(Output::json(&text));
    }
    let answer: Answer =
        serde_json::from_str(&text).map_err(|error| Error::System(format!("weir serve: {error}")))?;
    Ok(format!("{}\n", answer.ticket).into())
}
