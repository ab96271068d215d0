//! Maintains the recordings of all rules: removes old or surplus files, and uploads files.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::RecordingRemoved;

use crate::clock;
use crate::config::Config;
use crate::config::record::Record;
use crate::context::Context;
use crate::events::Bus;
use crate::record::Recordings;
use crate::record::index::{Entry, Index};
use crate::record::retention::{is_of, surplus};
use crate::upload::Uploads;

/// Interval between rounds.
const ROUND: Duration = Duration::from_secs(5);

/// Runs until the future is dropped.
pub(crate) async fn keep(context: Arc<Context>, recordings: Arc<Recordings>) {
    let mut uploads = Uploads::default();
    // Folders whose error was logged already.
    let mut broken = HashSet::new();
    loop {
        let config = context.config();
        for (at, rule) in config.records.iter().enumerate() {
            let (recordings, folder) = (recordings.clone(), rule.folder.clone());
            let index =
                spawn_blocking(move || recordings.of(&folder)).await.map_err(std::io::Error::other).flatten();
            match index {
                Ok(index) => {
                    broken.remove(&rule.folder);
                    round(&config, at, rule, &index, &context.bus).await;
                    let mine = |entry: &Entry| first_rule(&config, entry, rule) == Some(at);
                    uploads.begin(rule, &index, &context.bus, mine);
                }
                Err(error) if broken.insert(rule.folder.clone()) => {
                    tracing::error!("recordings cannot be checked: {error}, folder: {:?}", rule.folder);
                }
                Err(_) => {}
            }
        }
        uploads.reap().await;
        tokio::time::sleep(ROUND).await;
    }
}

/// Returns the index of the rule, among those for the same folder, that a file belongs to.
fn first_rule(config: &Config, entry: &Entry, like: &Record) -> Option<usize> {
    config.records.iter().position(|rule| rule.folder == like.folder && is_of(rule, entry))
}

async fn round(config: &Config, at: usize, rule: &Record, index: &Arc<Index>, bus: &Bus) {
    let saver = index.clone();
    let _ = spawn_blocking(move || saver.save_again()).await;
    let mut entries = index.entries();
    entries.retain(|(_, entry)| first_rule(config, entry, rule) == Some(at));
    for number in surplus(rule, &entries, clock::now()) {
        let remover = index.clone();
        let removed =
            spawn_blocking(move || remover.remove(number)).await.map_err(std::io::Error::other).flatten();
        let Some((_, entry)) = entries.iter().find(|(known, _)| *known == number) else { continue };
        match removed {
            Ok(()) => {
                tracing::info!("recording removed, file: {:?}", entry.file);
                let file = index.folder().join(&entry.file);
                let (app, name) = (entry.app.clone(), entry.stream.clone());
                let removed = RecordingRemoved { at: clock::now(), app, file, name };
                bus.tell(&DaemonEvent::RecordingRemoved(removed));
            }
            Err(error) => tracing::error!("recording not removed: {error}, file: {:?}", entry.file),
        }
    }
}
