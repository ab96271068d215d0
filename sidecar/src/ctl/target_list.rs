//! `weir target list`

use weir_model::ServerAddr;
use weir_model::target::{PushState, PushView, TargetView};

use super::table::{rate, sparse_table};
use super::{Error, Output};
use crate::cli::target::TargetListArgs;
use crate::nginx::Nginx;

pub(super) async fn run(args: &TargetListArgs, nginx: &Nginx) -> Result<Output, Error> {
    let answer = nginx.target_list().await?;
    if args.json.json { Ok(Output::json(&answer.text)) } else { Ok(render(&answer.value.targets).into()) }
}

fn render(targets: &[TargetView]) -> String {
    let rows: Vec<_> = targets
        .iter()
        .map(|target| {
            let out: u64 = target.sessions.iter().map(|push| push.bitrate_out).sum();
            [
                target.id.to_string(),
                target.app.to_string(),
                target.stream.to_string(),
                target.server.as_ref().map(ServerAddr::to_string).unwrap_or_default(),
                if target.enabled { "yes" } else { "no" }.into(),
                states(&target.sessions),
                if target.sessions.is_empty() { String::new() } else { rate(out) },
                target.url.clone().unwrap_or_default(),
                problem(target),
                target.note.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let head = ["ID", "APP", "STREAM", "SERVER", "ENABLED", "STATE", "OUT", "URL", "PROBLEM", "NOTE"];
    sparse_table(head, &rows, &[3])
}

/// Returns the state of the only session, or the number of sessions per state; an empty text if no stream of the target is live.
fn states(sessions: &[PushView]) -> String {
    if let [only] = sessions {
        return only.state.to_string();
    }
    let counted = PushState::ALL.iter().rev().filter_map(|&state| {
        let count = sessions.iter().filter(|push| push.state == state).count();
        (count > 0).then(|| format!("{count} {state}"))
    });
    counted.collect::<Vec<_>>().join(", ")
}

/// Returns the last error of the first session that is not live; otherwise the reason why nothing is pushed, with the remedy.
fn problem(target: &TargetView) -> String {
    let failing = |push: &&PushView| matches!(push.state, PushState::Waiting | PushState::Connecting);
    if let Some(error) = target.sessions.iter().filter(failing).find_map(|push| push.last_error.clone()) {
        return error;
    }
    match target.sessions.iter().any(|push| push.state == PushState::Off) {
        true if !target.enabled => format!("disabled: weir target enable {}", target.id),
        true => format!("add \"weir_push on;\" to the application \"{}\"", target.app),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nginx::targets::TargetList;

    #[test]
    fn one_line_a_target() {
        let answer = r#"{"targets":[
            {"id":"t0000000000000001","app":"live","stream":"*","url":"rtmps://a.example/app/***","enabled":true,"note":"",
             "source":"api","sessions":[
              {"stream":"a","state":"live","since":"2026-11-20T18:00:00Z","bytes_out":1,"bitrate_out":2500000,"reconnects":0,
               "last_error":"connection refused"},
              {"stream":"b","state":"waiting","since":"2026-11-20T18:00:00Z","retry_in_ms":5,"bytes_out":1,"bitrate_out":0,
               "reconnects":3,"last_error":"timed out connecting"}]},
            {"id":"t0000000000000002","app":"live","stream":"a","url":"rtmp://b/app/***","enabled":false,"note":"spare",
             "source":"file","sessions":[],"later":1},
            {"id":"t0000000000000003","app":"live","stream":"a","url":"rtmp://b/app/***","enabled":true,"note":"",
             "source":"api","sessions":[{"stream":"a","state":"off","since":"2026-11-20T18:00:00Z","bytes_out":0,"bitrate_out":0,
               "reconnects":0,"last_error":null}]},
            {"id":"t0000000000000004","app":"live","stream":"a","url":"rtmp://b/app/***","enabled":false,"note":"",
             "source":"api","sessions":[{"stream":"a","state":"off","since":"2026-11-20T18:00:00Z","bytes_out":0,"bitrate_out":0,
               "reconnects":0,"last_error":"timed out connecting"}]}]}"#;
        let list: TargetList = serde_json::from_str(answer).unwrap();
        let text = render(&list.targets);
        let cells = |line: &str| -> Vec<String> {
            line.split("  ").filter(|cell| !cell.is_empty()).map(|cell| cell.trim().to_owned()).collect()
        };
        let lines: Vec<_> = text.lines().map(cells).collect();
        assert_eq!(
            lines[1][2..],
            [
                "*",
                "yes",
                "1 waiting, 1 live",
                "2.5M",
                "rtmps://a.example/app/***",
                "timed out connecting",
                "-"
            ]
        );
        assert_eq!(lines[2][2..], ["a", "no", "-", "-", "rtmp://b/app/***", "-", "spare"]);
        assert_eq!(lines[3][7], "add \"weir_push on;\" to the application \"live\"");
        assert_eq!(lines[4][7], "disabled: weir target enable t0000000000000004");
    }
}
