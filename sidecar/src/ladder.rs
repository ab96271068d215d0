//! Adaptive bit rate: what each live stream is transcoded to, and where that goes.
//!
//! - [`plan`] decides which jobs there are to be (pure)
//! - [`ffmpeg`] words a job as arguments (pure), with [`encoders`] that work here
//! - [`shelf`] and [`files`] write HLS and DASH, [`publish`] publishes to nginx
//! - [`run`] puts these and the supervisor together for one job

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clock;
use crate::config::Delivery;
use crate::context::{Context, policy};
use crate::events::Bus;
use crate::feed::Feed;
use crate::files::{PRIVATE, set_mode};
use crate::playlist::Role;
use crate::supervise::{self, Command, Shared, Spec};

pub mod encoders;
pub mod ffmpeg;
pub mod files;
pub mod plan;
pub mod publish;
pub mod shelf;

use ffmpeg::Output;
use plan::LadderJob;
use shelf::Shelves;

/// So long after its pictures, sound that ffmpeg can decode can be played.
const SILENCE: Duration = Duration::from_secs(20);

/// Which outputs of a job can be played; tells once when all can.
#[derive(Debug)]
pub struct Readiness {
    missing: Mutex<Vec<Output>>,
    /// When the first pictures could be played.
    seen: OnceLock<Instant>,
    decodes_sound: bool,
    bus: Arc<Bus>,
    shared: Arc<Shared>,
    told: serde_json::Value,
}

impl Readiness {
    /// Of a job none of whose outputs can be played yet.
    pub fn new(job: &LadderJob, bus: Arc<Bus>, shared: Arc<Shared>) -> Self {
        let outputs = ffmpeg::outputs(job);
        let names: Vec<String> = job.renditions.iter().map(|rendition| rendition.name().to_owned()).collect();
        let told = json!({
            "app": job.live.app, "name": job.live.name, "session": job.live.session, "renditions": names,
            "deliver": match job.delivery { Delivery::Files(_) => "files", Delivery::Rtmp(_) => "rtmp" },
        });
        let (missing, seen) = (Mutex::new(outputs), OnceLock::new());
        Self { missing, seen, decodes_sound: job.decodes_sound(), bus, shared, told }
    }

    /// An output can be played.
    pub fn playable(&self, output: &str) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = missing.len();
        missing.retain(|known| known.name != output);
        let is_silent = before > 0 && missing.iter().all(|known| known.role != Role::Video);
        let seen = self.seen.get_or_init(Instant::now);
        if self.decodes_sound && is_silent && !missing.is_empty() && seen.elapsed() > SILENCE {
            self.shared.fail_sound();
        }
        if missing.is_empty() && before > 0 {
            let mut data = self.told.clone();
            data["at"] = json!(clock::now());
            tracing::info!(
                stream = format!("{}/{}", self.told["app"], self.told["name"]).replace('"', ""),
                "stream ready"
            );
            self.bus.tell("stream.ready", data);
            self.shared.set_ready();
        }
    }
}

/// Runs a job until it is told to stop. `place` is an empty folder for its sockets.
pub async fn run(
    job: LadderJob,
    context: &Context,
    shelves: &Shelves,
    shared: Arc<Shared>,
    mut commands: mpsc::Receiver<Command>,
    place: PathBuf,
) {
    let (id, stream) = (job.id.clone(), job.live.path());
    if let Err(why) = run_in(job, context, shelves, shared.clone(), &mut commands, &place).await {
        supervise::could_not_begin(&stream, &id, &why, &shared, &mut commands).await;
    }
    let _ = tokio::fs::remove_dir_all(&place).await;
}

async fn run_in(
    job: LadderJob,
    context: &Context,
    shelves: &Shelves,
    shared: Arc<Shared>,
    commands: &mut mpsc::Receiver<Command>,
    place: &std::path::Path,
) -> std::io::Result<()> {
    let config = context.config();
    let _ = tokio::fs::remove_dir_all(place).await;
    PRIVATE.make_folder(place)?;
    let ready = Arc::new(Readiness::new(&job, context.bus.clone(), shared.clone()));
    // Aborted when this is dropped.
    let mut sinks = JoinSet::new();
    let outputs = ffmpeg::outputs(&job);
    let shelf = match &job.delivery {
        Delivery::Files(files) => Some(shelves.take(&job, files).await?),
        Delivery::Rtmp(_) => None,
    };
    for (index, output) in outputs.iter().enumerate() {
        let listener = UnixListener::bind(ffmpeg::socket(place, index))?;
        set_mode(&ffmpeg::socket(place, index), PRIVATE.file)?;
        let (shared, ready, output) = (shared.clone(), ready.clone(), output.clone());
        match (&job.delivery, &shelf) {
            (Delivery::Rtmp(to), _) => {
                let publisher = publish::Publisher::new(&job.server, to, &job.live, &output.name)
                    .map_err(std::io::Error::other)?;
                sinks.spawn(publish::serve(listener, publisher, shared, ready));
            }
            (Delivery::Files(_), Some(shelf)) => {
                sinks.spawn(files::serve(listener, shelf.clone(), index, output, shared, ready));
            }
            (Delivery::Files(_), None) => {}
        }
    }
    let _feed =
        Feed::open(&job.live, &job.server, context.own_name(&job.live), place, shared.clone(), false)?;
    let spec = Spec {
        id: job.id.clone(),
        stream: job.live.path(),
        program: config.jobs.ffmpeg.clone(),
        arguments: ffmpeg::arguments(&job, place),
        nice: config.jobs.nice,
        policy: policy(&config),
        decodes_sound: job.decodes_sound(),
    };
    supervise::run(spec, shared, commands).await;
    // What ffmpeg wrote at its end is still to be read.
    let _ = tokio::time::timeout(Duration::from_millis(300), async {
        while !sinks.is_empty() && sinks.join_next().await.is_some() {}
    })
    .await;
    drop(sinks);
    if let Some(shelf) = shelf {
        shelves.leave(shelf);
    }
    Ok(())
}
