//! What the daemon needs of nginx over RTMP: the server that weir.toml names, and the applications in it.

use std::time::Duration;

use super::finding::Finding;
use crate::config::Config;
use crate::health;
use crate::nginx::Nginx;

const PART: &str = "rtmp";
/// A server on this machine answers sooner.
const LIMIT: Duration = Duration::from_secs(5);

/// Whether nginx takes connections there, and has each application that weir.toml names. Without a configuration it is asked where
/// the daemon would look.
pub(super) async fn examine(config: Option<&Config>, nginx: &Nginx) -> Vec<Finding> {
    // A module that does not tell them cannot be compared with.
    let known = nginx.applications().await.ok().flatten().unwrap_or_default();
    let known: Vec<String> = known.into_iter().map(|app| app.name).collect();
    let mut found = vec![reached(config, known.first().map_or("live", String::as_str)).await];
    if let Some(config) = config.filter(|_| !known.is_empty()) {
        found.extend(unknown(config, &known));
    }
    found
}

/// Handshake and `connect`.
async fn reached(config: Option<&Config>, app: &str) -> Finding {
    let server =
        config.map_or_else(|| "rtmp://127.0.0.1:1935".to_owned(), |config| config.nginx.rtmp.to_string());
    let url = format!("{server}/{app}");
    let remedy = "start nginx, and compare rtmp of [nginx] in weir.toml with \"listen\" in nginx.conf";
    match format!("{url}/x").parse() {
        Ok(parsed) => {
            let look = async |step: &health::Step| health::rtmp(step, &parsed, None).await;
            Finding::of(PART, health::check(&url, LIMIT, look).await, remedy)
        }
        Err(error) => Finding::problem(PART, format!("{url}: {error}"), remedy),
    }
}

/// A finding for each name of weir.toml that nginx does not have.
fn unknown(config: &Config, known: &[String]) -> impl Iterator<Item = Finding> {
    let remedy = "correct the name in weir.toml, or add the application to nginx.conf";
    config.unknown_applications(known).into_iter().map(move |line| Finding::problem(PART, line, remedy))
}
