//! Data of this machine: workers, zone, disks, load, version.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use nix::sys::statvfs::statvfs;
use serde_json::{Value, json};

use super::gate::Reader;
use super::module::nginx;
use crate::clock;
use crate::config::{Config, Delivery};
use crate::web::common::Web;

pub(super) async fn get(State(web): State<Arc<Web>>, _: Reader) -> Json<Value> {
    let health = match nginx(&web) {
        Ok(nginx) => match nginx.forward(Method::GET, "v1/health", None).await {
            Ok(answer) => answer.value,
            Err(error) => json!({ "status": "unreachable", "reasons": [error.to_string()] }),
        },
        Err(_) => Value::Null,
    };
    let config = web.context.config();
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<f64> = load.split(' ').take(3).filter_map(|number| number.parse().ok()).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Json(json!({
        "name": machine.trim(), "version": env!("CARGO_PKG_VERSION"), "at": clock::now(),
        "load": load, "cores": cores, "nginx": health, "disks": disks(&config),
    }))
}

/// Returns the file systems that the daemon writes to. Folders on one file system, recognized by its id and size, count once.
fn disks(config: &Config) -> Vec<Value> {
    let mut folders: BTreeSet<PathBuf> = config.records.iter().map(|record| record.folder.clone()).collect();
    folders.extend(config.thumbnails.iter().map(|rule| rule.folder.clone()));
    folders.extend(config.rules.iter().filter_map(|rule| match &rule.delivery {
        Delivery::Files(files) => Some(files.folder.clone()),
        Delivery::Rtmp(_) => None,
    }));
    if folders.is_empty() {
        folders.insert("/".into());
    }
    let mut seen = BTreeSet::new();
    let disk = |folder: PathBuf| {
        let room = folder.ancestors().find_map(|folder: &Path| statvfs(folder).ok())?;
        let unit = room.fragment_size();
        let (size, free) = (room.blocks() * unit, room.blocks_available() * unit);
        seen.insert((room.filesystem_id(), size))
            .then(|| json!({ "folder": folder, "size": size, "free": free }))
    };
    folders.into_iter().filter_map(disk).collect()
}
