//! Relays streams on an edge: plays a stream from the origin when its first viewer asks, publishes it to the edge's nginx under the same
//! name, and ends the relay some time after the last viewer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, timeout};
use weir_model::link::Base;
use weir_rtmp::client::ClientEvent;
use weir_rtmp::url::Url;

use super::agent::Offers;
use super::troubles::Troubles;
use crate::clock;
use crate::config::cluster::{Edge, Transport};
use crate::config::origin::{Origin, OriginProtocol};
use crate::config::{Config, RtmpServer};
use crate::context::Context;
use crate::demand::Demand;
use crate::nginx::Nginx;
use crate::publisher::link::{Link, PATIENCE};
use crate::publisher::{self, accepted, is_invalid_token, token, words};
use crate::relay::paths::Paths;
use crate::relay::recent::{self, Recents};
use crate::relay::{self, Relay};
use crate::streams::StreamId;
use crate::supervise::Shared;
use crate::supervise::backoff::Backoff;
use crate::supervise::helpers::Helpers;

/// Interval of checks for viewers of the daemon, and for viewers of nginx.
const LOOK: Duration = Duration::from_millis(100);
const ASK: Duration = Duration::from_millis(500);
/// After this time without media, the pull reconnects.
const SILENCE: Duration = Duration::from_secs(5);
/// Pauses between attempts.
const RETRY: Backoff = Backoff { first: Duration::from_millis(300), max: Duration::from_secs(5) };
/// First words of an error of this machine's nginx.
pub(crate) const HERE: &str = "this edge's nginx";
/// Duration after which a connection counts as a success.
const GOOD: Duration = Duration::from_secs(10);

/// Reason why a stream is not relayed.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The connection to the origin or to the edge's nginx failed.
    #[error(transparent)]
    Publisher(#[from] publisher::Error),
    #[error(transparent)]
    Token(#[from] token::Error),
    #[error(transparent)]
    Client(#[from] weir_rtmp::client::Error),
    #[error(transparent)]
    Relay(#[from] relay::Error),
    #[error("{here}: no answer to the publish", here = HERE)]
    NoAnswer,
    #[error("{here}: {0}", here = HERE)]
    Here(publisher::Error),
    #[error("the origin says: {0}")]
    Origin(String),
    #[error("{here} says: {0}", here = HERE)]
    Own(String),
    #[error("the origin closed it")]
    Closed,
    #[error("nothing comes from the origin")]
    Silent,
}

/// Relays streams until it is dropped.
#[derive(Debug)]
pub(crate) struct Pulls(JoinHandle<()>);

impl Drop for Pulls {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pulls {
    /// Starts the relays. `offered` are the streams of the origins.
    pub(crate) fn start(node: Node, offered: watch::Receiver<Offers>, demand: &Arc<Demand>) -> Self {
        Self(tokio::spawn(run(Arc::new(node), offered, demand.clone())))
    }
}

/// Settings and shared state of the relays.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Configuration at the start of the daemon.
    pub config: Arc<Config>,
    /// The `[edge]` settings of this node.
    pub edge: Edge,
    /// The nodes that streams have passed.
    pub paths: Arc<Paths>,
    /// Newest media of the streams from other nodes.
    pub recents: Arc<Recents>,
    /// The list of helpers.
    pub helpers: Arc<Helpers>,
    /// The streams that cannot be pulled.
    pub troubles: Troubles,
}

impl Node {
    /// Returns the settings of the daemon.
    pub(crate) fn new(config: &Arc<Config>, edge: &Edge, context: &Context, troubles: Troubles) -> Self {
        let (config, edge, paths) = (config.clone(), edge.clone(), context.paths.clone());
        Self {
            config,
            edge,
            paths,
            recents: context.recents.clone(),
            helpers: context.helpers.clone(),
            troubles,
        }
    }
}

/// A relayed stream.
struct Running {
    shared: Arc<Shared>,
    /// Time at which a viewer was last seen.
    watched: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The far end is notified.
        self.shared.close();
    }
}

async fn run(node: Arc<Node>, mut offered: watch::Receiver<Offers>, demand: Arc<Demand>) {
    let config = &node.config;
    let at = &config.nginx;
    let nginx = Nginx::of_configuration(at.api.clone(), at.api_token_file.as_deref()).ok();
    let own: BTreeSet<StreamId> =
        config.inputs.iter().map(|input| (input.app.clone(), input.stream.clone())).collect();
    let mut running: BTreeMap<StreamId, Running> = BTreeMap::new();
    let (mut look, mut ask) = (interval(LOOK), interval(ASK));
    let mut known: BTreeSet<StreamId> = BTreeSet::new();
    loop {
        let mut watched = BTreeSet::new();
        tokio::select! {
            _ = look.tick() => watched = demand.wanted(),
            _ = ask.tick() => if let Some(nginx) = &nginx
                && let Ok(Ok(streams)) = timeout(ASK, nginx.watched()).await
            {
                watched = streams.into_iter().collect();
            },
            changed = offered.changed() => {
                if changed.is_err() {
                    return;
                }
                let offers = offered.borrow_and_update();
                known = offers.streams.keys().filter(|id| !own.contains(*id)).cloned().collect();
                running.retain(|id, _| !offers.refused.contains(&id.0));
                demand.offer_relays(known.clone());
                node.troubles.keep(&known);
            }
        }
        let now = Instant::now();
        for id in watched.intersection(&known) {
            let start = || {
                let shared = Shared::new();
                tokio::spawn(relay(node.clone(), id.clone(), shared.clone(), offered.clone()));
                Running { shared, watched: now }
            };
            running.entry(id.clone()).or_insert_with(start).watched = now;
        }
        running.retain(|id, running| {
            let stays = now - running.watched < node.edge.linger;
            if !stays {
                tracing::info!("nobody watches: the stream is no longer pulled, stream: {}/{}", id.0, id.1);
            }
            stays
        });
    }
}

/// Relays one stream, and retries until `shared` orders the end. Each attempt is made at the origin that then offers the stream.
async fn relay(node: Arc<Node>, id: StreamId, shared: Arc<Shared>, offered: watch::Receiver<Offers>) {
    let edge = &node.edge;
    let mut closing = shared.closing();
    let stream = format!("{}/{}", id.0, id.1);
    let (mut failures, mut told) = (0, String::new());
    let has_come = AtomicBool::new(false);
    let came = || {
        if !has_come.swap(true, Ordering::Relaxed) {
            node.troubles.clear(&id);
        }
    };
    loop {
        let began = Instant::now();
        has_come.store(false, Ordering::Relaxed);
        let nth = offered.borrow().streams.get(&id).copied().unwrap_or_default();
        let ended = match edge.transport {
            Transport::Rtmp => tokio::select! {
                ended = over_rtmp(&node, &id, nth, &came) => ended.map(|never| match never {}),
                _ = closing.wait_for(|closing| *closing) => return,
            },
            Transport::Ws => over(OriginProtocol::Ws, &node, &id, nth, &shared, &came).await,
            Transport::WebRtc => over(OriginProtocol::Whep, &node, &id, nth, &shared, &came).await,
        };
        let Err(error) = ended else { return };
        if *closing.borrow() {
            return;
        }
        if began.elapsed() >= GOOD {
            failures = 0;
        }
        let why = error.to_string();
        // A stream that has come may have ended. The origin then offers it no more.
        if !has_come.load(Ordering::Relaxed) && offered.borrow().streams.contains_key(&id) {
            node.troubles.note(&id, &why);
        }
        if why != told {
            let origin = edge.origins.get(nth).map_or("", Base::as_str);
            tracing::warn!("stream not pulled: {why}, stream: {stream}, origin: {origin}");
            told = why;
        }
        tokio::select! {
            () = sleep(RETRY.wait(failures, clock::random_u32())) => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
        failures += 1;
    }
}

async fn over_rtmp(
    node: &Node,
    id: &StreamId,
    nth: usize,
    came: &impl Fn(),
) -> Result<std::convert::Infallible, Error> {
    let Node { config, edge, .. } = node;
    let server = edge.rtmp.get(nth).ok_or(Error::Closed)?;
    let mut source = Link::play(&rtmp(config, server, id)?).await?;
    let mut sink: Option<Link> = None;
    let mut kept: Option<recent::Entry> = None;
    let mut heard = Instant::now();
    loop {
        let is_open = sink.as_ref().is_none_or(Link::has_room);
        tokio::select! {
            turn = source.turn(), if is_open => turn?,
            turn = turn(&mut sink) => turn.map_err(Error::Here)?,
            () = tokio::time::sleep_until(heard + SILENCE) => return Err(Error::Silent),
        }
        while let Some(event) = source.client.next_event() {
            match event {
                ClientEvent::Media(tag) => {
                    heard = Instant::now();
                    if sink.is_none() {
                        sink = Some(publish(config, id).await?);
                        came();
                        tracing::info!(
                            "stream pulled for viewers, stream: {}/{}, origin: {}",
                            id.0,
                            id.1,
                            server
                        );
                    }
                    let kept = kept.get_or_insert_with(|| node.recents.enter(id.clone()));
                    kept.put(tag.kind, tag.timestamp, &tag.payload);
                    if let Some(sink) = &mut sink {
                        sink.client.send_tag(tag.kind, tag.timestamp, &tag.payload)?;
                    }
                }
                ClientEvent::Status(status) if status.level == "error" => {
                    return Err(Error::Origin(explained(words(&status))));
                }
                ClientEvent::Closed => return Err(Error::Closed),
                _ => {}
            }
        }
        while let Some(event) = sink.as_mut().and_then(|sink| sink.client.next_event()) {
            match event {
                ClientEvent::Status(status) if status.level == "error" => {
                    return Err(Error::Own(words(&status)));
                }
                ClientEvent::Closed => return Err(Error::Own("it closed the connection".into())),
                _ => {}
            }
        }
    }
}

/// Adds the remedy to the origin's words, if it does not know the secret that has signed the token.
fn explained(words: String) -> String {
    match is_invalid_token(&words) {
        true => format!(
            "{words}: copy the file of weir_secret from the origin to this edge, for weir_secret in nginx.conf and secret_file of [nginx]"
        ),
        false => words,
    }
}

/// Sends and receives data at the edge's nginx. Never returns while there is no connection.
async fn turn(sink: &mut Option<Link>) -> Result<(), publisher::Error> {
    match sink {
        Some(sink) => sink.turn().await,
        None => std::future::pending().await,
    }
}

/// Publishes with a token that nobody else can mint. Without `secret_file`, there is no token: the edge's nginx must need none.
async fn publish(config: &Config, (app, name): &StreamId) -> Result<Link, Error> {
    let url = token::url(&config.nginx.rtmp, config.nginx.secret_file.as_deref(), app, name, false)?;
    let mut link = Link::connect(&url).await.map_err(Error::Here)?;
    match timeout(PATIENCE, accepted(&mut link, &url)).await {
        Ok(done) => done.map_err(|error| Error::Here(error.of_minted()))?,
        Err(_) => return Err(Error::NoAnswer),
    }
    Ok(link)
}

/// Returns the URL of the stream at the origin. The token is valid if the origin requires one and has the same secret.
fn rtmp(config: &Config, server: &RtmpServer, (app, name): &StreamId) -> Result<Url, Error> {
    let argument = match &config.nginx.secret_file {
        Some(file) => format!("?token={}", token::play(file, app, name)?.expose()),
        None => String::new(),
    };
    Ok(Url {
        tls: false,
        credentials: None,
        host: server.host.trim_matches(['[', ']']).to_owned(),
        port: server.port,
        app: app.to_string(),
        name: format!("{name}{argument}"),
    })
}

/// Relays over the WebSocket or WHEP of the origin's pages, until the stream ends.
async fn over(
    kind: OriginProtocol,
    node: &Node,
    (app, name): &StreamId,
    nth: usize,
    shared: &Shared,
    came: &impl Fn(),
) -> Result<(), Error> {
    let Node { config, edge, paths, recents, helpers, .. } = node;
    let Some(origin) = edge.origins.get(nth) else { return Err(Error::Closed) };
    let url = format!("{}/stream/{app}/{name}/{}", origin.as_str(), kind.part());
    let relay = Relay {
        origin: Origin {
            kind,
            url: url.parse().map_err(|_| Error::Closed)?,
            token: None,
            stream: Some((app.clone(), name.clone())),
        },
        server: config.nginx.rtmp.clone(),
        app: app.clone(),
        name: name.clone(),
        secret_file: config.nginx.secret_file.clone(),
        paths: paths.clone(),
        recents: recents.clone(),
        // The token may be minted because the configuration names the origin.
        mints: true,
        jobs: config.jobs.clone(),
        helpers: helpers.clone(),
    };
    relay.run(shared, came).await.map_err(|error| match error {
        relay::Error::Publisher(error) => Error::Here(error),
        other => Error::Relay(other),
    })?;
    Err(Error::Closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_this_machine_s_nginx_says_so() {
        let error =
            publisher::Error::Connect { url: "rtmp://127.0.0.1/live/***".into(), why: "refused".into() };
        assert_eq!(
            Error::Here(error).to_string(),
            "this edge's nginx: cannot connect to rtmp://127.0.0.1/live/***: refused"
        );
        assert!(
            Error::NoAnswer.to_string().starts_with(HERE)
                && Error::Own("x".into()).to_string().starts_with(HERE)
        );
    }

    #[test]
    fn an_invalid_token_has_a_remedy() {
        let said = explained("invalid token (NetStream.Play.Failed)".to_owned());
        assert!(
            said.starts_with("invalid token (NetStream.Play.Failed): copy the file of weir_secret"),
            "{said}"
        );
        assert_eq!(explained("stream not found".to_owned()), "stream not found");
    }
}
