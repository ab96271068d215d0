//! Checks the RTMP server that weir.toml names, and its applications.

use std::time::Duration;

use super::finding::Finding;
use crate::config::Config;
use crate::health;
use crate::nginx::Nginx;

const PART: &str = "rtmp";
/// Time limit; a server on this machine answers sooner.
const LIMIT: Duration = Duration::from_secs(5);

/// Checks that nginx accepts RTMP connections, and has each application that weir.toml names. Without a configuration, the check
/// uses the daemon's default address.
pub(super) async fn examine(config: Option<&Config>, nginx: &Nginx) -> Vec<Finding> {
    // If the module does not list its applications, there is nothing to compare.
    let known = nginx.applications().await.ok().flatten().unwrap_or_default();
    let known: Vec<String> = known.into_iter().map(|app| app.name).collect();
    let mut found = vec![reached(config, known.first().map_or("live", String::as_str)).await];
    if let Some(config) = config.filter(|_| !known.is_empty()) {
        found.extend(unknown(config, &known));
    }
    found
}

/// Performs the handshake and `connect`.
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

/// Returns a finding for each application of weir.toml that nginx does not have.
fn unknown(config: &Config, known: &[String]) -> impl Iterator<Item = Finding> {
    let remedy = "correct the name in weir.toml, or add the application to nginx.conf";
    config.unknown_applications(known).into_iter().map(move |line| Finding::problem(PART, line, remedy))
}
