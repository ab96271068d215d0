//! Inputs publish streams without an encoder. For each input, one ffmpeg reads a camera, a server or files, and the daemon
//! publishes its output; a stream of another node needs no ffmpeg.
//!
//! - [`plan`] decides which jobs have to run (pure), [`due`] decides when
//! - [`list`] is the list file that ffmpeg reads: it holds the URL, so that no password is visible in the process list
//! - [`ffmpeg`] builds the arguments of a job, and interprets ffmpeg's messages (pure)
//! - `teller` emits events
//! - [`run`] connects these parts and the supervisor for one job

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::input::{Remote, Source};
use crate::config::origin::Origin;
use crate::context::{Context, policy};
use crate::files::{PRIVATE, set_mode};
use crate::outlet::{self, Credential, Outlet};
use crate::relay::Relay;
use crate::relay::trust::may_have_token;
use crate::supervise::backoff::Backoff;
use crate::supervise::job::Policy;
use crate::supervise::{self, Order, Shared, Spec, work};

pub(crate) mod due;
pub(crate) mod ffmpeg;
pub(crate) mod list;
pub(crate) mod plan;
mod senders;
mod teller;

use plan::InputJob;
use teller::Teller;

/// Warm-up time of an input that waits for its sender: the sender may come at any time, so the wait has no practical limit.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Short pauses before restarts, so that a sender that reconnects finds a listener.
const SOON: Backoff = Backoff { first: Duration::from_millis(200), max: Duration::from_secs(1) };

/// Runs a job until it is stopped. `place` is an empty folder for its socket and its list.
pub(crate) async fn run(
    job: InputJob,
    context: &Context,
    shared: Arc<Shared>,
    mut commands: mpsc::Receiver<Order>,
    place: PathBuf,
) {
    let (id, stream) = (job.id.clone(), job.path());
    let teller = Arc::new(Teller::new(&job, context.bus.clone(), shared.clone()));
    let told = tokio::spawn(teller.clone().follow());
    if let Source::Node(origin) = &job.input.source {
        relay(&job, origin, context, &teller, &shared, &mut commands).await;
    } else if let Err(why) = run_in(job, context, &teller, shared.clone(), &mut commands, &place).await {
        teller.fail(&why.to_string());
        supervise::could_not_begin(&stream, &id, &why, &shared, &mut commands).await;
    }
    told.abort();
    teller.stop();
    let _ = tokio::fs::remove_dir_all(&place).await;
}

async fn run_in(
    job: InputJob,
    context: &Context,
    teller: &Arc<Teller>,
    shared: Arc<Shared>,
    commands: &mut mpsc::Receiver<Order>,
    place: &Path,
) -> io::Result<()> {
    let config = context.config();
    let _ = tokio::fs::remove_dir_all(place).await;
    PRIVATE.make_folder(place)?;
    let list = list::of(&job.input.source)?;
    PRIVATE.write(&ffmpeg::list(place), list.expose().as_bytes())?;
    let listener = UnixListener::bind(ffmpeg::socket(place))?;
    set_mode(&ffmpeg::socket(place), PRIVATE.file)?;
    shared.output.explain(ffmpeg::explain);
    if let Source::Remote(remote) = &job.input.source {
        shared.output.hide(remote.url.expose());
    }
    if job.input.is_keyed {
        shared.output.overhear(ffmpeg::streamid);
    }
    let playable = teller.clone();
    let outlet = Outlet {
        server: job.server.clone(),
        app: job.input.app.clone(),
        name: job.input.stream.clone(),
        credential: match job.input.is_keyed {
            true => Credential::Overheard,
            false => Credential::Minted(job.input.secret_file.clone()),
        },
        zero: 0,
        check: ffmpeg::check,
        playable: Box::new(move || playable.playable()),
    };
    // Dropping the set aborts the task.
    let mut sink = JoinSet::new();
    sink.spawn(outlet::serve(listener, outlet, shared.clone()));
    let mut watch = JoinSet::new();
    if job.input.is_keyed {
        watch.spawn(senders::watch(shared.clone()));
    }
    let spec = Spec {
        id: job.id.clone(),
        stream: job.path(),
        program: config.jobs.ffmpeg.clone(),
        arguments: ffmpeg::arguments(&job.input, place),
        nice: config.jobs.nice,
        policy: of(&job.input.source, policy(&config)),
        decodes_sound: false,
    };
    supervise::run(spec, shared, commands).await;
    drop(watch);
    // The last output of ffmpeg is still to be read, and the stream to be ended.
    let _ = tokio::time::timeout(Duration::from_millis(300), sink.join_next()).await;
    Ok(())
}

/// Relays a stream of another node.
async fn relay(
    job: &InputJob,
    origin: &Origin,
    context: &Context,
    teller: &Teller,
    shared: &Arc<Shared>,
    commands: &mut mpsc::Receiver<Order>,
) {
    let relay = Relay {
        origin: origin.clone(),
        server: job.server.clone(),
        app: job.input.app.clone(),
        name: job.input.stream.clone(),
        secret_file: Some(job.input.secret_file.clone()),
        paths: context.paths.clone(),
        recents: context.recents.clone(),
        mints: may_have_token(&origin.url, &context.config()),
        jobs: context.config().jobs.clone(),
        helpers: context.helpers.clone(),
    };
    let Policy { backoff, grace, healthy, .. } = policy(&context.config());
    let begin = || relay.run(shared, || teller.playable());
    work::run((&job.path(), &job.id), (backoff, grace, healthy), shared, commands, begin).await;
}

fn of(source: &Source, policy: Policy) -> Policy {
    match source {
        Source::Remote(Remote { waits: true, .. }) => Policy { warm_up: FOR_EVER, backoff: SOON, ..policy },
        _ => policy,
    }
}
