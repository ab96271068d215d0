//! Recordings of streams without re-encoding, and stills.
//!
//! - [`plan`] decides which jobs must run, [`ffmpeg`] builds their arguments (both pure)
//! - [`weir_media::piece`] splits ffmpeg's output into pieces, [`writer`] writes them to files, [`playlist`] adds HLS playlists;
//!   [`still`] replaces a JPEG
//! - [`index`] lists the files of a folder, [`salvage`] cuts off incomplete ends, [`retention`] decides which files are removed

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use weir_media::piece::{self, Piece, mkv, mp4};
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::RecordingFinished;

use crate::clock;
use crate::config::record::Format;
use crate::context::{self, Context};
use crate::events::Bus;
use crate::feed::{Feed, Product};
use crate::files::{self, PRIVATE};
use crate::supervise::job::Policy;
use crate::supervise::{self, Order, Shared, Spec};

pub(crate) mod ffmpeg;
pub(crate) mod index;
pub(crate) mod plan;
pub(crate) mod playlist;
pub(crate) mod retention;
pub(crate) mod salvage;
pub(crate) mod still;
pub(crate) mod transfer;
pub(crate) mod writer;

use index::Index;
use plan::{Kept, RecordJob};
use writer::Writer;

/// Longest wait for ffmpeg's last bytes.
const LAST_BYTES: Duration = Duration::from_millis(500);
/// Time after which audio that ffmpeg does not decode is left out.
const SILENCE: Duration = Duration::from_secs(30);

/// The indexes of all folders with recordings.
#[derive(Debug)]
pub(crate) struct Recordings {
    known: Mutex<HashMap<PathBuf, Arc<Index>>>,
    bus: Arc<Bus>,
}

impl Recordings {
    /// Returns an empty set of indexes. `bus` gets events about files that an earlier daemon was writing when it was killed.
    pub(crate) fn new(bus: Arc<Bus>) -> Self {
        Self { known: Mutex::default(), bus }
    }

    /// Returns the index of a folder, which is created if it does not exist.
    pub(crate) fn of(&self, folder: &Path) -> io::Result<Arc<Index>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = known.get(folder) {
            return Ok(index.clone());
        }
        let (index, salvaged) = Index::open(folder)?;
        for entry in salvaged {
            self.bus.tell(&DaemonEvent::RecordingFinished(RecordingFinished {
                at: clock::now(),
                app: entry.app,
                bytes: entry.bytes,
                cut_off: true,
                duration_ms: None,
                file: folder.join(&entry.file),
                name: entry.stream,
                session: entry.session,
            }));
        }
        let index = Arc::new(index);
        known.insert(folder.into(), index.clone());
        Ok(index)
    }
}

/// Runs a job until it gets an order to stop. `place` is an empty folder for its socket.
pub(crate) async fn run(
    job: RecordJob,
    context: &Context,
    recordings: &Recordings,
    shared: Arc<Shared>,
    mut commands: mpsc::Receiver<Order>,
    place: PathBuf,
) {
    if let Err(why) = run_in(&job, context, recordings, shared.clone(), &mut commands, &place).await {
        supervise::could_not_begin(&job.live.path(), &job.id, &why, &shared, &mut commands).await;
    }
    let _ = tokio::fs::remove_dir_all(&place).await;
}

async fn run_in(
    job: &RecordJob,
    context: &Context,
    recordings: &Recordings,
    shared: Arc<Shared>,
    commands: &mut mpsc::Receiver<Order>,
    place: &Path,
) -> io::Result<()> {
    let config = context.config();
    let _ = tokio::fs::remove_dir_all(place).await;
    PRIVATE.make_folder(place)?;
    let sink = Sink::open(job, recordings, &context.bus, place, &shared)?;
    let name = context.own_name(&job.live);
    let _feed = Feed::open(&job.live, &config.nginx.rtmp, name, place, shared.clone(), Product::Recording)?;
    let mut policy = context::policy(&config);
    if let Kept::Stills(rule) = &job.kept {
        // No progress is reported between two stills.
        let quiet = rule.every * 2;
        policy = Policy {
            stall: policy.stall + quiet,
            starve: policy.starve + quiet,
            warm_up: policy.warm_up + quiet,
            ..policy
        };
    }
    let decodes_sound = job.decodes_sound();
    if decodes_sound {
        // The video of this job needs no encoder, so only the audio can delay the output.
        policy.starve = policy.starve.min(SILENCE);
    }
    let spec = Spec {
        id: job.id.clone(),
        stream: job.live.path(),
        program: config.jobs.ffmpeg.clone(),
        arguments: arguments(job, place),
        nice: config.jobs.nice,
        policy,
        decodes_sound,
    };
    supervise::run(spec, shared, commands).await;
    sink.close().await;
    Ok(())
}

/// Consumer of a job's output. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Sink(JoinSet<()>);

impl Sink {
    /// Listens on a socket in `place`.
    pub(crate) fn open(
        job: &RecordJob,
        recordings: &Recordings,
        bus: &Arc<Bus>,
        place: &Path,
        shared: &Arc<Shared>,
    ) -> io::Result<Self> {
        let mut tasks = JoinSet::new();
        let listener = UnixListener::bind(ffmpeg::socket(place))?;
        files::set_mode(&ffmpeg::socket(place), PRIVATE.file)?;
        match &job.kept {
            Kept::Recording(rule) => {
                let index = recordings.of(&rule.folder)?;
                let writer = Writer::new(*rule.clone(), job.live.clone(), index, bus.clone());
                tasks.spawn(serve(listener, writer, rule.format, shared.clone()));
            }
            Kept::Stills(rule) => {
                let path = rule.folder.join(job.live.app.as_str()).join(format!("{}.jpg", job.live.name));
                tasks.spawn(still::serve(listener, path, shared.clone()));
            }
        }
        Ok(Self(tasks))
    }

    /// Closes the sink after ffmpeg's last bytes.
    pub(crate) async fn close(mut self) {
        let _ = tokio::time::timeout(LAST_BYTES, async { while self.0.join_next().await.is_some() {} }).await;
    }
}

/// Returns the arguments of a job whose socket is in `place`.
pub(crate) fn arguments(job: &RecordJob, place: &Path) -> Vec<std::ffi::OsString> {
    match &job.kept {
        Kept::Recording(rule) => ffmpeg::recording(&job.live, rule.format, place),
        Kept::Stills(rule) => ffmpeg::stills(&job.live, rule.every, rule.height, place),
    }
}

/// Accepts one run of ffmpeg after another.
async fn serve(listener: UnixListener, mut writer: Writer, format: Format, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let stream_path = writer.path();
        let (back, result) = drain(stream, writer, format, &shared).await;
        if let Err(why) = result {
            // ffmpeg's next write fails, and the supervisor restarts ffmpeg.
            tracing::error!(stream = stream_path, "recording cut off: {why}");
        }
        match back {
            Some(back) => writer = back,
            None => return,
        }
    }
}

async fn drain(
    mut stream: UnixStream,
    mut writer: Writer,
    format: Format,
    shared: &Shared,
) -> (Option<Writer>, io::Result<()>) {
    let mut cutter = Cutter::new(format);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let result = match stream.read(&mut buffer).await {
            Ok(0) => Ok(None),
            Ok(n) => {
                shared.received(n);
                cutter.feed(&buffer[..n]).map(Some).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
            }
            Err(error) => Err(error),
        };
        let (pieces, end) = match result {
            Ok(Some(pieces)) if pieces.is_empty() => continue,
            Ok(Some(pieces)) => (pieces, None),
            Ok(None) => (Vec::new(), Some(Ok(()))),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        let last = end.is_some();
        // The disk may be slow, so another thread writes.
        let written = tokio::task::spawn_blocking(move || {
            pieces.into_iter().for_each(|piece| writer.take(piece));
            if last {
                writer.finish();
            }
            writer
        });
        match (written.await, end) {
            (Ok(back), None) => {
                if back.is_writing() {
                    shared.set_ready();
                }
                writer = back;
            }
            (Ok(back), Some(result)) => return (Some(back), result),
            (Err(error), _) => return (None, Err(io::Error::other(error))),
        }
    }
}

/// Cutter of either container.
enum Cutter {
    Mp4(mp4::Cutter),
    Mkv(mkv::Cutter),
}

impl Cutter {
    fn new(format: Format) -> Self {
        match format {
            Format::Mp4 => Self::Mp4(mp4::Cutter::default()),
            Format::Mkv => Self::Mkv(mkv::Cutter::default()),
        }
    }

    /// Returns all pieces that these bytes complete.
    fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, piece::Error> {
        let mut pieces = Vec::new();
        match self {
            Self::Mp4(cutter) => {
                cutter.feed(bytes);
                while let Some(piece) = cutter.next_piece()? {
                    pieces.push(piece);
                }
            }
            Self::Mkv(cutter) => {
                cutter.feed(bytes);
                while let Some(piece) = cutter.next_piece()? {
                    pieces.push(piece);
                }
            }
        }
        Ok(pieces)
    }
}
