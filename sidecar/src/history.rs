//! What happened: sessions, viewers per minute, pushes, recordings, chat and what administrators did, in one SQLite file.
//!
//! - [`facts`] says which facts are kept, [`schema`] how
//! - [`writer`] is the one thread that writes
//! - [`read`] answers questions
//!
//! No address of a publisher or viewer gets here. A history that cannot be written costs a line in the log and nothing else.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::clock;
use crate::config::{Config, history::History as Settings};
use crate::events::{Bus, Event};
use crate::nginx;

pub mod facts;
pub mod read;
mod schema;
mod writer;

use facts::{Fact, Sample};
use writer::Writer;

/// What happened.
#[derive(Debug)]
pub struct History {
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
    /// Keeps what happens from now on, as configured.
    pub fn start(config: &Config, bus: &Arc<Bus>) -> Arc<Self> {
        let history = Self { bus: bus.clone(), running: Mutex::default() };
        history.configure(config);
        Arc::new(history)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another file, another time, or none.
    pub fn configure(&self, config: &Config) {
        let mut running = self.lock();
        if running.as_ref().is_some_and(|running| running.settings == config.history) {
            return;
        }
        if let Some(before) = running.take() {
            before.writer.finish();
        }
        let settings = config.history.clone();
        let Some(file) = settings.file.clone() else { return };
        // Listened to before this returns, so that nothing is missed.
        let live = self.bus.listen(None).live;
        match Writer::start(file, settings.keep) {
            Ok(writer) => {
                let listener = tokio::spawn(listen(self.bus.clone(), live, writer.clone()));
                *running = Some(Running { settings, writer, listener });
            }
            Err(why) => tracing::error!("no history: {why}"),
        }
    }

    /// nginx says that these streams are live, and no others.
    pub fn see(&self, config: &Config, streams: &[nginx::Stream]) {
        if let Some(running) = &*self.lock() {
            running.writer.put(Fact::Sample(Sample::of(config, streams, clock::now())));
        }
    }

    /// The file, for [`read`]; none when nothing is kept.
    pub fn file(&self) -> Option<PathBuf> {
        self.lock().as_ref().and_then(|running| running.settings.file.clone())
    }

    /// Writes what is known until now, and no more.
    pub fn stop(&self) {
        if let Some(running) = self.lock().take() {
            running.writer.finish();
        }
    }
}

/// Passes on the events that are kept.
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
