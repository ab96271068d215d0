//! Figures of a node for administrators: nginx's workers and zone, disks and load. The nodes of a cluster report them to each other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::timeout;
use weir_model::snapshot::{WorkerSnapshot, ZoneSnapshot};

use super::machine;
use crate::config::{Config, Delivery};
use crate::nginx::Nginx;

/// Time limit of nginx's answer, which comes from memory.
const NGINX: Duration = Duration::from_millis(800);
/// Time limit of the disks. A disk that hangs is unknown.
const DISK: Duration = Duration::from_millis(300);
/// Most disks, workers and reasons in a report of another node.
const MOST: usize = 64;
/// Longest text in a report of another node, in bytes.
const MAX_TEXT: usize = 200;
/// [`Health::status`] of an nginx that does not answer.
pub(super) const UNREACHABLE: &str = "unreachable";

/// Figures of a node. What is not known is empty or `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Figures {
    /// Load averages of the last 1, 5 and 15 minutes.
    pub load: Vec<f64>,
    /// Number of cores.
    pub cores: usize,
    /// State of nginx; `None` without an API.
    pub nginx: Option<Health>,
    /// File systems that the daemon writes to.
    pub disks: Vec<Disk>,
}

/// State of nginx.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Health {
    /// `ok`, `degraded` or `unreachable`.
    pub status: String,
    /// Problems, one sentence each.
    pub reasons: Vec<String>,
    /// Worker processes.
    pub workers: Vec<WorkerSnapshot>,
    /// The shared memory; `None` if nginx does not answer.
    pub zone: Option<ZoneSnapshot>,
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Disk {
    /// A folder on it.
    pub folder: PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// Free space in bytes.
    pub free: u64,
}

impl Figures {
    /// Limits figures of another node to what a page can show: long sentences are cut. Returns `None` for figures that make no sense.
    pub(crate) fn checked(mut self) -> Option<Self> {
        for reason in self.nginx.iter_mut().flat_map(|health| &mut health.reasons) {
            let ends = reason.char_indices().map(|(at, one)| at + one.len_utf8());
            let end = ends.take_while(|end| *end <= MAX_TEXT).last();
            reason.truncate(end.unwrap_or_default());
        }
        if !self.is_sane() {
            return None;
        }
        self.disks.truncate(MOST);
        if let Some(health) = &mut self.nginx {
            health.workers.truncate(MOST);
            health.reasons.truncate(MOST);
        }
        Some(self)
    }

    fn is_sane(&self) -> bool {
        let is_text = |text: &str| text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
        let is_load = |load: &f64| load.is_finite() && *load >= 0.0;
        let mut texts = self.nginx.iter().flat_map(|health| health.reasons.iter().chain([&health.status]));
        self.load.len() <= 3
            && self.load.iter().all(is_load)
            && texts.all(|text| is_text(text))
            && self.disks.iter().all(|disk| is_text(&disk.folder.to_string_lossy()))
    }

    /// Returns the text of what does not change all the time, to recognise a change.
    pub(crate) fn steady(&self) -> String {
        let of_nginx = self.nginx.as_ref().map(|health| {
            let workers =
                health.workers.iter().map(|worker| (worker.pid, worker.draining, worker.is_stuck()));
            let zone = health.zone.map(|zone| zone.size);
            (&health.status, &health.reasons, workers.collect::<Vec<_>>(), zone)
        });
        let disks = self.disks.iter().map(|disk| (&disk.folder, disk.size));
        format!("{} {of_nginx:?} {:?}", self.cores, disks.collect::<Vec<_>>())
    }
}

/// Reads the figures of this machine.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// Held by the one thread that asks the disks.
    asking: Arc<Mutex<()>>,
}

impl Gauge {
    /// Returns the figures of this machine. `folders` are on the disks to show.
    pub(crate) async fn read(&self, nginx: Option<&Nginx>, folders: BTreeSet<PathBuf>) -> Figures {
        let (load, cores) = machine::load_averages();
        let (nginx, disks) = tokio::join!(health(nginx), self.disks(folders));
        Figures { load, cores, nginx, disks }
    }

    /// Asks the disks on another thread, because a disk may hang. Only one thread asks, so that such a disk does not take all threads.
    async fn disks(&self, folders: BTreeSet<PathBuf>) -> Vec<Disk> {
        let asked = async {
            let turn = self.asking.clone().lock_owned().await;
            let ask = move || {
                let disks = disks(folders);
                drop(turn);
                disks
            };
            tokio::task::spawn_blocking(ask).await.unwrap_or_default()
        };
        timeout(DISK, asked).await.unwrap_or_default()
    }
}

async fn health(nginx: Option<&Nginx>) -> Option<Health> {
    let away = |why: String| Health { status: UNREACHABLE.into(), reasons: vec![why], ..Health::default() };
    Some(match timeout(NGINX, nginx?.health()).await {
        Ok(Ok(answer)) => {
            let status = if answer.value.reasons.is_empty() { "ok" } else { "degraded" }.to_owned();
            let crate::nginx::Health { reasons, workers, zone } = answer.value;
            Health { status, reasons, workers, zone: Some(zone) }
        }
        Ok(Err(error)) => away(error.to_string().chars().take(MAX_TEXT / 2).collect()),
        Err(_) => away("no answer from nginx".into()),
    })
}

/// Returns the folders that the daemon writes to, or the root folder.
pub(crate) fn folders(config: &Config) -> BTreeSet<PathBuf> {
    let mut folders: BTreeSet<PathBuf> = config.records.iter().map(|record| record.folder.clone()).collect();
    folders.extend(config.thumbnails.iter().map(|rule| rule.folder.clone()));
    folders.extend(config.rules.iter().filter_map(|rule| match &rule.delivery {
        Delivery::Files(files) => Some(files.folder.clone()),
        Delivery::Rtmp(_) => None,
    }));
    if folders.is_empty() {
        folders.insert("/".into());
    }
    folders
}

/// Returns the file systems of these folders. Folders on one file system, recognised by its id and size, count once.
fn disks(folders: BTreeSet<PathBuf>) -> Vec<Disk> {
    let mut seen = BTreeSet::new();
    let disk = |folder: PathBuf| {
        let room = folder.ancestors().find_map(|folder: &Path| statvfs(folder).ok())?;
        let unit = room.fragment_size();
        let (size, free) = (room.blocks() * unit, room.blocks_available() * unit);
        seen.insert((room.filesystem_id(), size)).then_some(Disk { folder, size, free })
    };
    folders.into_iter().filter_map(disk).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_stranger_are_bounded() {
        let worker = WorkerSnapshot { pid: 7, ..WorkerSnapshot::default() };
        let health = Health { status: "ok".into(), workers: vec![worker; 1000], ..Health::default() };
        let disk = Disk { folder: "/".into(), size: 2, free: 1 };
        let good = Figures { load: vec![0.5], cores: 2, nginx: Some(health), disks: vec![disk] };
        assert_eq!(good.clone().checked().unwrap().nginx.unwrap().workers.len(), MOST);
        let with = |change: &dyn Fn(&mut Figures)| {
            let mut figures = good.clone();
            change(&mut figures);
            figures.checked()
        };
        assert_eq!(with(&|of| of.load = vec![f64::NAN]), None);
        assert_eq!(with(&|of| of.load = vec![0.0; 4]), None);
        assert_eq!(with(&|of| of.disks[0].folder = "a\u{1b}[2J".into()), None);
        assert_eq!(with(&|of| of.nginx.as_mut().unwrap().status = "x".repeat(MAX_TEXT + 1)), None);
        assert_eq!(with(&|of| of.nginx.as_mut().unwrap().reasons = vec!["a\nb".into()]), None);
        let long = with(&|of| of.nginx.as_mut().unwrap().reasons = vec!["\u{e9}".repeat(MAX_TEXT)]);
        assert_eq!(long.unwrap().nginx.unwrap().reasons, ["\u{e9}".repeat(MAX_TEXT / 2)]);
        // A node of another version may report less, or more.
        let older: Figures = serde_json::from_str(r#"{"cores":4,"fans":2}"#).unwrap();
        assert_eq!(older.checked(), Some(Figures { cores: 4, ..Figures::default() }));
    }

    #[test]
    fn only_a_change_changes_the_steady_text() {
        let worker = WorkerSnapshot { pid: 7, ..WorkerSnapshot::default() };
        let health = Health { status: "ok".into(), workers: vec![worker], ..Health::default() };
        let one = Figures { nginx: Some(health), ..Figures::default() };
        let mut other = Figures { load: vec![1.0], ..one.clone() };
        other.nginx.as_mut().unwrap().workers[0].heartbeat_ms = 40;
        assert_eq!(one.steady(), other.steady());
        other.nginx.as_mut().unwrap().workers[0].draining = true;
        assert_ne!(one.steady(), other.steady());
    }
}
