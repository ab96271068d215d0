//! The slate: an image or clip that viewers see while a publisher is lost.
//!
//! - [`machine`] decides when a slate replaces a publisher (pure)
//! - [`clip`] converts the slate to FLV with the stream's geometry
//! - [`publish`] publishes it instead of the lost publisher
//! - [`Slates`] connects these parts for all streams
//!
//! The slate is published under the stream's name, so players, HLS and push targets need no special handling. Its token says that the
//! stream yields to any other publisher, so a returning publisher replaces the slate without help.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use weir_model::Timestamp;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::{SlateEnd, SlateEnded, SlateStarted};
use weir_model::event::{EndReason, Event as ModuleEvent};
use weir_model::snapshot::StreamSnapshot;

use crate::clock;
use crate::config::slate::Slate;
use crate::config::{Config, RtmpServer};
use crate::events::{Bus, Event};
use crate::nginx::Nginx;
use crate::publisher::{self, token};
use crate::streams::StreamId;

pub(crate) mod clip;
pub(crate) mod machine;
pub(crate) mod publish;

use clip::{Clip, Geometry};
use machine::{Input, Machine};
use publish::End;

/// Interval between reads of the live streams.
const LOOK: Duration = Duration::from_secs(2);
/// Time for which a stream's geometry is remembered, in milliseconds.
const KNOWN_MS: u64 = 60_000;
/// Pause between attempts: nginx has lost the publisher, but may be slow to release the name.
const RETRY: Duration = Duration::from_millis(300);
/// Number of attempts, after which the name belongs to another publisher.
const ATTEMPTS: u32 = 4;

/// Follows the streams until it is dropped. Slates that are being published end at the same time.
pub(crate) struct Slates(tokio::task::JoinHandle<()>);

impl Drop for Slates {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Settings for publishing a slate.
#[derive(Debug)]
struct Env {
    slate: Slate,
    server: RtmpServer,
    ffmpeg: PathBuf,
    nice: u8,
    bus: Arc<Bus>,
}

/// Last known geometry of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    geometry: Geometry,
    since: Option<Timestamp>,
    at: Option<Timestamp>,
}

/// State of all streams.
struct Watch {
    env: Arc<Env>,
    machines: BTreeMap<Place, Machine>,
    looks: BTreeMap<Place, Look>,
    /// Clips that were made, or whose creation has failed.
    made: BTreeSet<PathBuf>,
    /// The tasks are aborted when this is dropped.
    tasks: JoinSet<()>,
    finished: mpsc::UnboundedSender<Finished>,
}

/// A stream of a `server` block.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    stream: StreamId,
    /// First address that the block listens on, as events report it. Lists of streams leave it out if nginx has one block.
    server: String,
}

impl Place {
    /// Returns the same stream of an nginx with one block.
    fn of_the_only_block(&self) -> Place {
        Place { stream: self.stream.clone(), server: String::new() }
    }

    /// Returns application, public name and block, for events.
    fn names(&self) -> (String, String, String) {
        let (app, name) = &self.stream;
        (app.to_string(), name.to_string(), self.server.clone())
    }
}

/// Stream of a slate, and how the slate ended.
type Finished = (Place, Input<'static>);

impl Slates {
    /// Starts, if the configuration has a slate. `bus` delivers the module's events, and gets events about slates.
    pub(crate) fn start(config: &Config, bus: &Arc<Bus>) -> Option<Self> {
        let slate = config.slate.clone()?;
        let at = &config.nginx;
        let nginx = Nginx::of_configuration(at.api.clone(), at.api_token_file.as_deref());
        let nginx = nginx.inspect_err(|error| tracing::error!("no slate: {error}")).ok()?;
        if let Err(error) = std::fs::metadata(&slate.file) {
            tracing::error!("no slate: {}: {error}", slate.file.display());
        }
        let (ffmpeg, nice) = (config.jobs.ffmpeg.clone(), config.jobs.nice);
        let env = Arc::new(Env { slate, server: at.rtmp.clone(), ffmpeg, nice, bus: bus.clone() });
        let mut events = bus.listen(None).live;
        Some(Self(tokio::spawn(async move {
            let (finished, mut ended) = mpsc::unbounded_channel();
            let (seen, mut snapshots) = mpsc::channel(1);
            let mut watch = Watch::new(env, finished);
            watch.tasks.spawn(look(nginx, seen));
            loop {
                tokio::select! {
                    event = events.recv() => match event {
                        Ok(event) => watch.hear(&event),
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return,
                    },
                    Some(streams) = snapshots.recv() => watch.see(&streams),
                    Some((place, how)) = ended.recv() => watch.step(clock::now(), &place, how),
                    Some(_) = watch.tasks.join_next() => {}
                }
            }
        })))
    }
}

/// Sends the live streams at regular intervals.
async fn look(nginx: Nginx, seen: mpsc::Sender<Vec<StreamSnapshot>>) {
    loop {
        if let Ok(Ok(answer)) = timeout(LOOK, nginx.streams()).await
            && seen.send(answer.value.streams).await.is_err()
        {
            return;
        }
        sleep(LOOK).await;
    }
}

impl Env {
    fn tell_start(&self, place: &Place, until: Timestamp) {
        let (app, name, server) = place.names();
        let started = SlateStarted { at: clock::now(), app, name, server, until };
        self.bus.tell(&DaemonEvent::SlateStarted(started));
    }

    fn tell_end(&self, place: &Place, end: End) {
        let reason = if end == End::Over { SlateEnd::Time } else { SlateEnd::Publisher };
        let (app, name, server) = place.names();
        let ended = SlateEnded { at: clock::now(), app, name, reason, server };
        self.bus.tell(&DaemonEvent::SlateEnded(ended));
    }
}

impl Watch {
    fn new(env: Arc<Env>, finished: mpsc::UnboundedSender<Finished>) -> Self {
        let (machines, looks) = (BTreeMap::new(), BTreeMap::new());
        Self { env, machines, looks, made: BTreeSet::new(), tasks: JoinSet::new(), finished }
    }

    fn hear(&mut self, event: &Event) {
        let (app, name, server, session, end) = match event.of_module() {
            Some(ModuleEvent::StreamStarted(of)) => (of.app, of.name, of.server, of.session, None),
            Some(ModuleEvent::StreamEnded(of)) => (of.app, of.name, of.server, of.session, Some(of.reason)),
            _ => return,
        };
        let input = match end {
            None => Input::Started(&session),
            Some(EndReason::Disconnected) => Input::Lost(&session),
            Some(_) => Input::Ended(&session),
        };
        if !self.env.slate.fits(&app, &name) {
            return;
        }
        if let (Ok(app), Ok(name)) = (app.parse(), name.parse()) {
            // After a gap in the connection, an event may be old.
            let at = event.at().unwrap_or_else(clock::now);
            self.step(at, &Place { stream: (app, name), server }, input);
        }
    }

    fn step(&mut self, at: Timestamp, place: &Place, input: Input<'_>) {
        let machine = self.machines.entry(place.clone()).or_default();
        let Some(until) = machine.step(at, input, self.env.slate.time) else { return };
        let only = place.of_the_only_block();
        let block = if self.looks.contains_key(&only) { String::new() } else { place.server.clone() };
        let look = self.looks.get(place).or_else(|| self.looks.get(&only)).copied().unwrap_or_default();
        let (env, place, finished) = (self.env.clone(), place.clone(), self.finished.clone());
        self.tasks.spawn(async move {
            let stream = format!("{}/{}", place.stream.0, place.stream.1);
            tracing::warn!(stream, "publisher lost: showing the slate");
            let result = fill(&env, &place, &block, look, until).await;
            match &result {
                Ok(End::Over) => tracing::info!(stream, "the slate's time is over"),
                Ok(End::GaveWay) => tracing::info!(stream, "the slate ended: a publisher is back"),
                Err(why) => tracing::error!(stream, "the slate is not published: {why}"),
            }
            let _ = finished.send((place, if result.is_ok() { Input::Finished } else { Input::Failed }));
        });
    }

    /// Remembers the geometry of streams, and makes clips before they are needed.
    fn see(&mut self, streams: &[StreamSnapshot]) {
        let now = clock::now();
        // Events may arrive after the snapshot.
        let is_old = |look: &Look| look.at.is_some_and(|at| now.millis_since(at) > KNOWN_MS);
        self.looks.retain(|_, look| !is_old(look));
        let looks = &self.looks;
        let is_seen =
            |place: &Place| looks.contains_key(place) || looks.contains_key(&place.of_the_only_block());
        self.machines.retain(|place, machine| !machine.is_idle() || is_seen(place));
        for stream in streams {
            let (Ok(app), Ok(name)) = (stream.app.parse(), stream.name.parse()) else { continue };
            let known = stream.video.is_some() || stream.audio.is_some();
            if known && self.env.slate.fits(&stream.app, &stream.name) {
                let look = Look { geometry: Geometry::of(stream), since: Some(stream.since), at: Some(now) };
                let server = stream.server.to_string();
                self.looks.insert(Place { stream: (app, name), server }, look);
                self.prepare(look.geometry);
            }
        }
    }

    fn prepare(&mut self, geometry: Geometry) {
        let slate = &self.env.slate;
        let Ok(place) = clip::place(&slate.folder, &slate.file, &geometry) else { return };
        if !self.made.insert(place.clone()) {
            return;
        }
        let env = self.env.clone();
        self.tasks.spawn(async move {
            if let Err(why) = clip::make(&env.ffmpeg, env.nice, &env.slate.file, &geometry, &place).await {
                tracing::error!("no slate: {why}, file: {}", env.slate.file.display());
            }
        });
    }
}

/// Reason why a slate is not published.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// There is no clip.
    #[error(transparent)]
    Clip(#[from] clip::Error),
    /// The slate's file has no video.
    #[error("{}: no pictures", .0.display())]
    NoPictures(PathBuf),
    /// The slate cannot be published at the stream's `server` block.
    #[error(transparent)]
    Server(#[from] publish::NoAddress),
    /// No token can be minted.
    #[error(transparent)]
    Token(#[from] token::Error),
    /// nginx does not accept the slate.
    #[error(transparent)]
    Publisher(#[from] publisher::Error),
}

/// Publishes the slate instead of a stream, at this `server` block.
async fn fill(env: &Env, at: &Place, block: &str, look: Look, until: Timestamp) -> Result<End, Error> {
    let slate = &env.slate;
    let named = |path: &Path, why: std::io::Error| clip::Error::File { path: path.into(), why };
    let left = |now: Timestamp| Duration::from_millis(until.as_millis().saturating_sub(now.as_millis()));
    let left = left(clock::now());
    if left.is_zero() {
        return Ok(End::Over);
    }
    let deadline = Instant::now() + left;
    let place = clip::place(&slate.folder, &slate.file, &look.geometry).map_err(|e| named(&slate.file, e))?;
    clip::make(&env.ffmpeg, env.nice, &slate.file, &look.geometry, &place).await?;
    let clip = {
        let flv = tokio::fs::read(&place).await.map_err(|error| named(&place, error))?;
        Clip::read(&flv).ok_or_else(|| Error::NoPictures(place.clone()))?
    };
    let mut attempt = 1;
    loop {
        let (server, (app, name)) = (publish::server(&env.server, block)?, &at.stream);
        let url = token::url(&server, slate.secret_file.as_path(), app, name, true)?;
        match publish::begin(&url).await {
            Ok(link) => {
                env.tell_start(at, until);
                // For players that stay connected, the timestamps continue near those of the publisher.
                let from = look.since.map_or(0, |since| clock::now().millis_since(since)) as u32;
                let end = publish::publish(link, &clip, from, deadline).await;
                env.tell_end(at, end);
                return Ok(end);
            }
            Err(error) if attempt == ATTEMPTS || Instant::now() >= deadline => return Err(error.into()),
            Err(_) => attempt += 1,
        }
        sleep(RETRY).await;
    }
}
