//! Checks the running nginx through its API.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::timeout;

use super::finding::Finding;
use crate::config::Config;
use crate::nginx::{Error, Health, Nginx};

const PART: &str = "api";
const LIMIT: Duration = Duration::from_secs(5);

/// Returns the client of the API that the configuration names.
pub(super) fn of_config(config: &Config) -> Option<Nginx> {
    Nginx::of_configuration(config.nginx.api.clone(), config.nginx.api_token_file.as_deref()).ok()
}

/// Requests the health of nginx from the API.
pub(super) async fn examine(nginx: &Nginx) -> Vec<Finding> {
    match timeout(LIMIT, nginx.health()).await {
        Ok(Ok(answer)) => answered(&answer.value),
        Ok(Err(error)) => vec![failed(&error)],
        Err(_) => vec![Finding::problem(
            PART,
            format!("no answer from the API within {} s", LIMIT.as_secs()),
            "look at nginx's error log, then restart nginx",
        )],
    }
}

fn failed(error: &Error) -> Finding {
    let text = error.to_string();
    let closed = |status: StatusCode| matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    match error {
        Error::Refused { status: StatusCode::UNAUTHORIZED, .. } => Finding::problem(
            PART,
            "the API needs another token than this command has",
            "name the file of weir_api_token: api_token_file of [nginx] in weir.toml, or --api-token-file",
        ),
        // nginx itself answers, by `deny`, `auth_basic` or the like.
        Error::NotTheApi { api, status, .. } if closed(*status) => Finding::problem(
            PART,
            format!("nginx does not let this machine use {api}: {status}"),
            "add \"allow 127.0.0.1;\" to the location with weir_api, or set weir_api_token in place of a password",
        ),
        Error::TokenFile { .. } => {
            Finding::problem(PART, text, "see weir_api and weir_api_token in the manual")
        }
        // The other messages end with the remedy.
        _ => match text.rsplit_once(": ") {
            Some((message, remedy)) => Finding::problem(PART, message, remedy),
            None => Finding::problem(PART, text, "see weir_api and weir_api_token in the manual"),
        },
    }
}

fn answered(health: &Health) -> Vec<Finding> {
    let mut found: Vec<Finding> = health
        .reasons
        .iter()
        .map(|reason| Finding::problem(PART, reason.clone(), "see /v1/health in docs/api.md"))
        .collect();
    let workers = health.workers.iter().filter(|worker| !worker.draining).count();
    if workers == 0 {
        let message = "no worker of nginx accepts connections";
        found.push(Finding::problem(PART, message, "look at nginx's error log, then restart nginx"));
    }
    let full = health.zone.used.saturating_mul(100).checked_div(health.zone.size).unwrap_or_default();
    if full >= 80 {
        let message = format!("the zone is {full} % full");
        found.push(Finding::hint(PART, message, "raise the size of weir_zone and restart nginx"));
    }
    if found.is_empty() {
        let s = if workers == 1 { "" } else { "s" };
        found.push(Finding::ok(
            PART,
            format!("nginx answers with {workers} worker{s}, the zone is {full} % full"),
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nginx::SetBy;

    #[test]
    fn a_closed_api_has_the_remedy() {
        let refused = |status, message: &str| {
            failed(&Error::Refused { status, code: String::new(), message: message.into() }).to_string()
        };
        let other = |status| {
            failed(&Error::NotTheApi { by: SetBy::CommandLine, api: "http://a/api".into(), status })
                .to_string()
        };
        assert_eq!(
            refused(StatusCode::UNAUTHORIZED, "send the header \"Authorization: Bearer TOKEN\""),
            "problem: api: the API needs another token than this command has: name the file of weir_api_token: api_token_file of \
             [nginx] in weir.toml, or --api-token-file"
        );
        let local = "only clients of this machine may use the API: set \"weir_api_token\" to allow others";
        assert_eq!(refused(StatusCode::FORBIDDEN, local), format!("problem: api: {local}"));
        let closed = other(StatusCode::FORBIDDEN);
        assert!(
            closed.starts_with("problem: api: nginx does not let this machine use http://a/api: 403 "),
            "{closed}"
        );
        assert!(closed.contains("allow 127.0.0.1;"), "{closed}");
        assert!(other(StatusCode::NOT_FOUND).ends_with("must lead to a location with weir_api"));
    }

    #[test]
    fn what_the_health_says() {
        let said = |json: &str| {
            let health: Health = serde_json::from_str(json).unwrap();
            answered(&health).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let worker = r#"{"pid":1,"draining":false}"#;
        assert_eq!(
            said(&format!(r#"{{"reasons":[],"workers":[{worker}],"zone":{{"size":1000,"used":50}}}}"#)),
            ["ok: api: nginx answers with 1 worker, the zone is 5 % full"]
        );
        let bad = said(
            r#"{"reasons":["the state file cannot be written"],"workers":[],"zone":{"size":1000,"used":990}}"#,
        );
        assert_eq!(bad.len(), 3, "{bad:?}");
        assert!(bad[0].starts_with("problem: api: the state file cannot be written: "));
        assert!(bad[2].starts_with("hint: api: the zone is 99 % full: "));
    }
}
