//! Follows what the module tells: an event is a reason to look, and what is live is what `GET /v1/streams` says. So a daemon
//! that was started late, lost the connection or missed events ends where it would have been.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use weir_model::Secret;

use crate::nginx::{self, ApiEvent, Application, Nginx};

/// Without any event, what is live is looked at all the same.
const LOOK: Duration = Duration::from_secs(15);
/// How soon, while more is to be known of a stream.
const LOOK_SOON: Duration = Duration::from_millis(200);
/// Events come in bunches.
const BUNCH: Duration = Duration::from_millis(30);
/// So long an nginx that has answered may be away before it counts as lost.
const GRACE: Duration = Duration::from_secs(2);
/// Between attempts to reach nginx: at first, at first where it counts as lost, and at most.
const AT_ONCE: Duration = Duration::from_millis(50);
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// What is told to the daemon.
#[derive(Debug)]
pub enum Update {
    /// nginx answers: what it is, before what is live there.
    Server(Server),
    /// An event as it came.
    Event(ApiEvent),
    /// All that is live.
    Streams(Vec<nginx::Stream>),
    /// nginx does not answer.
    Lost(String),
}

/// What an nginx is, as far as it tells.
#[derive(Debug, Default)]
pub struct Server {
    /// The names of its applications.
    pub applications: Option<Vec<String>>,
    /// What players of the daemon's own present.
    pub ticket: Option<Secret>,
}

/// Follows until nobody listens. `soon` is what the daemon says when more is to be known of a stream.
pub async fn follow(nginx: Nginx, updates: mpsc::Sender<Update>, mut soon: mpsc::Receiver<()>) {
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
        // A reload ends the connections of old workers, one after the other, and a new one answers: nothing is lost.
        if heard.is_none_or(|heard| heard.elapsed() > GRACE) {
            if updates.send(Update::Lost(error.to_string())).await.is_err() {
                return;
            }
            pause = pause.max(RETRY);
        }
        sleep_until(Instant::now() + pause).await;
    }
}

/// One connection; `answered` is set when nginx has told what is live. `Ok` when nobody listens any more.
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
        // Looked at after the events are listened to, so that nothing falls between the two.
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
                // An event is not waited for, and not lost either.
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
