//! Adaptive bitrate: transcodes each live stream into renditions and delivers them.
//!
//! - [`plan`] decides which jobs have to run (pure)
//! - [`ffmpeg`] builds the arguments of a job (pure), with [`encoders`] that work on this machine
//! - [`shelf`] and [`files`] write HLS and DASH; an [`Outlet`] publishes to nginx
//! - [`family`] decides which streams belong together (pure)
//! - [`run`] connects these parts and the supervisor for one job

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use weir_media::run::timeline::COMMON_ZERO;

use crate::config::Delivery;
use crate::context::{Context, policy};
use crate::feed::{Feed, Product};
use crate::files::{PRIVATE, set_mode};
use crate::outlet::{self, Credential, Outlet};
use crate::supervise::{self, Order, Shared, Spec};

pub(crate) mod encoders;
pub(crate) mod family;
pub(crate) mod ffmpeg;
pub(crate) mod files;
pub(crate) mod plan;
mod readiness;
pub(crate) mod shelf;

use plan::LadderJob;
use readiness::Readiness;
use shelf::Shelves;

/// Runs a job until it is stopped. `place` is an empty folder for its sockets.
pub(crate) async fn run(
    job: LadderJob,
    context: &Context,
    shelves: &Shelves,
    shared: Arc<Shared>,
    mut commands: mpsc::Receiver<Order>,
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
    commands: &mut mpsc::Receiver<Order>,
    place: &std::path::Path,
) -> std::io::Result<()> {
    let config = context.config();
    let _ = tokio::fs::remove_dir_all(place).await;
    PRIVATE.make_folder(place)?;
    let ready = Arc::new(Readiness::new(&job, context.bus.clone(), shared.clone()));
    // Dropping the set aborts the tasks.
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
                let rung = output.name;
                let outlet = Outlet {
                    server: job.server.clone(),
                    app: to.app.clone(),
                    name: plan::published(&job.live, &rung).map_err(std::io::Error::other)?,
                    credential: Credential::Minted(to.secret_file.clone()),
                    zero: COMMON_ZERO,
                    check: |_| Ok(()),
                    playable: Box::new(move || ready.playable(&rung)),
                };
                sinks.spawn(outlet::serve(listener, outlet, shared));
            }
            (Delivery::Files(_), Some(shelf)) => {
                sinks.spawn(files::serve(listener, shelf.clone(), index, output, shared, ready));
            }
            (Delivery::Files(_), None) => {}
        }
    }
    let name = context.own_name(&job.live);
    let _feed = Feed::open(&job.live, &job.server, name, place, shared.clone(), Product::Renditions)?;
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
    // The last output of ffmpeg is still to be read.
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
