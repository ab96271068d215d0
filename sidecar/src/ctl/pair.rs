//! `weir pair`

use reqwest::Method;

use super::table::table;
use super::{Error, Output};
use crate::cli::edge::PairArgs;
use crate::cluster::pair::View;
use crate::daemon::client::Client;

pub(super) async fn run(args: &PairArgs) -> Result<Output, Error> {
    let text = Client::new(&args.daemon.socket)?.ask(Method::GET, &["v1", "pair"]).await?;
    if args.json.json {
        return Ok(Output::json(&text));
    }
    let view: View = serde_json::from_str(&text).map_err(|e| Error::System(format!("weir serve: {e}")))?;
    let stderr = view.problem().map(|problem| format!("weir: warning: {problem}\n"));
    Ok(Output { stdout: render(&view), stderr: stderr.unwrap_or_default(), if_unread: None })
}

fn render(view: &View) -> String {
    let role = |held: Option<bool>| match held {
        Some(true) => "standby",
        Some(false) => "active",
        None => "unknown",
    };
    let rows = [
        [
            "this node".to_owned(),
            role(view.held).to_owned(),
            view.state.clone(),
            view.things.to_string(),
            view.to_apply.to_string(),
        ],
        [
            view.peer.clone(),
            role(view.held_there).to_owned(),
            view.silent_s
                .map_or_else(|| "never heard of".to_owned(), |seconds| format!("heard {seconds} s ago")),
            String::new(),
            view.to_send.saturating_add(view.to_apply_there).to_string(),
        ],
    ];
    table(["NODE", "ROLE", "STATE", "THINGS", "WAITING"], &rows)
}
