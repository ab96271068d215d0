//! Audio of a stream as Opus. One ffmpeg per stream serves all WebRTC viewers. It runs from the first viewer to the last.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use weir_media::live::ogg::Reader;

use crate::context::Context;
use crate::live::hub::Hub;
use crate::live::ring::{Item, Start};
use crate::live::station::{Viewer, ViewerKind};
use crate::streams::StreamId;
use crate::supervise::helpers::Helper;
use crate::supervise::program::Program;

/// Packets that wait for a viewer: more than two seconds of audio.
const WAITING: usize = 128;
/// First pause before ffmpeg is restarted. Each failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Time until the limit of processes is checked again.
const WAIT: Duration = Duration::from_secs(1);
/// Shortest run that counts as a success.
const WORKED: Duration = Duration::from_secs(30);
/// Time that ffmpeg waits for a publisher who is gone. One who returns within it needs no new ffmpeg.
const AWAY: Duration = Duration::from_secs(2);

/// ffmpeg reads no frames to learn their rate, because that delays the first audio by most of a second.
const ARGUMENTS: &str = "-copyts -probesize 500000 -analyzeduration 1000000 -fpsprobesize 0 -fflags +ignidx+nobuffer -f mp4 -i pipe:0 \
                         -vn -map 0:a:0 -c:a libopus -b:a 96k -ar 48000 -ac 2 -application lowdelay -frame_duration 20 -f ogg -page_duration 20000 \
                         -flush_packets 1 pipe:1";

/// A packet of Opus.
#[derive(Debug)]
pub(super) struct Packet {
    /// Start of the packet on the stream's timeline, in samples at 48 kHz.
    pub(super) start: u64,
    /// The payload, as RTP carries it.
    pub(super) bytes: Vec<u8>,
}

/// The streams whose audio is converted to Opus.
#[derive(Debug)]
pub(super) struct Sounds {
    context: Arc<Context>,
    hub: Arc<Hub>,
    running: Mutex<HashMap<StreamId, Weak<Encoder>>>,
}

#[derive(Debug)]
struct Encoder {
    packets: broadcast::Sender<Arc<Packet>>,
    task: AbortHandle,
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Audio of one stream. ffmpeg runs for as long as a subscription exists.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) packets: broadcast::Receiver<Arc<Packet>>,
    _encoder: Arc<Encoder>,
}

impl Sounds {
    /// Returns an empty set: nobody listens yet.
    pub(super) fn new(context: Arc<Context>, hub: Arc<Hub>) -> Self {
        Self { context, hub, running: Mutex::default() }
    }

    /// Subscribes to the audio of a stream from now on.
    pub(super) fn subscribe(&self, id: &StreamId) -> Subscription {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, encoder| encoder.strong_count() > 0);
        let encoder = running.get(id).and_then(Weak::upgrade).unwrap_or_else(|| {
            let packets = broadcast::channel(WAITING).0;
            let (context, hub) = (self.context.clone(), self.hub.clone());
            let work = encode(context, hub, id.clone(), packets.clone());
            let encoder = Arc::new(Encoder { packets, task: tokio::spawn(work).abort_handle() });
            running.insert(id.clone(), Arc::downgrade(&encoder));
            encoder
        });
        Subscription { packets: encoder.packets.subscribe(), _encoder: encoder }
    }
}

/// Runs ffmpeg, and restarts it until nobody listens.
async fn encode(context: Arc<Context>, hub: Arc<Hub>, id: StreamId, packets: broadcast::Sender<Arc<Packet>>) {
    let helper = context.helpers.enter(id.clone(), "opus", "opus");
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(mut viewer) = hub.watch(&id, ViewerKind::Uncounted) else {
            sleep(FIRST_PAUSE).await;
            continue;
        };
        if !helper.may_start(context.config().jobs.max_processes) {
            sleep(WAIT).await;
            continue;
        }
        let began = Instant::now();
        match run(&context, &helper, &mut viewer, &packets).await {
            Ok(()) => {
                helper.ended(None);
                continue;
            }
            Err(error) => {
                tracing::warn!(stream = helper.stream(), "no sound for viewers over WebRTC: {error}");
                helper.ended(Some(error.to_string()));
            }
        }
        if began.elapsed() > WORKED {
            pause = FIRST_PAUSE;
        }
        sleep(pause).await;
        pause = (pause * 2).min(context.config().jobs.backoff_max);
    }
}

/// Runs ffmpeg once. Returns `Ok` if the stream's configuration has changed, or the publisher is gone.
async fn run(
    context: &Context,
    helper: &Helper,
    viewer: &mut Viewer,
    packets: &broadcast::Sender<Arc<Packet>>,
) -> io::Result<()> {
    let jobs = context.config().jobs.clone();
    let program = Program::start(&jobs, helper, ARGUMENTS)?;
    tracing::info!(
        stream = helper.stream(),
        pid = program.pid(),
        "ffmpeg makes Opus of the sound, for viewers over WebRTC"
    );
    let Program { stdin, stdout, running } = program;
    let end = tokio::select! {
        end = feed(stdin, viewer, jobs.stall) => end,
        end = collect(stdout, packets, jobs.stall + Duration::from_secs(10), helper) => end,
        () = helper.restart() => Err(io::Error::other("restarted by an administrator")),
    };
    running.end().await;
    end
}

/// Writes a stream to ffmpeg until the stream's configuration changes, or its publisher has been gone for [`AWAY`].
pub(super) async fn feed(mut stdin: ChildStdin, viewer: &mut Viewer, patience: Duration) -> io::Result<()> {
    let (mut had, mut is_away): (Option<Arc<Start>>, bool) = (None, false);
    loop {
        let taken = viewer.read();
        let is_empty = taken.items.is_empty();
        for item in taken.items {
            is_away = matches!(item, Item::Ended);
            let bytes = match item {
                Item::Init(start) if had.as_ref().is_some_and(|had| had.bytes != start.bytes) => {
                    return Ok(());
                }
                Item::Init(_) if had.is_some() => continue,
                Item::Init(start) => {
                    had = Some(start.clone());
                    start.bytes.clone()
                }
                Item::Fragment(piece) => piece.bytes,
                Item::Ended => continue,
            };
            timeout(patience, stdin.write_all(&bytes)).await??;
        }
        let wait = if is_away { AWAY } else { Duration::MAX };
        if is_empty && !timeout(wait, viewer.more()).await.unwrap_or(false) {
            return Ok(());
        }
    }
}

async fn collect(
    mut stdout: ChildStdout,
    packets: &broadcast::Sender<Arc<Packet>>,
    patience: Duration,
    helper: &Helper,
) -> io::Result<()> {
    let (mut reader, mut buffer) = (Reader::default(), vec![0; 16 << 10]);
    loop {
        let read = timeout(patience, stdout.read(&mut buffer)).await??;
        if read == 0 {
            return Err(io::Error::other("ffmpeg has ended"));
        }
        for packet in reader.take(&buffer[..read]).map_err(io::Error::other)? {
            helper.works();
            let start = packet.end.saturating_sub(packet.samples.into());
            // An error means that nobody listens at this moment.
            let _ = packets.send(Arc::new(Packet { start, bytes: packet.bytes }));
        }
    }
}
