//! Follows the module's events. An event only triggers a look at `GET /v1/streams`, which says what is live. A daemon that started
//! late, lost the connection or missed events therefore reaches the same state.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use weir_model::Secret;
use weir_model::snapshot::StreamSnapshot;

use crate::nginx::{self, ApiEvent, Application, Nginx};

/// Interval between looks at the live streams when no event arrives.
const LOOK: Duration = Duration::from_secs(15);
/// Interval between looks while data of a stream is incomplete.
const LOOK_SOON: Duration = Duration::from_millis(200);
/// Time to collect further events, because events arrive in bursts.
const BUNCH: Duration = Duration::from_millis(30);
/// Time after the last answer until nginx counts as lost.
const GRACE: Duration = Duration::from_secs(2);
/// Pauses between attempts to reach nginx: the first pause, the first pause once nginx counts as lost, and the longest pause.
const AT_ONCE: Duration = Duration::from_millis(50);
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// A message to the daemon.
#[derive(Debug)]
pub(crate) enum Update {
    /// nginx answers: its properties, sent before its live streams.
    Server(Server),
    /// An event of the module, unchanged.
    Event(ApiEvent),
    /// All live streams.
    Streams(Vec<StreamSnapshot>),
    /// nginx does not answer.
    Lost(String),
}

/// Properties of an nginx, as far as it reports them.
#[derive(Debug, Default)]
pub(crate) struct Server {
    /// The names of its applications.
    pub applications: Option<Vec<String>>,
    /// Ticket that the daemon's own players present.
    pub ticket: Option<Secret>,
}

/// Follows nginx until the receiver of `updates` is closed. The daemon sends on `soon` while data of a stream is incomplete.
pub(crate) async fn follow(nginx: Nginx, updates: mpsc::Sender<Update>, mut soon: mpsc::Receiver<()>) {
    let mut last_id = None;
    let mut heard: Option<Instant> = None;
    let mut pause = AT_ONCE;
    loop {
        let connected = Instant::now();
        let mut answered = false;
        let Err(error) = session(&nginx, &updates, &mut soon, &mut last_id, &mut answered).await else {
            return;
        };
        if answered {
            heard = Some(Instant::now());
        }
        pause = if connected.elapsed() > RETRY_MAX { AT_ONCE } else { (pause * 2).min(RETRY_MAX) };
        // A reload ends the connections of old workers one after the other, and a new worker answers: no event is lost.
        if heard.is_none_or(|heard| heard.elapsed() > GRACE) {
            if updates.send(Update::Lost(error.to_string())).await.is_err() {
                return;
            }
            pause = pause.max(RETRY);
        }
        sleep_until(Instant::now() + pause).await;
    }
}

/// Follows over one connection. Sets `answered` when nginx has listed its live streams. Returns `Ok` when the receiver is closed.
async fn session(
    nginx: &Nginx,
    updates: &mpsc::Sender<Update>,
    soon: &mut mpsc::Receiver<()>,
    last_id: &mut Option<String>,
    answered: &mut bool,
) -> Result<(), nginx::Error> {
    let mut events = nginx.events(last_id.as_deref()).await?;
    let applications = nginx.applications().await?;
    let names = |all: Vec<Application>| all.into_iter().map(|application| application.name).collect();
    let server = Server { applications: applications.map(names), ticket: nginx.player_ticket().await? };
    if updates.send(Update::Server(server)).await.is_err() {
        return Ok(());
    }
    loop {
        // The streams are read after the subscription to events, so that no change is missed between the two.
        let streams = nginx.streams().await?.value.streams;
        *answered = true;
        if updates.send(Update::Streams(streams)).await.is_err() {
            return Ok(());
        }
        let look_at = Instant::now() + LOOK;
        tokio::select! {
            event = events.next() => {
                pass_on(event?, updates, last_id).await;
                let bunch = Instant::now() + BUNCH;
                while let Ok(event) = tokio::time::timeout_at(bunch, events.next()).await {
                    pass_on(event?, updates, last_id).await;
                }
            }
            asked = soon.recv() => {
                if asked.is_none() {
                    return Ok(());
                }
                // An event ends the pause early and is passed on.
                if let Ok(event) = timeout(LOOK_SOON, events.next()).await {
                    pass_on(event?, updates, last_id).await;
                }
            }
            () = sleep_until(look_at) => {}
        }
    }
}

async fn pass_on(event: ApiEvent, updates: &mpsc::Sender<Update>, last_id: &mut Option<String>) {
    if event.id.is_some() {
        last_id.clone_from(&event.id);
    }
    let _ = updates.send(Update::Event(event)).await;
}
