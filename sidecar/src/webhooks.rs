//! Notifies endpoints over HTTPS and programs on this machine of events.
//!
//! - [`signature`] signs requests (Standard Webhooks), [`sender`] sends one request
//! - [`queue`] stores undelivered events on disk, [`endpoint`] delivers them
//! - [`command`] starts programs
//! - [`told`] decides what hooks learn of an event
//! - [`admission`] asks a backend before a publisher may stay live

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::clock;
use crate::config::Config as Whole;
use crate::config::hooks::{Events, Hooks as Config, Streams, Webhook};
use crate::events::{Bus, Event};

pub(crate) mod admission;
mod body;
pub(crate) mod command;
pub(crate) mod endpoint;
pub(crate) mod queue;
pub(crate) mod sender;
pub(crate) mod signature;
pub(crate) mod told;

use admission::{Asker, Verdict};
use body::body;
use command::Runner;
use endpoint::{Counters, deliver};
use queue::{Message, Queue};
use sender::{Sender, SetupError};
use signature::{Secret, SecretError};
use told::{Teller, Told, stream_of};

/// Reason why a configuration of hooks cannot be applied. The hooks then stay unchanged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A hook cannot be set up, for example because a secret is missing.
    #[error("{place}: {why}")]
    Setup {
        /// Table of the configuration.
        place: String,
        /// The fault.
        why: SetupError,
    },
    /// The queue cannot be opened.
    #[error("[hooks] queue: {folder}: {why}")]
    Queue {
        /// Folder of the queue.
        folder: String,
        /// The system's error.
        why: std::io::Error,
    },
}

/// All hooks.
#[derive(Debug)]
pub(crate) struct Hooks {
    bus: Arc<Bus>,
    inside: Mutex<Inside>,
    teller: Mutex<Teller>,
    stop: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

#[derive(Debug, Default)]
struct Inside {
    endpoints: BTreeMap<String, Running>,
    commands: Vec<Arc<Runner>>,
    asker: Option<Arc<Asker>>,
}

#[derive(Debug)]
struct Running {
    webhook: Webhook,
    secrets: Vec<Secret>,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hooks {
    /// Starts the hooks, which are notified of every event from now on.
    pub(crate) fn start(config: &Whole, bus: &Arc<Bus>) -> Result<Arc<Self>, Error> {
        let hooks = Arc::new(Self {
            bus: bus.clone(),
            inside: Mutex::new(Inside::default()),
            teller: Mutex::default(),
            stop: Mutex::new(None),
        });
        hooks.configure(config)?;
        let (stop, stopped) = oneshot::channel();
        // The subscription starts before this function returns, so that no event is missed.
        let task = tokio::spawn(hooks.clone().dispatch(bus.listen(None).live, stopped));
        *hooks.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some((stop, task));
        Ok(hooks)
    }

    /// Applies another configuration, and reads the secrets again. Unchanged hooks keep running.
    pub(crate) fn configure(&self, whole: &Whole) -> Result<(), Error> {
        let config = &whole.hooks;
        let setup = |place: String| move |why: SetupError| Error::Setup { place, why };
        let mut ready = Vec::new();
        for webhook in &config.webhooks {
            let place = || format!("[hooks.webhook.{}]", webhook.name);
            let missing = |why: SecretError| setup(place())(why.into());
            let secrets = sender::secrets(&webhook.endpoint).map_err(missing)?;
            let sender = Sender::new(&webhook.endpoint).map_err(setup(place()))?;
            ready.push((webhook, secrets, sender, self.queue(config, webhook)?));
        }
        let asker = match &config.admission {
            Some(admission) => {
                let sender = Sender::new(&admission.endpoint).map_err(setup("[hooks.admission]".into()))?;
                Some(Arc::new(Asker::new(admission, sender, self.bus.clone())))
            }
            None => None,
        };
        self.teller().configure(whole);
        let mut inside = self.lock();
        let mut before = std::mem::take(&mut inside.endpoints);
        for (webhook, secrets, sender, queue) in ready {
            let name = webhook.name.clone();
            let known = before.remove(&name);
            let running = match known {
                Some(known) if known.webhook == *webhook && known.secrets == secrets => known,
                known => {
                    let counters = known.map_or_else(Arc::default, |known| known.counters.clone());
                    let task =
                        tokio::spawn(deliver(queue.clone(), webhook.clone(), sender, counters.clone()));
                    Running { webhook: webhook.clone(), secrets, queue, counters, task }
                }
            };
            inside.endpoints.insert(name, running);
        }
        let known = std::mem::take(&mut inside.commands);
        inside.commands = config
            .commands
            .iter()
            .map(|command| known.iter().find(|runner| runner.command == *command).cloned())
            .zip(&config.commands)
            .map(|(known, command)| known.unwrap_or_else(|| Runner::new(command.clone())))
            .collect();
        inside.asker = asker;
        Ok(())
    }

    /// Returns the queue of this webhook, or opens the queue that an earlier daemon left.
    fn queue(&self, config: &Config, webhook: &Webhook) -> Result<Arc<Queue>, Error> {
        if let Some(running) = self.lock().endpoints.get(&webhook.name) {
            return Ok(running.queue.clone());
        }
        let folder = config.queue.join(&webhook.name);
        let shown = folder.display().to_string();
        let queue = Queue::open(folder).map_err(|why| Error::Queue { folder: shown, why })?;
        if !queue.is_empty() {
            tracing::info!("events are left from the last run: {}, webhook: {:?}", queue.len(), webhook.name);
        }
        Ok(Arc::new(queue))
    }

    fn teller(&self) -> MutexGuard<'_, Teller> {
        self.teller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn dispatch(
        self: Arc<Self>,
        mut live: tokio::sync::broadcast::Receiver<Arc<Event>>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let mut last = None;
        loop {
            let deadline = self.teller().deadline();
            let received = tokio::select! {
                received = live.recv() => received,
                () = until(deadline) => {
                    self.tell_ends(Some(Instant::now())).await;
                    continue;
                }
                _ = &mut stopped => break,
            };
            match received {
                Ok(event) => {
                    last = Some(event.id);
                    self.take(&event).await;
                }
                Err(RecvError::Lagged(_)) => {
                    let caught = self.bus.listen(last);
                    if caught.missed {
                        tracing::error!("webhooks have missed events: too many at the same time");
                    }
                    for event in &caught.events {
                        last = Some(event.id);
                        self.take(event).await;
                    }
                    live = caught.live;
                }
                Err(RecvError::Closed) => break,
            }
        }
        // Events up to the stop are still stored, for the next daemon.
        loop {
            match live.try_recv() {
                Ok(event) => self.take(&event).await,
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        // After the stop, nobody waits for the return of a publisher.
        self.tell_ends(None).await;
    }

    async fn tell_ends(&self, now: Option<Instant>) {
        let ends = self.teller().overdue(now);
        for told in ends {
            self.tell(&told).await;
        }
    }

    async fn take(&self, event: &Event) {
        let told = self.teller().take(event, Instant::now());
        self.tell(&told).await;
    }

    async fn tell(&self, event: &Told) {
        let stream = stream_of(&event.data);
        let wants = |events: &Events, streams: &Streams| {
            events.include(&event.kind)
                && stream.as_ref().is_none_or(|(app, name)| streams.include(app, name))
        };
        let (queues, commands) = {
            let inside = self.lock();
            let wanted = inside
                .endpoints
                .values()
                .filter(|running| wants(&running.webhook.events, &running.webhook.streams));
            let queues: Vec<_> = wanted
                .map(|running| (running.queue.clone(), running.counters.clone(), running.webhook.clone()))
                .collect();
            let wanted = inside
                .commands
                .iter()
                .filter(|runner| wants(&runner.command.events, &runner.command.streams));
            (queues, wanted.cloned().collect::<Vec<_>>())
        };
        if queues.is_empty() && commands.is_empty() {
            return;
        }
        let at = clock::now();
        let body = body(&event.kind, at, &event.data);
        let message = Arc::new(Message { id: event.id.clone(), kind: event.kind.clone(), at, body });
        for runner in commands {
            runner.offer(&message, &event.data);
        }
        for (queue, counters, webhook) in queues {
            let (message, limit) = (message.clone(), webhook.max_queue);
            let pushed = tokio::task::spawn_blocking(move || queue.push(&message, limit)).await;
            match pushed.map_err(std::io::Error::other).flatten() {
                Ok(0) => {}
                Ok(lost) => {
                    counters.lost.fetch_add(lost as u64, Ordering::Relaxed);
                    tracing::error!("event lost: {limit} wait already, webhook: {:?}", webhook.name);
                }
                Err(error) => {
                    counters.lost.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(
                        "event lost: {error}, webhook: {:?}, event: {}",
                        webhook.name,
                        event.kind
                    );
                }
            }
        }
    }

    /// Stores the events so far, and stops the delivery.
    pub(crate) async fn stop(&self) {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, task)) = stop {
            let _ = stop.send(());
            let _ = task.await;
        }
        self.lock().endpoints.clear();
    }

    /// Answers nginx-rtmp's `on_publish` request. Returns `None` if no backend is configured.
    pub(crate) async fn admit(&self, form: &str) -> Option<Verdict> {
        let asker = self.lock().asker.clone()?;
        Some(asker.ask(form).await)
    }

    /// Returns the lines for `/metrics`.
    pub(crate) fn metrics(&self) -> String {
        let inside = self.lock();
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, value: fn(&Running) -> u64| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (webhook, running) in &inside.endpoints {
                let _ = writeln!(text, "{name}{{webhook=\"{webhook}\"}} {}", value(running));
            }
        };
        family("weir_webhook_queue", "gauge", "Events that wait for their webhook.", |running| {
            running.queue.len() as u64
        });
        family("weir_webhook_delivered_total", "counter", "Events that a webhook has taken.", |running| {
            running.counters.delivered.load(Ordering::Relaxed)
        });
        family("weir_webhook_failures_total", "counter", "Requests to a webhook that failed.", |running| {
            running.counters.failed.load(Ordering::Relaxed)
        });
        family("weir_webhook_lost_total", "counter", "Events that a webhook never took.", |running| {
            running.counters.lost.load(Ordering::Relaxed)
        });
        text
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
