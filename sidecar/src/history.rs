//! The history: sessions, viewers per minute, pushes, recordings, chat and actions of administrators, in one SQLite file.
//!
//! - [`facts`] selects the facts to keep, [`schema`] defines their tables
//! - [`writer`] is the only thread that writes
//! - [`read`] answers queries
//!
//! The history stores no address of a publisher or viewer. If the history cannot be written, Weir logs one line and continues.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use weir_model::snapshot::StreamSnapshot;

use crate::clock;
use crate::config::{Config, history::History as Settings};
use crate::events::{Bus, Event};

pub(crate) mod facts;
pub(crate) mod read;
mod schema;
mod writer;

use facts::{Fact, Sample};
use writer::Writer;

/// The history.
#[derive(Debug)]
pub(crate) struct History {
    bus: Arc<Bus>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    settings: Settings,
    writer: Writer,
    listener: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl History {
    /// Starts to record history, as configured.
    pub(crate) fn start(config: &Config, bus: &Arc<Bus>) -> Arc<Self> {
        let history = Self { bus: bus.clone(), running: Mutex::default() };
        history.configure(config);
        Arc::new(history)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies another file or retention time, or switches the history off.
    pub(crate) fn configure(&self, config: &Config) {
        let mut running = self.lock();
        if running.as_ref().is_some_and(|running| running.settings == config.history) {
            return;
        }
        if let Some(before) = running.take() {
            before.writer.finish();
        }
        let settings = config.history.clone();
        let Some(file) = settings.file.clone() else { return };
        // The subscription starts before this function returns, so that no event is missed.
        let live = self.bus.listen(None).live;
        match Writer::start(file, settings.keep) {
            Ok(writer) => {
                let listener = tokio::spawn(listen(self.bus.clone(), live, writer.clone()));
                *running = Some(Running { settings, writer, listener });
            }
            Err(why) => tracing::error!("no history: [history] file: {why}"),
        }
    }

    /// Records that exactly these streams are live, as nginx reports.
    pub(crate) fn see(&self, config: &Config, streams: &[StreamSnapshot]) {
        if let Some(running) = &*self.lock() {
            running.writer.put(Fact::Sample(Sample::of(config, streams, clock::now())));
        }
    }

    /// Returns the file, for [`read`]; `None` if the history is off.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.lock().as_ref().and_then(|running| running.settings.file.clone())
    }

    /// Writes everything known so far, and stops.
    pub(crate) fn stop(&self) {
        if let Some(running) = self.lock().take() {
            running.writer.finish();
        }
    }
}

/// Passes on the events that the history keeps.
async fn listen(bus: Arc<Bus>, mut live: Receiver<Arc<Event>>, writer: Writer) {
    let take = |event: &Event| {
        if let Some(fact) = Fact::of_event(&event.kind, &event.data, clock::now()) {
            writer.put(fact);
        }
        Some(event.id)
    };
    let mut last = None;
    loop {
        match live.recv().await {
            Ok(event) => last = take(&event),
            Err(RecvError::Lagged(_)) => {
                let caught = bus.listen(last);
                for event in &caught.events {
                    last = take(event);
                }
                live = caught.live;
            }
            Err(RecvError::Closed) => return,
        }
    }
}
