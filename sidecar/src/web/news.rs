//! The messages about streams that `/v1/ws` sends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use tokio::sync::broadcast;
use tokio::time::Instant;
use weir_model::Timestamp;
use weir_model::event::hooks::RenditionSource;
use weir_model::event::{EndReason, Event as ModuleEvent};
use weir_model::front::{FrontMessage, Nature, Place, StreamNews};
use weir_model::snapshot::Viewers;

use crate::clock;
use crate::config::{Config, Delivery, rendition_of};
use crate::events::Event;
use crate::live::board::Entry;
use crate::streams::StreamId;

mod earlier;
mod machine;

use earlier::Earlier;
use machine::{Facts, Machine, News};

/// Time within which a lost publisher may return without ending the stream, if no `[[stream]]` has another one.
const LINGER: Duration = Duration::from_secs(10);

/// Number of messages that a client may be behind; a slower client gets the current state of streams instead.
const BEHIND: usize = 256;

/// Maximum number of earlier streams to remember.
const MOST_EARLIER: usize = 10_000;

/// A message for clients that have joined a stream.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) id: StreamId,
    pub(super) text: Utf8Bytes,
}

/// Distributes messages about all streams.
#[derive(Debug)]
pub(super) struct Newsroom {
    told: broadcast::Sender<Arc<Told>>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    streams: BTreeMap<StreamId, Machine>,
    viewers: BTreeMap<StreamId, Viewers>,
    /// Streams that were live since the daemon started, up to [`MOST_EARLIER`].
    earlier: BTreeMap<StreamId, Earlier>,
}

impl Default for Newsroom {
    fn default() -> Self {
        Self { told: broadcast::channel(BEHIND).0, known: Mutex::default() }
    }
}

impl Newsroom {
    /// Returns a receiver of all later messages, of all streams.
    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Told>> {
        self.told.subscribe()
    }

    /// Returns the messages that a client needs when it joins a stream.
    pub(super) fn about(&self, config: &Config, id: &StreamId) -> Vec<Utf8Bytes> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = known.streams.get(id).copied().unwrap_or_default().now();
        let viewers = known.viewers.get(id).copied().unwrap_or_default();
        vec![known.message(config, id, now), of_viewers(id, viewers)]
    }

    /// Returns whether a stream was live since the daemon started.
    pub(super) fn has_known(&self, id: &StreamId) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).earlier.contains_key(id)
    }

    /// Returns whether a stream was live at or after `since`, as far as this daemon has seen it.
    pub(super) fn was_live_since(&self, id: &StreamId, since: Timestamp) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.earlier.get(id).is_some_and(|earlier| earlier.was_live_since(since))
    }

    /// Returns why the last publisher of a stream is gone; `None` while it publishes, or if the reason is unknown.
    pub(super) fn last_end(&self, id: &StreamId) -> Option<EndReason> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).last_end(id)
    }

    fn tell(&self, id: &StreamId, text: Utf8Bytes) {
        // Sending fails if there is no listener.
        let _ = self.told.send(Arc::new(Told { id: id.clone(), text }));
    }

    /// Handles an event of the module or the daemon.
    pub(super) fn hear(&self, event: &Event) {
        let Some(ModuleEvent::StreamEnded(ended)) = event.of_module() else { return };
        let (Ok(app), Ok(name)) = (ended.app.parse(), ended.name.parse()) else { return };
        let (id, session) = ((app, name), number_of(&ended.session));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = known.earlier.get_mut(&id) {
            earlier.ended(session, ended.reason);
        }
        if ended.reason == EndReason::Disconnected
            && let Some(machine) = known.streams.get_mut(&id)
        {
            machine.lost(session);
        }
    }

    /// Sets the streams that can be watched; all others are gone. `is_ready` returns whether all renditions of a stream can be played.
    pub(super) fn see(
        &self,
        config: &Config,
        live: &[Entry],
        is_ready: impl Fn(&Entry) -> bool,
        now: Instant,
    ) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let live: BTreeMap<StreamId, &Entry> = live.iter().map(|entry| (entry.id(), entry)).collect();
        let at = clock::now();
        for (id, entry) in &live {
            if known.earlier.len() < MOST_EARLIER || known.earlier.contains_key(id) {
                let earlier = known.earlier.entry(id.clone()).or_default();
                earlier.see(number_of(&entry.live.session), entry.live.slate, at);
            }
            known.streams.entry(id.clone()).or_default();
        }
        let mut told = Vec::new();
        for (id, machine) in &mut known.streams {
            let facts = live.get(id).map(|entry| Facts {
                session: number_of(&entry.live.session),
                is_ready: machine.is_ready() || is_ready(entry),
                is_slate: entry.live.slate,
            });
            let news = machine.see(facts, linger(config, id), now);
            told.extend(news.into_iter().map(|news| (id.clone(), news)));
        }
        for (id, news) in told {
            self.tell(&id, known.message(config, &id, news));
        }
        known.streams.retain(|_, machine| *machine != Machine::Off);
    }

    /// Sets the numbers of viewers.
    pub(super) fn count(&self, counts: BTreeMap<StreamId, Viewers>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, viewers) in &counts {
            if known.viewers.get(id) != Some(viewers) {
                self.tell(id, of_viewers(id, *viewers));
            }
        }
        known.viewers = counts;
    }

    /// Returns the time of the next check if no event occurs before it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.streams.values().filter_map(Machine::deadline).min()
    }
}

impl Known {
    fn nature(&self, config: &Config, id: &StreamId) -> Nature {
        let source = source_of(config, id);
        let is_slate = |id: &StreamId| self.streams.get(id).is_some_and(Machine::is_slate);
        let of_source = source.as_ref().and_then(|of| Some((of.app.parse().ok()?, of.name.parse().ok()?)));
        let slate = is_slate(id) || of_source.as_ref().is_some_and(is_slate);
        Nature::of(source, slate)
    }

    fn last_end(&self, id: &StreamId) -> Option<EndReason> {
        self.earlier.get(id).and_then(Earlier::end)
    }

    fn message(&self, config: &Config, id: &StreamId, news: News) -> Utf8Bytes {
        let (kind, reason): (fn(StreamNews) -> FrontMessage, _) = match news {
            News::Started => (FrontMessage::StreamStarted, None),
            News::Ready => (FrontMessage::StreamReady, None),
            News::Interrupted => (FrontMessage::StreamInterrupted, None),
            News::Resumed => (FrontMessage::StreamResumed, None),
            News::Ended => (FrontMessage::StreamEnded, self.last_end(id)),
        };
        let nature = self.nature(config, id);
        kind(StreamNews { place: place(id), nature, at: clock::now(), reason }).text().into()
    }
}

/// Returns the number of a publish from its text form, such as `s1a`.
fn number_of(session: &str) -> u64 {
    u64::from_str_radix(session.trim_start_matches('s'), 16).unwrap_or_default()
}

/// Returns the stream that a rendition shows.
pub(super) fn source_of(config: &Config, (app, name): &StreamId) -> Option<RenditionSource> {
    let (rule, source, rung) = rendition_of(&config.rules, app.as_str(), name.as_str())?;
    Some(RenditionSource { app: rule.app.to_string(), name: source.to_owned(), rung: rung.to_owned() })
}

/// Returns the time within which a lost publisher may return without ending the stream.
fn linger(config: &Config, (app, name): &StreamId) -> Duration {
    let rule = config.rules.iter().find(|rule| rule.app == *app && rule.stream.fits(name.as_str()));
    match rule.map(|rule| &rule.delivery) {
        Some(Delivery::Files(files)) => files.linger,
        _ => LINGER,
    }
}

fn place((app, name): &StreamId) -> Place {
    Place { app: app.to_string(), stream: name.to_string() }
}

fn of_viewers(id: &StreamId, viewers: Viewers) -> Utf8Bytes {
    FrontMessage::Viewers { place: place(id), viewers }.text().into()
}
