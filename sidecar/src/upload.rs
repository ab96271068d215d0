//! Uploads finished recordings to an S3 bucket, in parts. An interrupted upload continues with the next part, also after a restart of the
//! daemon.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::RecordingUpload;

use crate::clock;
use crate::config::record::{Record, Upload};
use crate::events::Bus;
use crate::record::index::{Entry, Index};
use crate::record::transfer::Transfer;
use crate::supervise::backoff::Backoff;

pub(crate) mod bucket;
pub(crate) mod credentials;
mod error;

use bucket::Bucket;
pub(crate) use error::Error;

/// Pauses between attempts.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(2), max: Duration::from_secs(300) };

/// The running uploads: one at a time per bucket.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    running: HashMap<String, JoinHandle<Result<(), Error>>>,
    failing: HashMap<String, (u32, Instant)>,
    /// Number of attempts per file. The file with the most attempts waits longest.
    attempts: HashMap<(PathBuf, u64), u32>,
}

impl Uploads {
    /// Starts the upload of a waiting file, unless an upload to its bucket is running.
    pub(crate) fn begin(
        &mut self,
        rule: &Record,
        index: &Arc<Index>,
        bus: &Arc<Bus>,
        mine: impl Fn(&Entry) -> bool,
    ) {
        let Some(upload) = &rule.upload else { return };
        let resting = self.failing.get(&upload.name).is_some_and(|(_, until)| *until > Instant::now());
        if resting || self.running.contains_key(&upload.name) {
            return;
        }
        let entries = index.entries();
        let wanted = entries.into_iter().filter(|(_, entry)| waits(entry, upload) && mine(entry));
        let tries = |number: u64| *self.attempts.get(&(rule.folder.clone(), number)).unwrap_or(&0);
        let Some((number, entry)) = wanted.min_by_key(|(number, _)| (tries(*number), *number)) else {
            return;
        };
        *self.attempts.entry((rule.folder.clone(), number)).or_default() += 1;
        let task = tokio::spawn(one(upload.clone(), index.clone(), bus.clone(), number, entry));
        self.running.insert(upload.name.clone(), task);
    }

    /// Handles the uploads that have ended.
    pub(crate) async fn reap(&mut self) {
        let ended: Vec<String> = self
            .running
            .iter()
            .filter(|(_, task)| task.is_finished())
            .map(|(name, _)| name.clone())
            .collect();
        for name in ended {
            let Some(task) = self.running.remove(&name) else { continue };
            match task.await.map_err(|error| Error::File(std::io::Error::other(error))).flatten() {
                Ok(()) => {
                    if self.failing.remove(&name).is_some() {
                        tracing::info!("uploads succeed again, upload: {name:?}");
                    }
                }
                Err(error) => {
                    let failures = self.failing.get(&name).map_or(0, |(failures, _)| failures + 1);
                    let wait = BACKOFF.wait(failures, clock::random_u32());
                    if failures == 0 {
                        tracing::error!("upload failed: {error}, upload: {name:?}; it is tried again");
                    } else {
                        tracing::debug!("upload failed again: {error}, upload: {name:?}");
                    }
                    self.failing.insert(name, (failures, Instant::now() + wait));
                }
            }
        }
    }
}

fn waits(entry: &Entry, upload: &Upload) -> bool {
    let transfer = entry.upload.as_ref();
    entry.ended.is_some()
        && transfer.is_some_and(|transfer| transfer.to == upload.name && transfer.done.is_none())
}

async fn one(
    upload: Upload,
    index: Arc<Index>,
    bus: Arc<Bus>,
    number: u64,
    entry: Entry,
) -> Result<(), Error> {
    let Some(transfer) = entry.upload.clone().map(|transfer| Transfer { error: None, ..transfer }) else {
        return Ok(());
    };
    let path = index.folder().join(&entry.file);
    let told = |kind: fn(RecordingUpload) -> DaemonEvent, reason: Option<String>| {
        bus.tell(&kind(RecordingUpload {
            at: clock::now(),
            app: entry.app.clone(),
            file: path.clone(),
            key: transfer.key.clone(),
            name: entry.stream.clone(),
            reason,
            upload: upload.name.clone(),
        }));
    };
    let note = |transfer: &Transfer| {
        let (index, transfer) = (index.clone(), transfer.clone());
        async move {
            let change = move || index.change(number, |entry| entry.upload = Some(transfer));
            tokio::task::spawn_blocking(change).await.map_err(std::io::Error::other)?
        }
    };
    let done = match Bucket::new(&upload) {
        Ok(bucket) => bucket.put(&path, transfer.clone(), note).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => {
            tracing::info!(stream = format!("{}/{}", entry.app, entry.stream), "uploaded, file: {path:?}");
            told(DaemonEvent::RecordingUploaded, None);
            Ok(())
        }
        Err(error) => {
            index.upload_failed(number, error.to_string());
            told(DaemonEvent::RecordingUploadFailed, Some(error.to_string()));
            Err(error)
        }
    }
}
