//! `weir edge drain` and `weir edge undrain`

use reqwest::Method;
use serde::Deserialize;

use super::{Error, Output};
use crate::cli::edge::EdgeDrainArgs;
use crate::daemon::client::Client;

/// The answer.
#[derive(Deserialize)]
struct Answer {
    /// Whole name of the edge.
    id: String,
}

pub(super) async fn run(args: &EdgeDrainArgs, drained: bool) -> Result<Output, Error> {
    let (id, action) = (&args.id, if drained { "drain" } else { "undrain" });
    let path = ["v1", "edges", id.as_str(), action];
    let text = Client::new(&args.daemon.socket)?.ask(Method::POST, &path).await?;
    if args.json.json {
        return Ok(Output::json(&text));
    }
    let Answer { id } = serde_json::from_str(&text).map_err(|e| Error::System(format!("weir serve: {e}")))?;
    Ok(match drained {
        true => format!("Drained {id}: new viewers go to other edges. `weir edge undrain {id}` ends it.\n"),
        false => format!("{id} takes viewers again.\n"),
    }
    .into())
}
