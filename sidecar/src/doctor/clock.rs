//! Checks the clock: tokens, segments and certificates need the correct time.

use std::process::Stdio;
use std::time::{Duration, SystemTime};

use tokio::process::Command;
use tokio::time::timeout;

use super::finding::Finding;

const PART: &str = "clock";
const LIMIT: Duration = Duration::from_secs(5);

/// Difference that time zones and rounding explain.
const TOLERANCE: Duration = Duration::from_secs(24 * 3600);

/// Compares the clock with the age of this program, and asks systemd whether the clock is synchronized. Returns `None` if systemd
/// cannot be asked.
pub(super) async fn examine() -> Option<Finding> {
    let built = std::env::current_exe().and_then(|program| program.metadata()?.modified());
    if let Some(found) = built.ok().and_then(|built| behind(SystemTime::now(), built)) {
        return Some(found);
    }
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.ok()?.ok()?;
    said(&String::from_utf8_lossy(&output.stdout))
}

/// Reports a clock that shows a time before this program was made.
fn behind(now: SystemTime, built: SystemTime) -> Option<Finding> {
    let days = built.duration_since(now).ok().filter(|behind| *behind > TOLERANCE)?.as_secs() / (24 * 3600);
    let s = if days == 1 { "" } else { "s" };
    Some(Finding::problem(
        PART,
        format!("at least {days} day{s} behind: this program is newer than the time of the clock"),
        "set the clock: timedatectl set-ntp true, or start your time service",
    ))
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

    #[test]
    fn a_clock_before_the_program() {
        let now = SystemTime::UNIX_EPOCH;
        let said =
            |hours: u64| behind(now, now + Duration::from_secs(hours * 3600)).map(|found| found.to_string());
        assert_eq!(said(23), None);
        assert_eq!(behind(now + Duration::from_secs(1), now), None);
        assert!(said(47).unwrap().starts_with("problem: clock: at least 1 day behind: "));
        assert!(said(24 * 365 * 50).unwrap().starts_with("problem: clock: at least 18250 days behind: "));
    }
}
