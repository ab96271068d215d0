//! `weir pair`

use reqwest::Method;

use super::table::table;
use super::{Error, Output};
use crate::cli::edge::PairArgs;
use crate::cluster::pair::View;
use crate::daemon::client::Client;

const NO_ROLES: &str = "weir: note: no node is the standby, so each node pushes its streams to the targets: \
                        notify \"/usr/bin/weir notify --targets all\" in keepalived.conf sets the roles\n";

pub(super) async fn run(args: &PairArgs) -> Result<Output, Error> {
    let text = Client::new(&args.daemon.socket)?.ask(Method::GET, &["v1", "pair"]).await?;
    if args.json.json {
        return Ok(Output::json(&text));
    }
    let view: View = serde_json::from_str(&text).map_err(|e| Error::System(format!("weir serve: {e}")))?;
    let mut stderr = view.problem().map(|problem| format!("weir: warning: {problem}\n")).unwrap_or_default();
    if has_no_roles(&view) {
        stderr += NO_ROLES;
    }
    Ok(Output { stdout: render(&view), stderr, if_unread: None })
}

/// Returns whether both nodes push. keepalived makes one of them the standby.
fn has_no_roles(view: &View) -> bool {
    (view.held, view.held_there) == (Some(false), Some(false))
}

fn render(view: &View) -> String {
    let role = |held: Option<bool>| match held {
        _ if has_no_roles(view) => "-",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_active_only_beside_a_standby() {
        let said = |held, held_there| {
            let view = View {
                peer: "http://192.0.2.12:8090".into(),
                state: "in step".into(),
                silent_s: Some(0),
                things: 14,
                to_send: 0,
                to_apply: 0,
                to_apply_there: 0,
                held,
                held_there,
                error: None,
                twin: Default::default(),
            };
            let roles = render(&view);
            let roles = roles.lines().skip(1).map(|line| line[24..].split("  ").next().unwrap().to_owned());
            (roles.collect::<Vec<_>>().join(" "), has_no_roles(&view))
        };
        assert_eq!(said(Some(false), Some(true)), ("active standby".into(), false));
        assert_eq!(said(Some(true), Some(false)), ("standby active".into(), false));
        assert_eq!(said(Some(false), Some(false)), ("- -".into(), true));
        assert_eq!(said(Some(false), None), ("active unknown".into(), false));
        assert_eq!(said(Some(true), Some(true)), ("standby standby".into(), false));
    }
}
