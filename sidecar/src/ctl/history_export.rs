//! `weir history export`

use reqwest::Method;

use super::history_list::which;
use super::{Error, Output};
use crate::cli::history::HistoryExportArgs;
use crate::daemon::client::Client;

pub(super) async fn run(args: &HistoryExportArgs) -> Result<Output, Error> {
    let mut query = which(&args.which);
    if args.csv {
        query.push(("format", "csv".into()));
    }
    let client = Client::new(&args.daemon.socket)?;
    let text = client.ask_for(Method::GET, &["v1", "history", args.table.name()], &query).await?;
    Ok(if args.csv { text.into() } else { Output::json(&text) })
}
