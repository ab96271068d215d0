//! Encodes streams that WebRTC cannot carry: to H.264 without B-frames, and Opus. One ffmpeg per stream serves all WebRTC viewers. It
//! runs from the first viewer to the last.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use weir_media::cmaf::{Piece, Splitter};
use weir_media::live::Packager;
use weir_media::live::unpack::Unpacker;
use weir_media::run::cut::Step;

use super::sound::feed;
use crate::context::Context;
use crate::live::hub::Hub;
use crate::live::station::{Station, Viewer, ViewerKind};
use crate::streams::StreamId;
use crate::supervise::helpers::Helper;
use crate::supervise::program::Program;

/// First pause before ffmpeg is restarted. Each failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Shortest run that counts as a success.
const WORKED: Duration = Duration::from_secs(30);

const ARGUMENTS: &str = "-probesize 500000 -analyzeduration 1000000 -fflags +ignidx+nobuffer -f mp4 -i pipe:0 -map 0:v:0 -map 0:a:0? \
                         -c:v libx264 -preset veryfast -tune zerolatency -profile:v baseline -pix_fmt yuv420p \
                         -force_key_frames expr:gte(t,n_forced*2) -c:a libopus -b:a 96k -ar 48000 -ac 2 -application lowdelay \
                         -f mp4 -movflags empty_moov+default_base_moof+frag_every_frame -flush_packets 1 pipe:1";

/// The streams that are being encoded.
#[derive(Debug)]
pub(super) struct Transcodes {
    context: Arc<Context>,
    hub: Arc<Hub>,
    running: Mutex<HashMap<StreamId, Weak<Transcode>>>,
}

/// An encoded stream. ffmpeg runs for as long as this exists.
#[derive(Debug)]
pub(super) struct Transcode {
    station: Arc<Station>,
    task: AbortHandle,
}

impl Drop for Transcode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Transcode {
    /// Returns a viewer of the encoded stream.
    pub(super) fn watch(&self) -> Viewer {
        self.station.enter(ViewerKind::Uncounted)
    }
}

impl Transcodes {
    /// Returns an empty set: nobody watches yet.
    pub(super) fn new(context: Arc<Context>, hub: Arc<Hub>) -> Self {
        Self { context, hub, running: Mutex::default() }
    }

    /// Starts the encoder of a stream as a task of `runtime`, or returns the running one.
    pub(super) fn begin(&self, runtime: &Handle, id: &StreamId) -> Arc<Transcode> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, one| one.strong_count() > 0);
        running.get(id).and_then(Weak::upgrade).unwrap_or_else(|| {
            let station = Station::new(id.clone());
            let work = encode(self.context.clone(), self.hub.clone(), station.clone());
            let one = Arc::new(Transcode { station, task: runtime.spawn(work).abort_handle() });
            running.insert(id.clone(), Arc::downgrade(&one));
            one
        })
    }
}

/// Runs ffmpeg, and restarts it until nobody watches or the stream is over. While the publisher is away, waits for its return.
async fn encode(context: Arc<Context>, hub: Arc<Hub>, station: Arc<Station>) {
    let helper = context.helpers.enter(station.id.clone(), "webrtc", "h264");
    let (mut packager, mut pause) = (Packager::default(), FIRST_PAUSE);
    loop {
        let Some(mut viewer) = hub.watch(&station.id, ViewerKind::Uncounted) else {
            if hub.known(&station.id).is_none() {
                break;
            }
            sleep(FIRST_PAUSE).await;
            continue;
        };
        if helper.may_start(context.config().jobs.max_processes) {
            let began = Instant::now();
            match run(&context, &helper, &mut viewer, &station, &mut packager).await {
                Ok(()) => {
                    helper.ended(None);
                    pause = FIRST_PAUSE;
                }
                Err(error) => {
                    tracing::warn!(stream = helper.stream(), "not encoded for viewers over WebRTC: {error}");
                    helper.ended(Some(error.to_string()));
                }
            }
            packager.reconnected();
            if began.elapsed() > WORKED {
                pause = FIRST_PAUSE;
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(context.config().jobs.backoff_max);
    }
    station.close();
}

/// Runs ffmpeg once. Returns `Ok` if the stream's configuration has changed, or the publisher is gone.
async fn run(
    context: &Context,
    helper: &Helper,
    viewer: &mut Viewer,
    station: &Station,
    packager: &mut Packager,
) -> io::Result<()> {
    let jobs = context.config().jobs.clone();
    let program = Program::start(&jobs, helper, ARGUMENTS)?;
    tracing::info!(
        stream = helper.stream(),
        pid = program.pid(),
        "ffmpeg encodes the stream for viewers over WebRTC"
    );
    let Program { stdin, stdout, running } = program;
    let patience = jobs.stall + Duration::from_secs(10);
    let end = tokio::select! {
        end = feed(stdin, viewer, jobs.stall) => end,
        end = collect(stdout, (station, packager), patience, helper) => end,
        () = helper.restart() => Err(io::Error::other("restarted by an administrator")),
    };
    running.end().await;
    end
}

async fn collect(
    mut stdout: ChildStdout,
    (station, packager): (&Station, &mut Packager),
    patience: Duration,
    helper: &Helper,
) -> io::Result<()> {
    let (mut splitter, mut unpacker, mut buffer) =
        (Splitter::default(), Unpacker::default(), vec![0; 32 << 10]);
    loop {
        let read = timeout(patience, stdout.read(&mut buffer)).await??;
        if read == 0 {
            return Err(io::Error::other("ffmpeg has ended"));
        }
        splitter.feed(&buffer[..read]);
        let mut outputs = Vec::new();
        while let Some(piece) = splitter.next_piece().map_err(io::Error::other)? {
            match piece {
                Piece::Init(bytes) => {
                    unpacker = Unpacker::of_init(&bytes).map_err(io::Error::other)?;
                    packager.take(Step::Begin(unpacker.run()), &mut outputs);
                }
                Piece::Fragment(bytes) => {
                    for frame in unpacker.fragment(&bytes).map_err(io::Error::other)? {
                        packager.take(Step::Frame(frame), &mut outputs);
                    }
                    helper.works();
                }
            }
        }
        if !outputs.is_empty() {
            station.put(outputs);
        }
    }
}
