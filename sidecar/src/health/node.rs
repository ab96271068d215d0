//! Checks this machine: nginx's workers, the zone and the disks.

use std::path::PathBuf;

use nix::sys::statvfs::statvfs;

use super::Step;
use crate::nginx::{self, Health, Nginx};

/// Reason why this machine is not healthy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API does not answer.
    #[error(transparent)]
    Api(#[from] nginx::Error),
    /// All problems.
    #[error("{}", .0.join("; "))]
    Wrong(Vec<String>),
}

/// Checks that the module reports no problem, and that the disk of each folder has `min_free` free bytes.
pub(crate) async fn check(
    step: &Step,
    nginx: &Nginx,
    disks: &[PathBuf],
    min_free: u64,
) -> Result<String, Error> {
    step.is("answer from the API");
    let health = nginx.health().await?.value;
    let mut wrong = health.reasons.clone();
    if !health.workers.iter().any(|worker| !worker.draining) {
        wrong.push("no worker accepts connections".into());
    }
    step.is("answer from a disk");
    wrong.extend(full(disks, min_free).await);
    if wrong.is_empty() { Ok(well(&health)) } else { Err(Error::Wrong(wrong)) }
}

/// Returns the problems of the folders' disks: less than `min_free` free bytes, or no answer.
pub(crate) async fn full(disks: &[PathBuf], min_free: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    for disk in disks {
        // A network file system may never answer.
        let path = disk.clone();
        let room = tokio::task::spawn_blocking(move || free(&path)).await;
        let room = room.map_err(|e| e.to_string()).and_then(|free| free.map_err(|e| e.desc().to_owned()));
        match room {
            Ok(free) if free < min_free => {
                wrong.push(format!("{}: {} free, {} required", disk.display(), bytes(free), bytes(min_free)));
            }
            Ok(_) => {}
            Err(why) => wrong.push(format!("{}: {why}", disk.display())),
        }
    }
    wrong
}

fn well(health: &Health) -> String {
    let workers = health.workers.iter().filter(|worker| !worker.draining).count();
    let zone = health.zone;
    let full = zone.used.saturating_mul(100).checked_div(zone.size).unwrap_or_default();
    format!("{workers} worker{}, zone {full} % full", if workers == 1 { "" } else { "s" })
}

/// Returns the bytes that users other than root may still write.
fn free(path: &std::path::Path) -> nix::Result<u64> {
    let room = statvfs(path)?;
    Ok(room.blocks_available().saturating_mul(room.fragment_size()))
}

/// Formats a size, rounded down, for example `512 MiB`.
fn bytes(count: u64) -> String {
    match [(30, "GiB"), (20, "MiB"), (10, "KiB")].iter().find(|(shift, _)| count >> shift >= 10) {
        Some((shift, unit)) => format!("{} {unit}", count >> shift),
        None => format!("{count} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms() {
        assert_eq!(bytes(1 << 30), "1024 MiB");
        assert_eq!(bytes(12 << 30), "12 GiB");
        assert_eq!(bytes(700), "700 bytes");
        assert!(free(std::path::Path::new("/")).unwrap() > 0);
        assert!(free(std::path::Path::new("/no/such/folder")).unwrap_err().desc().contains("No such"));
    }
}
