//! Checks the daemon: its configuration, and whether it runs.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::finding::Finding;
use super::installation::Installation;
use super::settings::Settings;
use crate::cluster::pair::NO_LETTERS;
use crate::daemon::client::{Client, Error};
use crate::daemon::unit::{self, Unit};

const PART: &str = "daemon";
const LIMIT: Duration = Duration::from_secs(10);

/// Checks the daemon. Without the file `config`, no daemon is expected. `follows` says that the daemon follows nginx
/// ([`Config::follows_nginx`](crate::config::Config::follows_nginx)).
pub(super) async fn examine(installation: &Installation, follows: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    if Unit::is_installed() {
        found.extend(without_account(&Unit::installed()));
    }
    found.extend(examine_service(installation, follows).await);
    found
}

async fn examine_service(installation: &Installation, follows: bool) -> Vec<Finding> {
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
            found.extend(reasons.into_iter().map(|reason| {
                let remedy = remedy(&reason);
                Finding::problem(PART, reason, remedy)
            }));
        }
        Ok(_) if found.is_empty() => {
            found.push(Finding::ok(PART, format!("weir serve runs with {}", config.display())))
        }
        Ok(_) => {}
        Err(error) => {
            // A file of the user's choice may belong to another unit.
            let is_left_off = !is_config_expected && is_left_off().await;
            found.push(silent(config, &error, Settings::of_file(config), is_left_off));
        }
    }
    found
}

/// Returns the remedy for a problem that the daemon reports.
fn remedy(reason: &str) -> &'static str {
    match reason.starts_with(NO_LETTERS) {
        true if reason.contains("status 401") => {
            "copy pair_secret_file of [cluster] from the other node to this one, and restart weir"
        }
        true => {
            "start weir on the other node; check the network between the nodes, and peer and pair_secret_file of [cluster] on both"
        }
        false => "compare [nginx] of weir.toml with nginx.conf, and see journalctl -u weir",
    }
}

/// Judges a daemon that does not answer. The daemon is optional.
fn silent(config: &Path, error: &Error, settings: Settings, is_left_off: bool) -> Finding {
    let message = error.to_string();
    let message = message.rsplit_once(": ").map_or(message.as_str(), |(message, _)| message);
    let remedy = "systemctl enable --now weir, then journalctl -u weir";
    match (error, settings) {
        (Error::Unreachable { .. }, Settings::None | Settings::Nginx) => Finding::ok(
            PART,
            format!("{} sets nothing that needs the daemon, and weir serve does not run", config.display()),
        ),
        (Error::Unreachable { .. }, Settings::More) if is_left_off => Finding::hint(
            PART,
            format!("weir.service is off, so {} has no effect", config.display()),
            "systemctl enable --now weir",
        ),
        _ => Finding::problem(PART, message, remedy),
    }
}

/// Asks systemd whether the administrator has left the unit off. Without systemd, the answer is no.
async fn is_left_off() -> bool {
    let mut command = Command::new("systemctl");
    command.args(["show", "weir.service", "--property=LoadState,UnitFileState,ActiveState"]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(LIMIT, command.output()).await {
        Ok(Ok(output)) => is_off(&String::from_utf8_lossy(&output.stdout)),
        _ => false,
    }
}

/// Returns whether the unit is installed, and neither enabled, nor running, nor failed.
fn is_off(shown: &str) -> bool {
    let is = |line: &str| shown.lines().any(|shown| shown.trim() == line);
    let is_disabled = is("LoadState=loaded") && is("UnitFileState=disabled") || is("LoadState=masked");
    is_disabled && is("ActiveState=inactive")
}

/// Reports a unit whose user or group does not exist.
fn without_account(unit: &Unit) -> Option<Finding> {
    let error = unit.account().err()?;
    let remedy = match error {
        unit::Error::NoUser(_) => "run systemd-sysusers and systemd-tmpfiles --create",
        unit::Error::NoGroup(_) => {
            "run systemd-sysusers and systemd-tmpfiles --create, or set Group= to the group of nginx's workers with systemctl edit weir"
        }
        unit::Error::Refused { .. } => return None,
    };
    Some(Finding::problem(PART, format!("weir.service cannot start: {error}"), remedy))
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
    lines
        .map(|line| {
            let warning = line.strip_prefix("warning: ");
            // Most messages end with the remedy.
            let (message, remedy) = warning
                .unwrap_or(line)
                .rsplit_once("; ")
                .unwrap_or((warning.unwrap_or(line), "correct it, then run weir serve --check"));
            if done || warning.is_some() {
                Finding::hint(PART, message, remedy)
            } else {
                Finding::problem(PART, message, remedy)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_daemon_that_is_not_needed_may_be_silent() {
        let gone = Error::Unreachable { socket: "/s".into(), why: "no such file".into() };
        let said = |error: &Error, settings, off| silent(Path::new("/w"), error, settings, off).state;
        assert_eq!(said(&gone, Settings::None, false), State::Ok);
        assert_eq!(said(&gone, Settings::Nginx, false), State::Ok);
        assert_eq!(said(&gone, Settings::More, true), State::Hint);
        assert_eq!(said(&gone, Settings::More, false), State::Problem);
        let other = Error::NotTheDaemon { socket: "/s".into() };
        assert_eq!(said(&other, Settings::None, true), State::Problem);
    }

    #[test]
    fn the_other_node_of_a_pair_is_no_matter_of_nginx() {
        assert!(
            remedy(&format!("{NO_LETTERS}, http://b:8090 for 9 s: status 401: x"))
                .starts_with("copy pair_secret")
        );
        let silent = remedy(&format!("{NO_LETTERS}, http://b:8090: timed out"));
        assert!(silent.starts_with("start weir on the other node"), "{silent}");
        assert!(remedy("nginx does not answer").starts_with("compare [nginx]"));
    }

    #[test]
    fn a_unit_that_is_off() {
        assert!(is_off("LoadState=loaded\nActiveState=inactive\nUnitFileState=disabled\n"));
        assert!(is_off("LoadState=masked\nActiveState=inactive\nUnitFileState=masked\n"));
        for shown in [
            "",
            "LoadState=not-found\nActiveState=inactive\nUnitFileState=\n",
            "LoadState=loaded\nActiveState=inactive\nUnitFileState=enabled\n",
            "LoadState=loaded\nActiveState=failed\nUnitFileState=disabled\n",
            "LoadState=loaded\nActiveState=active\nUnitFileState=disabled\n",
        ] {
            assert!(!is_off(shown), "{shown}");
        }
    }

    #[test]
    fn a_unit_without_its_user_or_group() {
        let said = |user: &str, group: Option<&str>| {
            let unit = Unit { user: user.into(), group: group.map(Into::into) };
            without_account(&unit).map(|finding| finding.to_string())
        };
        assert_eq!(said("root", Some("root")), None);
        assert_eq!(
            said("no-user", None).unwrap(),
            "problem: daemon: weir.service cannot start: the user no-user does not exist: run systemd-sysusers and systemd-tmpfiles --create"
        );
        let group = said("root", Some("no-group")).unwrap();
        assert!(group.contains("the group no-group does not exist: run systemd-sysusers"), "{group}");
    }

    #[test]
    fn lines_of_the_check() {
        let lines = |done, text: &str| said(done, text).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(lines(true, ""), [""; 0]);
        assert_eq!(
            lines(false, "weir: /etc/weir/weir.toml:3: no such key\n"),
            ["problem: daemon: /etc/weir/weir.toml:3: no such key: correct it, then run weir serve --check"]
        );
        let ffmpeg = "[jobs]: ffmpeg: ffmpeg: no such program that may be started; install it (Debian: apt install ffmpeg), or write its path";
        assert_eq!(
            lines(false, &format!("weir: /etc/weir/weir.toml: {ffmpeg}\n")),
            [format!("problem: daemon: /etc/weir/weir.toml: {}", ffmpeg.replace("; ", ": "))]
        );
        assert!(
            lines(true, "weir: warning: only root can read x\n")[0].starts_with("hint: daemon: only root")
        );
    }
}
