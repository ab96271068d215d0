//! Converts a publisher's audio from Opus to AAC with its own ffmpeg, which ends with the publisher.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use weir_media::live::{Output, Packager};
use weir_media::run::cut::{Frame, Header, Headers, Step};
use weir_rtmp::flv::{Reader, Tag, TagKind};
use weir_rtmp::media::Codec;

use crate::config::Jobs;
use crate::streams::StreamId;
use crate::supervise::helpers::{Helper, Helpers};
use crate::supervise::program::Program;

const ARGUMENTS: &str = "-copyts -probesize 50000 -analyzeduration 200000 -fflags +ignidx+nobuffer -f mp4 -i pipe:0 -vn -map 0:a:0 \
                         -c:a aac -b:a 128k -ar 48000 -ac 2 -flvflags no_duration_filesize -f flv -flush_packets 1 pipe:1";
/// The AAC configuration that ffmpeg makes with [`ARGUMENTS`], as the payload of a tag (ISO/IEC 14496-3, 1.6.2.1: AAC-LC, 48 kHz, stereo,
/// no SBR).
const HEADER: [u8; 7] = [0xaf, 0, 0x11, 0x90, 0x56, 0xe5, 0];
/// Pause before ffmpeg is restarted.
const PAUSE: Duration = Duration::from_secs(1);
/// Most packets and tags that wait.
const WAITING: usize = 256;
const OPUS: [u8; 4] = *b"Opus";
/// OpusHead: two channels, 312 samples of pre-skip, 48 kHz (RFC 7845, 5.1).
const HEAD: [u8; 19] = *b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";

/// An Opus packet, and its time in milliseconds.
type Packet = (i64, Vec<u8>);

/// Audio encoder of one publisher.
#[derive(Debug)]
pub(crate) struct Encoder {
    packets: mpsc::Sender<Packet>,
    tags: mpsc::Receiver<Tag>,
    task: AbortHandle,
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Encoder {
    /// Starts the encoder of a stream.
    pub(crate) fn start(jobs: Jobs, helpers: &Arc<Helpers>, id: StreamId) -> Self {
        let helper = helpers.enter(id, "aac", "aac");
        let (packets, from) = mpsc::channel(WAITING);
        let (to, tags) = mpsc::channel(WAITING);
        let task = tokio::spawn(encode(jobs, helper, from, to)).abort_handle();
        Self { packets, tags, task }
    }

    /// Returns the AAC configuration, before ffmpeg has made any audio.
    pub(crate) fn header(timestamp: u32) -> Tag {
        Tag { kind: TagKind::Audio, timestamp, payload: HEADER.to_vec() }
    }

    /// Takes a packet. The packet is dropped if ffmpeg is too slow.
    pub(crate) fn put(&self, at: i64, packet: &[u8]) {
        let _ = self.packets.try_send((at, packet.to_vec()));
    }

    /// Returns the next AAC frame, or the AAC configuration.
    pub(crate) async fn next(&mut self) -> Tag {
        match self.tags.recv().await {
            Some(tag) => tag,
            None => std::future::pending().await,
        }
    }
}

async fn encode(jobs: Jobs, helper: Helper, mut from: mpsc::Receiver<Packet>, to: mpsc::Sender<Tag>) {
    loop {
        if helper.may_start(jobs.max_processes) {
            match run(&jobs, &helper, &mut from, &to).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(
                        stream = helper.stream(),
                        "no sound of the publisher over WebRTC: {error}"
                    );
                    helper.ended(Some(error.to_string()));
                }
            }
        }
        sleep(PAUSE).await;
    }
}

async fn run(
    jobs: &Jobs,
    helper: &Helper,
    from: &mut mpsc::Receiver<Packet>,
    to: &mpsc::Sender<Tag>,
) -> io::Result<()> {
    let program = Program::start(jobs, helper, ARGUMENTS)?;
    tracing::info!(
        stream = helper.stream(),
        pid = program.pid(),
        "ffmpeg makes AAC of the sound of a publisher over WebRTC"
    );
    let Program { stdin, stdout, running } = program;
    let origin = AtomicI64::new(0);
    let end = tokio::select! {
        end = feed(stdin, from, &origin, jobs.stall) => end,
        end = collect(stdout, to, &origin, helper) => end,
        () = helper.restart() => Err(io::Error::other("restarted by an administrator")),
    };
    running.end().await;
    end
}

async fn feed(
    mut stdin: ChildStdin,
    from: &mut mpsc::Receiver<Packet>,
    origin: &AtomicI64,
    patience: Duration,
) -> io::Result<()> {
    let (mut packager, mut outputs) = (Packager::default(), Vec::new());
    let mut first = None;
    let header = Header { codec: Codec::FourCc(OPUS), data: HEAD.to_vec() };
    packager.take(Step::Begin(Headers { audio: Some(header), ..Headers::default() }), &mut outputs);
    loop {
        for output in outputs.drain(..) {
            let (Output::Init(weir_media::live::Init { bytes, .. })
            | Output::Fragment(weir_media::live::Fragment { bytes, .. })) = output;
            timeout(patience, stdin.write_all(&bytes)).await??;
        }
        let Some((at, packet)) = from.recv().await else { return Ok(()) };
        // ffmpeg's input begins at the time 0.
        let first = *first.get_or_insert(at);
        origin.store(first, Ordering::Relaxed);
        let mut payload = vec![0x91];
        payload.extend(OPUS);
        payload.extend(packet);
        let time = at - first;
        let kind = TagKind::Audio;
        packager.take(Step::Frame(Frame { kind, time, composition: 0, is_key: true, payload }), &mut outputs);
    }
}

async fn collect(
    mut stdout: ChildStdout,
    to: &mpsc::Sender<Tag>,
    origin: &AtomicI64,
    helper: &Helper,
) -> io::Result<()> {
    let (mut reader, mut buffer) = (Reader::new(), vec![0; 16 << 10]);
    loop {
        let read = stdout.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::Error::other("ffmpeg has ended"));
        }
        helper.works();
        reader.feed(&buffer[..read]);
        while let Some(tag) = reader.next_tag().map_err(io::Error::other)? {
            if tag.kind == TagKind::Audio {
                let first = u32::try_from(origin.load(Ordering::Relaxed)).unwrap_or_default();
                let timestamp = tag.timestamp.wrapping_add(first);
                let _ = to.send(Tag { timestamp, ..tag }).await;
            }
        }
    }
}
