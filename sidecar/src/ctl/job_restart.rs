//! `weir job restart`

use reqwest::Method;

use super::{Error, Output};
use crate::cli::daemon::JobRestartArgs;
use crate::daemon::client::Client;

pub(super) async fn run(args: &JobRestartArgs) -> Result<Output, Error> {
    let text =
        Client::new(&args.daemon.socket)?.ask(Method::POST, &["v1", "jobs", &args.id, "restart"]).await?;
    if args.json.json {
        return Ok(Output::json(&text));
    }
    Ok(format!("Restarting {}.\n", args.id).into())
}
