//! Checks the daemon: its configuration, and whether it runs.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::finding::Finding;
use super::installation::Installation;
use crate::daemon::client::Client;

const PART: &str = "daemon";
const LIMIT: Duration = Duration::from_secs(10);

/// Checks the daemon. Without the file `config`, no daemon is expected. `follows` says that the daemon follows nginx
/// ([`Config::follows_nginx`](crate::config::Config::follows_nginx)).
pub(super) async fn examine(installation: &Installation, follows: bool) -> Vec<Finding> {
    let Installation { config, socket, is_config_expected, .. } = installation;
    if !config.exists() && *is_config_expected {
        let message = format!("{} does not exist", config.display());
        return vec![Finding::problem(PART, message, "name the daemon's weir.toml with --config")];
    }
    if !config.exists() {
        let message = format!(
            "{} does not exist: nothing is transcoded or recorded, and there are no pages",
            config.display()
        );
        return vec![Finding::ok(PART, message)];
    }
    let mut found = check(config).await;
    let asked = match Client::new(socket) {
        Ok(client) => client.health().await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(reasons) if follows && !reasons.is_empty() => {
            let remedy = "compare [nginx] of weir.toml with nginx.conf, and see journalctl -u weir";
            found.extend(reasons.into_iter().map(|reason| Finding::problem(PART, reason, remedy)));
        }
        Ok(_) if found.is_empty() => {
            found.push(Finding::ok(PART, format!("weir serve runs with {}", config.display())))
        }
        Ok(_) => {}
        Err(error) => {
            let message = error.to_string();
            let message = message.rsplit_once(": ").map_or(message.as_str(), |(message, _)| message);
            let remedy = "systemctl enable --now weir, then journalctl -u weir";
            found.push(Finding::problem(PART, message, remedy));
        }
    }
    found
}

/// Runs `weir serve --check`. That command permanently becomes the daemon's user, so it runs as a separate process.
async fn check(config: &Path) -> Vec<Finding> {
    let Ok(ours) = std::env::current_exe() else { return Vec::new() };
    let mut command = Command::new(ours);
    command.args(["serve", "--check", "--config"]).arg(config).stdin(Stdio::null()).kill_on_drop(true);
    let Ok(Ok(output)) = timeout(LIMIT, command.output()).await else { return Vec::new() };
    said(output.status.success(), &String::from_utf8_lossy(&output.stderr))
}

/// Returns a finding for each line of the check's standard error.
fn said(done: bool, stderr: &str) -> Vec<Finding> {
    let lines = stderr.lines().map(|line| line.strip_prefix("weir: ").unwrap_or(line));
    let lines = lines.filter(|line| !line.trim().is_empty());
    let remedy = "correct it, then run weir serve --check";
    lines
        .map(|line| match (done, line.strip_prefix("warning: ")) {
            (_, Some(warning)) => Finding::hint(PART, warning, remedy),
            (true, None) => Finding::hint(PART, line, remedy),
            (false, None) => Finding::problem(PART, line, remedy),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_check() {
        let lines = |done, text: &str| said(done, text).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(lines(true, ""), [""; 0]);
        assert_eq!(
            lines(false, "weir: /etc/weir/weir.toml:3: no such key\n"),
            ["problem: daemon: /etc/weir/weir.toml:3: no such key: correct it, then run weir serve --check"]
        );
        assert!(
            lines(true, "weir: warning: only root can read x\n")[0].starts_with("hint: daemon: only root")
        );
    }
}
