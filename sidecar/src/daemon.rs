//! `weir serve`: runs the jobs that the configuration requires for each live stream.
//!
//! Everything runs on one thread: children die with the thread that started them, so that thread must live as long as the daemon.
//! The runtime's helper threads write files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep_until};
use weir_model::Digest;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::{DaemonEnded, StreamCodecs};

use crate::chat::Chat;
use crate::cluster::agent::Agent;
use crate::cluster::balancer;
use crate::cluster::origin::Origin;
use crate::cluster::pair;
use crate::cluster::pull::{Node, Pulls};
use crate::config::{self, Config, Delivery};
use crate::context::Context;
use crate::events::Bus;
use crate::feed::Plan;
use crate::follow::Update;
use crate::history::History;
use crate::inputs;
use crate::inputs::due::{self, Due};
use crate::jobs::{Env, Job, Jobs};
use crate::keeper::keep;
use crate::ladder::encoders::settle;
use crate::ladder::plan::{plan, unpublished};
use crate::live::board::Board;
use crate::nginx::Nginx;
use crate::record::{self, Recordings};
use crate::relay::paths::Paths;
use crate::slate::Slates;
use crate::streams::{Changes, Live, StreamId, Streams};
use crate::stuck::Keeper;
use crate::web::{Running, Web};
use crate::webhooks::Hooks;
use crate::{clock, http, shutdown};

pub(crate) mod api;
pub(crate) mod client;
mod deeds;
mod error;
mod follower;
mod history;
pub(crate) mod logging;
pub(crate) mod metrics;
mod notify;
pub(crate) mod preflight;
mod socket;
mod state;
pub(crate) mod unit;

pub(crate) use error::Error;
use follower::{Follower, token};
use notify::Notifier;
use socket::{OwnSocket, place_of_sockets};
pub(crate) use state::{Health, State};

/// Runs the daemon until a signal ends it.
pub(crate) async fn run(path: &Path) -> Result<(), Error> {
    // This umask is for programs that the daemon starts: files of the daemon itself get explicit modes.
    umask(Mode::from_bits_truncate(0o027));
    let config = config::load(path)?;
    logging::init(&config.daemon)?;
    if let Some(file) = &config.daemon.ca_file {
        http::trust(file).map_err(|why| Error::Certificates { file: file.clone(), why })?;
    }
    let config = Arc::new(settle(config).await);
    let listeners = api::listen(&config.daemon).await?;
    let _socket = OwnSocket(config.daemon.socket.clone());
    let pages = crate::web::listen(&config)?;
    // WebRTC sessions start with a request to the pages.
    let ports = if pages.is_some() { crate::webrtc::listen(&config)? } else { None };
    let bus = Bus::new(clock::now().as_millis());
    let history = History::start(&config, &bus);
    let paths = Paths::new().map_err(Error::Random)?;
    let context = Arc::new(Context {
        config: Mutex::new(config.clone()),
        bus: bus.clone(),
        chat: Chat::start(&config, &bus),
        history: history.clone(),
        ticket: Mutex::default(),
        paths,
        recents: Arc::default(),
        helpers: Arc::default(),
    });
    let recordings = Arc::new(Recordings::new(bus.clone()));
    let env = Env { context, shelves: Arc::default(), recordings };
    let keeper = tokio::spawn(keep(env.context.clone(), env.recordings.clone()));
    let hooks = Hooks::start(&config, &bus)?;
    let (ended_sender, ended) = mpsc::channel(64);
    let jobs = Jobs::new(env.clone(), place_of_sockets(&config), ended_sender);
    let health = Health { nginx: Some("not asked yet".into()), streams: 0, reloads: (0, 0) };
    let origin = config.cluster.is_origin().then(|| Origin::start(&config.cluster)).transpose()?;
    match (&config.loadbalancer, &origin) {
        (Some(balancer), Some(origin)) => drop(tokio::spawn(balancer::run(balancer.clone(), origin.clone()))),
        (Some(_), None) => {
            tracing::warn!(
                "[loadbalancer] knows no edges: set secret_file of [cluster] or of [nginx], or [[cluster.edge]]"
            );
        }
        (None, _) => {}
    }
    let agent = Agent::start(&config, &env.context)?;
    let membership = agent.as_ref().map(Agent::membership);
    let pair = pair::start(&config, &env.context.chat)?;
    let jobs = Arc::new(Mutex::new(jobs));
    let state = State {
        jobs: jobs.clone(),
        bus: bus.clone(),
        hooks,
        origin: origin.clone(),
        membership: membership.clone(),
        pair: pair.clone(),
        history,
        chat: env.context.chat.clone(),
        health: Mutex::new(health),
    };
    let state = Arc::new(state);
    api::serve(listeners, &state);
    let board = Arc::new(Board::default());
    let running = Running { file: path.to_owned(), jobs, recordings: env.recordings.clone(), bus, pair };
    let web = Web::new(env.context.clone(), board.clone(), ports, origin, membership, running)?;
    if let Some(pages) = pages {
        crate::web::serve(pages, &web)?;
    }
    let streams = Streams::at_port(config.nginx.rtmp.port);
    let mut daemon = Daemon {
        path: path.to_owned(),
        config,
        env,
        state,
        streams,
        board,
        web,
        token: None,
        follower: None,
        notifier: None,
        slates: None,
        workers: None,
        silent: BTreeSet::new(),
        inputs: None,
        due: BTreeSet::new(),
        swept: false,
        agent,
    };
    let pulls = daemon.agent.as_ref().zip(daemon.config.edge.as_ref()).map(|(agent, edge)| {
        let node = Node::new(&daemon.config, edge, &daemon.env.context, agent.troubles());
        Pulls::start(node, agent.streams.clone(), &daemon.board.demand)
    });
    daemon.follow()?;
    daemon.notifier = Notifier::start(&daemon.config);
    daemon.slates = Slates::start(&daemon.config, &daemon.state.bus);
    daemon.workers = Keeper::start(&daemon.config, &daemon.state.bus);
    daemon.inputs = Due::start(&daemon.config, &daemon.board.demand);
    let result = daemon.work(ended).await;
    keeper.abort();
    drop(pulls);
    result
}

struct Daemon {
    path: PathBuf,
    config: Arc<Config>,
    env: Env,
    state: Arc<State>,
    streams: Streams,
    /// Streams that viewers can watch.
    board: Arc<Board>,
    web: Arc<Web>,
    /// Digest of the API's token.
    token: Option<Digest>,
    follower: Option<Follower>,
    notifier: Option<Notifier>,
    slates: Option<Slates>,
    workers: Option<Keeper>,
    /// Sessions whose audio ffmpeg cannot decode.
    silent: BTreeSet<String>,
    inputs: Option<Due>,
    /// Streams of the inputs that have to run now.
    due: BTreeSet<StreamId>,
    /// Whether the leftovers of an earlier daemon were removed.
    swept: bool,
    /// The edge agent, if this node is an edge.
    agent: Option<Agent>,
}

impl Daemon {
    /// Starts to follow the configured nginx, or ends it ([`Config::follows_nginx`]).
    fn follow(&mut self) -> Result<(), Error> {
        let at = &self.config.nginx;
        self.token = token(at);
        if !self.config.follows_nginx() {
            self.unfollow();
            return Ok(());
        }
        let nginx = Nginx::of_configuration(at.api.clone(), at.api_token_file.as_deref())?;
        self.follower = Some(Follower::start(nginx));
        Ok(())
    }

    fn unfollow(&mut self) {
        tracing::info!("streams are not followed: [loadbalancer] without api in [nginx]");
        if let Some(what) = self.config.without_streams() {
            tracing::warn!("{}: {what}", self.path.display());
        }
        self.health(|health| health.nginx = None);
        if self.follower.take().is_some() {
            // Nothing reports the end of these streams any more.
            self.take(Update::Streams(Vec::new()));
        }
    }

    async fn work(&mut self, mut ended: mpsc::Receiver<String>) -> Result<(), Error> {
        let mut hangup = signal(SignalKind::hangup()).map_err(Error::Signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
        let followed = self.config.follows_nginx().then(|| self.config.nginx.api.to_string());
        let nginx = followed.as_deref().unwrap_or("not followed");
        tracing::info!("weir serve started, stream rules: {}, nginx: {nginx}", self.config.rules.len());
        shutdown::ready();
        let mut alive = interval(shutdown::watchdog_interval());
        loop {
            tokio::select! {
                update = follower::next(&mut self.follower) => self.take(update),
                Some(id) = ended.recv() => self.ended(&id),
                due = due::next(&mut self.inputs) => {
                    self.due = due;
                    self.plan();
                }
                _ = hangup.recv() => self.reload().await,
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = alive.tick() => shutdown::alive(),
            }
        }
        self.drain(&mut ended).await;
        Ok(())
    }

    /// Handles the end of a job. If ffmpeg could not decode the audio, the jobs of the stream continue without audio.
    fn ended(&mut self, id: &str) {
        let Some(live) = self.jobs(|jobs| jobs.ended(id)) else { return };
        if self.silent.insert(live.session.clone()) {
            let codec = live.audio.as_ref().map(|audio| audio.codec.as_str()).unwrap_or_default();
            tracing::warn!(
                stream = live.path(),
                "sound left out of recordings and ladders: ffmpeg cannot decode it, codec: {codec}"
            );
            self.tell_codecs(&live, &Plan::left_out(&live), &[codec]);
        }
        self.plan();
    }

    fn jobs<T>(&self, change: impl FnOnce(&mut Jobs) -> T) -> T {
        change(&mut self.state.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn health(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.state.health.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn take(&mut self, update: Update) {
        match update {
            Update::Server(server) => {
                if let Some(known) = &server.applications {
                    for line in self.config.unknown_applications(known) {
                        tracing::warn!("{}: {line}", self.path.display());
                    }
                }
                *self.env.context.ticket.lock().unwrap_or_else(PoisonError::into_inner) = server.ticket;
            }
            Update::Event(event) => {
                let data: Value = serde_json::from_str(&event.data).unwrap_or(Value::Null);
                let deed = deeds::of_event(&event.kind, &data);
                self.state.bus.pass_on(&event.kind, data);
                deed.iter().for_each(|deed| self.state.bus.tell(deed));
            }
            Update::Lost(why) => {
                let mut news = false;
                self.health(|health| {
                    news = health.nginx.as_deref() != Some(&why);
                    health.nginx = Some(why.clone());
                });
                if news {
                    tracing::warn!("nginx does not answer: {why}");
                }
            }
            Update::Streams(streams) => {
                let changes = self.streams.update(&streams, clock::now());
                self.health(|health| {
                    if health.nginx.take().is_some() {
                        tracing::info!("nginx answers, streams: {}", streams.len());
                    }
                    health.streams = streams.len();
                });
                self.board.tell(self.streams.iter(), &streams);
                self.state.history.see(&self.config, &streams);
                self.follow_up(&changes);
            }
        }
    }

    fn follow_up(&mut self, changes: &Changes) {
        for live in &changes.started {
            tracing::info!(stream = live.path(), session = live.session, "stream is live");
            self.look_at_codecs(live);
            for rung in unpublished(&self.config, live) {
                tracing::error!(stream = live.path(), "rung not published, {rung}");
            }
        }
        for (app, name) in &changes.ended {
            tracing::info!(stream = format!("{app}/{name}"), "stream has ended");
        }
        if changes.unsettled
            && let Some(follower) = &self.follower
        {
            // The channel is full if the follower was asked already.
            let _ = follower.soon.try_send(());
        }
        self.plan();
        if !self.swept && !changes.unsettled {
            self.swept = true;
            self.sweep();
        }
    }

    /// Reports the codecs of a stream that some outputs leave out.
    fn look_at_codecs(&self, live: &Live) {
        let plan = Plan::of(live);
        let (left_out, not_used) = (Plan::left_out(live), plan.not_used(live));
        if left_out.is_empty() && not_used.is_empty() {
            return;
        }
        tracing::warn!(
            stream = live.path(),
            "not in nginx-rtmp's HLS and DASH: {}; not in recordings and ladders: {}",
            words(&left_out),
            words(&not_used)
        );
        self.tell_codecs(live, &left_out, &not_used);
    }

    fn tell_codecs(&self, live: &Live, left_out: &[&str], not_used: &[&str]) {
        let owned = |codecs: &[&str]| codecs.iter().map(|codec| (*codec).to_owned()).collect();
        self.state.bus.tell(&DaemonEvent::StreamCodecs(StreamCodecs {
            at: clock::now(),
            app: live.app.to_string(),
            audio: live.audio.as_ref().map(|audio| audio.codec.clone()),
            name: live.name.to_string(),
            not_in_hls: owned(left_out),
            not_in_jobs: owned(not_used),
            session: live.session.clone(),
            video: live.video.as_ref().map(|video| video.codec.clone()),
        }));
    }

    fn plan(&mut self) {
        self.silent.retain(|session| self.streams.iter().any(|live| live.session == *session));
        let heard = |live: &Live| match self.silent.contains(&live.session) {
            true => Live { audio: None, ..live.clone() },
            false => live.clone(),
        };
        let live: Vec<Live> = self.streams.iter().map(heard).collect();
        let ladders = plan(&self.config, live.iter()).into_iter().map(Job::Ladder);
        let records = record::plan::plan(&self.config, live.iter()).into_iter().map(Job::Record);
        let inputs = inputs::plan::plan(&self.config, &self.due).into_iter().map(Job::Input);
        let wanted = ladders.chain(records).chain(inputs).collect();
        let is_succeeded = |of: &Live| {
            let now = self.streams.iter().find(|live| (&live.app, &live.name) == (&of.app, &of.name));
            now.is_some_and(|live| live.session != of.session)
        };
        self.jobs(|jobs| jobs.want(wanted, is_succeeded));
    }

    /// Removes folders of streams that ended while no daemon ran.
    fn sweep(&self) {
        let is_live = |folder: &Path| {
            self.streams
                .iter()
                .any(|live| folder.ends_with(Path::new(live.app.as_str()).join(live.name.as_str())))
        };
        for rule in &self.config.rules {
            if let Delivery::Files(files) = &rule.delivery {
                self.env.shelves.sweep(&files.folder, is_live);
            }
        }
    }

    /// Reloads the configuration. Jobs whose settings did not change continue to run.
    async fn reload(&mut self) {
        shutdown::reloading();
        let mut next = match config::load(&self.path) {
            Ok(next) => settle(next).await,
            Err(error) => {
                tracing::error!("configuration not reloaded: {error}");
                self.health(|health| health.reloads.1 += 1);
                shutdown::ready();
                return;
            }
        };
        if next.daemon != self.config.daemon {
            tracing::warn!("[daemon] has changed: restart weir serve to apply it");
            next.daemon = self.config.daemon.clone();
        }
        if next.cluster != self.config.cluster
            || next.edge != self.config.edge
            || next.loadbalancer != self.config.loadbalancer
        {
            tracing::warn!(
                "[cluster], [[region]], [edge] or [loadbalancer] has changed: restart weir serve to apply it"
            );
        }
        let web = &self.config.web;
        let fixed = |web: &config::web::Web| {
            (web.listen, web.base.clone(), web.max_connections, web.max_connections_per_address)
        };
        if fixed(&next.web) != fixed(web) {
            tracing::warn!(
                "listen, base, max_connections or max_connections_per_address of [web] has changed: restart weir serve to apply it"
            );
            next.web.base = web.base.clone();
        }
        let next = Arc::new(next);
        if let Err(error) = self.state.hooks.configure(&next) {
            tracing::error!("hooks not changed: {error}");
        }
        self.state.history.configure(&next);
        self.env.context.chat.configure(&next);
        self.web.configure(&next);
        let elsewhere = next.nginx != self.config.nginx
            || next.follows_nginx() != self.config.follows_nginx()
            || token(&next.nginx) != self.token;
        let told_otherwise = elsewhere || next.notify != self.config.notify;
        let slates_otherwise = elsewhere || next.slate != self.config.slate;
        let inputs_otherwise = elsewhere || next.inputs != self.config.inputs;
        self.config = next.clone();
        *self.env.context.config.lock().unwrap_or_else(PoisonError::into_inner) = next;
        if elsewhere && let Err(error) = self.follow() {
            tracing::error!("[nginx]: {error}");
        }
        if told_otherwise {
            // The old notifier must close the FIFO before the new one opens it.
            self.notifier = None;
            self.notifier = Notifier::start(&self.config);
        }
        self.workers = Keeper::start(&self.config, &self.state.bus);
        if slates_otherwise {
            self.slates = Slates::start(&self.config, &self.state.bus);
        }
        if inputs_otherwise {
            self.inputs = Due::start(&self.config, &self.board.demand);
            if self.inputs.is_none() {
                self.due.clear();
            }
        }
        self.plan();
        self.health(|health| health.reloads.0 += 1);
        tracing::info!("configuration reloaded, stream rules: {}", self.config.rules.len());
        shutdown::ready();
    }

    /// Ends all jobs and waits for them; a job that takes too long is killed with the daemon.
    async fn drain(&mut self, ended: &mut mpsc::Receiver<String>) {
        tracing::info!("weir serve stops");
        shutdown::stopping();
        self.follower = None;
        self.notifier = None;
        self.slates = None;
        self.inputs = None;
        if let Some(agent) = self.agent.take() {
            agent.leave().await;
        }
        let deadline = Instant::now() + self.config.jobs.grace + Duration::from_secs(2);
        while !self.jobs(Jobs::stop_all) {
            tokio::select! {
                Some(id) = ended.recv() => drop(self.jobs(|jobs| jobs.ended(&id))),
                () = sleep_until(deadline) => break,
            }
        }
        self.state.bus.tell(&DaemonEvent::DaemonEnded(DaemonEnded { at: clock::now() }));
        self.state.hooks.stop().await;
        self.state.history.stop();
    }
}

/// Joins a list for a log line.
fn words(list: &[&str]) -> String {
    if list.is_empty() { "none".into() } else { list.join(", ") }
}
