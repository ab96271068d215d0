//! Checks the clock: tokens, segments and certificates need the correct time.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::finding::Finding;

const PART: &str = "clock";
const LIMIT: Duration = Duration::from_secs(5);

/// Asks systemd whether the clock is synchronized; returns `None` if systemd cannot be asked.
pub(super) async fn examine() -> Option<Finding> {
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.ok()?.ok()?;
    said(&String::from_utf8_lossy(&output.stdout))
}

fn said(synchronized: &str) -> Option<Finding> {
    match synchronized.trim() {
        "yes" => Some(Finding::ok(PART, "synchronized")),
        "no" => Some(Finding::hint(
            PART,
            "not synchronized: tokens may be refused as expired or not yet valid",
            "apt install systemd-timesyncd, or start your time service",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn answers() {
        assert_eq!(said("yes\n").unwrap().state, State::Ok);
        assert_eq!(said("no\n").unwrap().state, State::Hint);
        assert_eq!(said(""), None);
    }
}
