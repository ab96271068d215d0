//! Runs the jobs that are wanted. If the settings of a job change, the old job ends before the new one starts.

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

/// A job of any kind: one ffmpeg for one stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Job {
    /// Makes renditions.
    Ladder(LadderJob),
    /// Records a stream, or stills of it.
    Record(RecordJob),
    /// Publishes an input.
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

    /// Returns the application and name of the job's stream.
    fn stream(&self) -> StreamId {
        match self {
            Self::Ladder(job) => (job.live.app.clone(), job.live.name.clone()),
            Self::Record(job) => (job.live.app.clone(), job.live.name.clone()),
            Self::Input(job) => (job.input.app.clone(), job.input.stream.clone()),
        }
    }

    /// Returns the live stream that the job reads; an input reads none.
    fn live(&self) -> Option<&Live> {
        match self {
            Self::Ladder(job) => Some(&job.live),
            Self::Record(job) => Some(&job.live),
            Self::Input(_) => None,
        }
    }

    /// Returns whether the job runs a program. A stream from another node is published without one.
    fn has_process(&self) -> bool {
        !matches!(self, Self::Input(job) if matches!(job.input.source, Source::Node(_)))
    }

    /// Returns whether a running job may continue as `other`: another frame size is another run of the same job.
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

/// Environment of the jobs.
#[derive(Clone, Debug)]
pub(crate) struct Env {
    /// State that all jobs share.
    pub context: Arc<Context>,
    /// Folders with HLS and DASH.
    pub shelves: Arc<Shelves>,
    /// Folders with recordings.
    pub recordings: Arc<Recordings>,
}

/// All jobs.
#[derive(Debug)]
pub(crate) struct Jobs {
    env: Env,
    wanted: BTreeMap<String, Job>,
    running: BTreeMap<String, Running>,
    /// Waiting jobs that the log already reported.
    waiting: BTreeSet<String>,
    ended: mpsc::Sender<String>,
    /// The sockets of job N are in the subfolder `N`.
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

/// A job in the list of jobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct View {
    /// Handle of the job.
    pub id: String,
    /// Application of nginx-rtmp.
    pub app: String,
    /// Public name of the stream.
    pub stream: String,
    /// Names of the job's outputs.
    pub renditions: Vec<String>,
    /// State, process, restarts, progress.
    #[serde(flatten)]
    pub status: Status,
}

impl Jobs {
    /// Creates an empty set of jobs. The ids of ended jobs are sent to `ended`, for [`Jobs::ended`].
    pub(crate) fn new(env: Env, place: PathBuf, ended: mpsc::Sender<String>) -> Self {
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

    /// Sets the wanted jobs. `is_succeeded` returns whether another publisher has taken the name of a stream.
    pub(crate) fn want(&mut self, jobs: Vec<Job>, is_succeeded: impl Fn(&Live) -> bool) {
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

    /// Handles the end of a job. If ffmpeg could not decode the audio, returns the stream: the caller then calls [`Jobs::want`]
    /// with jobs without audio.
    pub(crate) fn ended(&mut self, id: &str) -> Option<Live> {
        let ended = self.running.remove(id);
        self.env.context.helpers.set_jobs(self.processes());
        let silent = ended.filter(|running| running.shared.is_sound_failed());
        if silent.is_none() {
            self.start();
        }
        silent.and_then(|running| running.job.live().cloned())
    }

    /// Starts the wanted jobs that do not run, up to the limit of processes.
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

    /// Returns the number of running jobs that have a process or may start one at any time.
    fn processes(&self) -> usize {
        self.running.values().filter(|running| running.job.has_process()).count()
    }

    /// Ends all jobs and starts no other; returns true if no job runs any more.
    pub(crate) fn stop_all(&mut self) -> bool {
        self.wanted.clear();
        self.running.values_mut().for_each(Running::stop);
        self.running.is_empty()
    }

    /// Lists all running jobs, and the jobs that wait for a free process slot.
    pub(crate) fn list(&self) -> Vec<View> {
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

    /// Returns the last log lines of a job; `None` if there is no such job.
    pub(crate) fn logs(&self, id: &str) -> Option<Vec<Line>> {
        match self.running.get(id) {
            Some(running) => Some(running.shared.output.lines()),
            // The job waits for a free process slot, so it has no output.
            None if self.wanted.contains_key(id) => Some(Vec::new()),
            None => self.env.context.helpers.list().get(id).map(|helper| helper.shared.output.lines()),
        }
    }

    /// Restarts a job; returns false if there is no such job.
    pub(crate) fn restart(&self, id: &str) -> bool {
        match self.running.get(id) {
            // The channel is full if such an order waits already.
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
        // If the channel is full, a later call sends the order again.
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

/// Returns the view of a helper: a program for viewers or for a publisher over WebRTC.
fn of_helper((id, helper): (String, Known)) -> View {
    let (app, stream) = (helper.stream.0.to_string(), helper.stream.1.to_string());
    View { id, app, stream, renditions: vec![helper.makes.to_owned()], status: helper.shared.status() }
}

fn start(job: Job, env: Env, place: PathBuf, ended: mpsc::Sender<String>) -> Running {
    let shared = Shared::new();
    // The capacity leaves space for a stop order behind restart orders.
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
