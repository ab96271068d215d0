//! The jobs that run, brought in line with those that are wanted. One that is no longer as it is wanted is ended first, and only
//! then is the other one started.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::config::input::Source;
use crate::context::Context;
use crate::inputs::{self, plan::InputJob};
use crate::ladder;
use crate::ladder::plan::LadderJob;
use crate::ladder::shelf::Shelves;
use crate::record::plan::RecordJob;
use crate::record::{self, Recordings};
use crate::streams::{Live, StreamId};
use crate::supervise::helpers::Known;
use crate::supervise::output::Line;
use crate::supervise::{Order, Shared, Status};

/// One ffmpeg for one stream, of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Makes renditions.
    Ladder(LadderJob),
    /// Keeps what is sent, or stills of it.
    Record(RecordJob),
    /// Publishes it.
    Input(InputJob),
}

impl Job {
    fn id(&self) -> &String {
        match self {
            Self::Ladder(job) => &job.id,
            Self::Record(job) => &job.id,
            Self::Input(job) => &job.id,
        }
    }

    /// Application and name of its stream.
    fn stream(&self) -> StreamId {
        match self {
            Self::Ladder(job) => (job.live.app.clone(), job.live.name.clone()),
            Self::Record(job) => (job.live.app.clone(), job.live.name.clone()),
            Self::Input(job) => (job.input.app.clone(), job.input.stream.clone()),
        }
    }

    /// The live stream that it reads; an input reads none.
    fn live(&self) -> Option<&Live> {
        match self {
            Self::Ladder(job) => Some(&job.live),
            Self::Record(job) => Some(&job.live),
            Self::Input(_) => None,
        }
    }

    /// What a node sends is published without a program.
    fn has_process(&self) -> bool {
        !matches!(self, Self::Input(job) if matches!(job.input.source, Source::Node(_)))
    }

    /// Whether it goes on as it is: pictures of another size are another run of the same job.
    fn is_like(&self, other: &Self) -> bool {
        let sizeless = |job: &Self| {
            let mut job = job.clone();
            let live = match &mut job {
                Self::Ladder(job) => Some(&mut job.live),
                Self::Record(job) => Some(&mut job.live),
                Self::Input(_) => None,
            };
            if let Some(video) = live.and_then(|live| live.video.as_mut()) {
                (video.width, video.height) = (0, 0);
            }
            job
        };
        sizeless(self) == sizeless(other)
    }

    fn makes(&self) -> Vec<String> {
        match self {
            Self::Ladder(job) => job.renditions.iter().map(|rendition| rendition.name().to_owned()).collect(),
            Self::Record(job) => vec![job.kept.name()],
            Self::Input(job) => vec![job.input.source.word().to_owned()],
        }
    }
}

/// What jobs are run with.
#[derive(Clone, Debug)]
pub struct Env {
    /// What all of them have in common.
    pub context: Arc<Context>,
    /// The folders with HLS and DASH.
    pub shelves: Arc<Shelves>,
    /// The folders with recordings.
    pub recordings: Arc<Recordings>,
}

/// All of them.
#[derive(Debug)]
pub struct Jobs {
    env: Env,
    wanted: BTreeMap<String, Job>,
    running: BTreeMap<String, Running>,
    /// Wanted and without a process, as far as that was told.
    waiting: BTreeSet<String>,
    ended: mpsc::Sender<String>,
    /// Sockets of job N are in its folder `N`.
    place: PathBuf,
    next_place: u64,
}

#[derive(Debug)]
struct Running {
    job: Job,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Order>,
    stopping: bool,
}

/// A job, as it is listed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    /// Its handle.
    pub id: String,
    /// nginx-rtmp application.
    pub app: String,
    /// The stream's public name.
    pub stream: String,
    /// The names of what it makes.
    pub renditions: Vec<String>,
    /// State, process, restarts, progress.
    #[serde(flatten)]
    pub status: Status,
}

impl Jobs {
    /// None yet. The ids of those that have ended go to `ended`, for [`Jobs::ended`].
    pub fn new(env: Env, place: PathBuf, ended: mpsc::Sender<String>) -> Self {
        Self {
            env,
            wanted: BTreeMap::new(),
            running: BTreeMap::new(),
            waiting: BTreeSet::new(),
            ended,
            place,
            next_place: 0,
        }
    }

    /// What is wanted from now on. `is_succeeded` says whether another publisher has taken the name of a stream.
    pub fn want(&mut self, jobs: Vec<Job>, is_succeeded: impl Fn(&Live) -> bool) {
        self.wanted = jobs.into_iter().map(|job| (job.id().clone(), job)).collect();
        for (id, running) in &mut self.running {
            if !self.wanted.get(id).is_some_and(|wanted| wanted.is_like(&running.job)) {
                if running.job.live().is_some_and(&is_succeeded) {
                    running.shared.succeed();
                }
                running.stop();
            }
        }
        self.start();
    }

    /// A job has ended. A stream whose sound it could not decode is given back: [`Jobs::want`] its jobs without sound.
    pub fn ended(&mut self, id: &str) -> Option<Live> {
        let ended = self.running.remove(id);
        self.env.context.helpers.set_jobs(self.processes());
        let silent = ended.filter(|running| running.shared.is_sound_failed());
        if silent.is_none() {
            self.start();
        }
        silent.and_then(|running| running.job.live().cloned())
    }

    /// Starts what is wanted and does not run, as far as there may be processes.
    fn start(&mut self) {
        let most = self.env.context.config().jobs.max_processes;
        for (id, job) in &self.wanted {
            if self.running.contains_key(id) {
                continue;
            }
            let helpers = &self.env.context.helpers;
            if job.has_process() && self.processes() + helpers.running() >= most {
                if self.waiting.insert(id.clone()) {
                    let (app, name) = job.stream();
                    let stream = format!("{app}/{name}");
                    tracing::warn!(stream, job = id, "job waits: max_processes = {most} are running");
                }
                continue;
            }
            let place = self.place.join(self.next_place.to_string());
            self.next_place += 1;
            let running = start(job.clone(), self.env.clone(), place, self.ended.clone());
            self.running.insert(id.clone(), running);
        }
        self.waiting.retain(|id| self.wanted.contains_key(id) && !self.running.contains_key(id));
        self.env.context.helpers.set_jobs(self.processes());
    }

    /// Jobs that run and have a process, or may have one at any time.
    fn processes(&self) -> usize {
        self.running.values().filter(|running| running.job.has_process()).count()
    }

    /// Ends all, and starts no other; true when there is none.
    pub fn stop_all(&mut self) -> bool {
        self.wanted.clear();
        self.running.values_mut().for_each(Running::stop);
        self.running.is_empty()
    }

    /// All that run, and those that wait for room.
    pub fn list(&self) -> Vec<View> {
        let waiting = self.wanted.values().filter(|job| !self.running.contains_key(job.id()));
        let waiting = waiting.map(|job| view(job, Shared::new().status()));
        let mut views: Vec<View> = self
            .running
            .values()
            .map(|running| view(&running.job, running.shared.status()))
            .chain(waiting)
            .chain(self.env.context.helpers.list().into_iter().map(of_helper))
            .collect();
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
    }

    /// The last lines of a job; none when there is no such job.
    pub fn logs(&self, id: &str) -> Option<Vec<Line>> {
        match self.running.get(id) {
            Some(running) => Some(running.shared.output.lines()),
            // It waits for room, and has said nothing.
            None if self.wanted.contains_key(id) => Some(Vec::new()),
            None => self.env.context.helpers.list().get(id).map(|helper| helper.shared.output.lines()),
        }
    }

    /// Starts a job anew; false when there is no such job.
    pub fn restart(&self, id: &str) -> bool {
        match self.running.get(id) {
            // Full when it has such an order already.
            Some(running) => {
                running.commands.try_send(Order::Restart).is_ok() || !running.commands.is_closed()
            }
            None => self.env.context.helpers.restart(id),
        }
    }
}

impl Running {
    fn stop(&mut self) {
        if self.stopping {
            return;
        }
        // Where an earlier order waits, this one comes again with the next look.
        self.stopping = self.commands.try_send(Order::Stop).is_ok();
    }
}

fn view(job: &Job, status: Status) -> View {
    let (app, name) = job.stream();
    View {
        id: job.id().clone(),
        app: app.to_string(),
        stream: name.to_string(),
        renditions: job.makes(),
        status,
    }
}

/// A program for viewers or a publisher over WebRTC.
fn of_helper((id, helper): (String, Known)) -> View {
    let (app, stream) = (helper.stream.0.to_string(), helper.stream.1.to_string());
    View { id, app, stream, renditions: vec![helper.makes.to_owned()], status: helper.shared.status() }
}

fn start(job: Job, env: Env, place: PathBuf, ended: mpsc::Sender<String>) -> Running {
    let shared = Shared::new();
    // A stop always fits behind restarts.
    let (commands, orders) = mpsc::channel(16);
    let (id, of_job, of_shared) = (job.id().clone(), job.clone(), shared.clone());
    tokio::spawn(async move {
        match of_job {
            Job::Ladder(job) => ladder::run(job, &env.context, &env.shelves, of_shared, orders, place).await,
            Job::Record(job) => {
                record::run(job, &env.context, &env.recordings, of_shared, orders, place).await;
            }
            Job::Input(job) => inputs::run(job, &env.context, of_shared, orders, place).await,
        }
        let _ = ended.send(id).await;
    });
    Running { job, shared, commands, stopping: false }
}
