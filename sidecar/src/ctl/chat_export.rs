//! `weir chat export`

use reqwest::Method;

use super::history_list::which;
use super::{Error, Output};
use crate::cli::chat::ChatExportArgs;
use crate::daemon::client::Client;

pub(super) async fn run(args: &ChatExportArgs) -> Result<Output, Error> {
    let mut query = which(&args.which);
    if args.csv {
        query.push(("format", "csv".into()));
    }
    let client = Client::new(&args.daemon.socket)?;
    let text = client.ask_for(Method::GET, &["v1", "chat", "messages"], &query).await?;
    Ok(if args.csv { text.into() } else { Output::json(&text) })
}
